"""Is an incident one message on the platform, that says how things are by now?"""

import asyncio
from typing import Any

import pytest
from aiohttp import web

from tests.fixtures.editing import EDITING_TYPES, EditingPlatforms, editing_channel
from tests.fixtures.relays import Relay, RelayFactory, alert, webhook
from tests.fixtures.sink import Response, Sink
from tests.notify.strict.platform import Shown, StrictPlatform

LATER = "2026-11-23T16:00:00Z"


@pytest.fixture(params=EDITING_TYPES)
def destination_hash(request: pytest.FixtureRequest) -> str:
    """Each platform whose messages can be edited."""
    chosen: str = request.param
    return chosen


@pytest.fixture
def platform(destination_hash: str, sink: Sink) -> StrictPlatform:
    """It, at the sink."""
    sink.script = places = EditingPlatforms()
    return places.platforms[destination_hash]


@pytest.fixture
async def told(relay: Relay, destination_hash: str, platform: StrictPlatform, sink: Sink) -> "Told":
    """A channel there, that is told what happens."""
    await relay.channel(**editing_channel(destination_hash, sink.url))
    return Told(relay)


class Told:
    """Posts one webhook after the other, each when the one before was told."""

    def __init__(self, relay: Relay) -> None:
        self.relay = relay
        self.count = 0

    async def __call__(self, *alerts: dict[str, Any], group: str = "g") -> None:
        await self.relay.webhook(webhook(*alerts, group=group))
        self.count += 1
        await self.relay.settled(self.count)


async def test_an_incident_is_one_message_from_its_beginning_to_its_end(
    told: Told, platform: StrictPlatform
) -> None:
    await told(alert("DiskFull", at="a"))
    await told(alert("DiskFull", at="a"), alert("DiskFull", at="b"))
    await told(alert("DiskFull", "resolved", at="a"), alert("DiskFull", at="b"))
    await told(alert("DiskFull", "resolved", at="b"))

    [message] = platform.messages
    marks = [(text.count("🔥 "), text.count("✅ ")) for text in message.versions]
    assert marks == [(1, 0), (2, 0), (1, 1), (0, 2)]
    assert "RESOLVED:2" in message.text.replace("\\", "")
    assert message.text.count("15:40:00 UTC") == 2


async def test_the_next_incident_of_a_group_is_a_message_of_its_own(told: Told, platform: StrictPlatform) -> None:
    await told(alert("DiskFull"))
    await told(alert("DiskFull", "resolved"))
    await told(alert("DiskFull") | {"startsAt": LATER})

    before, after = platform.messages
    assert ("✅ " in before.text, "🔥 " in before.text) == (True, False)
    assert ("✅ " in after.text, "🔥 " in after.text) == (False, True)


async def test_groups_have_messages_of_their_own(told: Told, platform: StrictPlatform) -> None:
    await told(alert("DiskFull"), group="one")
    await told(alert("HighLoad"), group="other")
    await told(alert("DiskFull", "resolved"), group="one")

    one, other = platform.messages
    assert ("✅ " in one.text, "✅ " in other.text) == (True, False)


def delete(platform: StrictPlatform, message: Shown) -> None:
    platform.delete(message)


def age(platform: StrictPlatform, message: Shown) -> None:
    message.editable = False


@pytest.mark.parametrize("lose", [delete, age])
async def test_where_the_message_is_gone_or_too_old_a_new_one_takes_its_place(
    lose: Any, told: Told, platform: StrictPlatform
) -> None:
    await told(alert("DiskFull", at="a"))
    lose(platform, platform.messages[0])

    await told(alert("DiskFull", at="a"), alert("DiskFull", at="b"))
    await told(alert("DiskFull", "resolved", at="a"), alert("DiskFull", "resolved", at="b"))

    assert platform.messages[-1].versions[0].count("🔥 ") == 2
    assert platform.messages[-1].text.count("✅ ") == 2
    assert sum("✅ " in message.text for message in platform.messages) == 1
    [told_anew] = await told.relay.items("/deliveries?limit=1&state=delivered")
    second = (await told.relay.call("GET", f"/deliveries/{told_anew['id'] - 1}")).json["attempts"][-1]
    assert "a new one is sent instead" in second["detail"]


async def test_without_update_message_each_state_is_a_message(
    relay: Relay, destination_hash: str, platform: StrictPlatform, sink: Sink
) -> None:
    await relay.channel(**editing_channel(destination_hash, sink.url, update_message=False))
    told = Told(relay)

    await told(alert("DiskFull"))
    await told(alert("DiskFull", "resolved"))

    assert [len(message.versions) for message in platform.messages] == [1, 1]


async def test_a_bot_on_slack_also_replies_when_all_is_resolved_if_told_to(relay: Relay, sink: Sink) -> None:
    sink.script = places = EditingPlatforms()
    await relay.channel(**editing_channel("slack", sink.url, slack_reply_resolved=True))
    told = Told(relay)

    await told(alert("DiskFull", at="a"), alert("DiskFull", at="b"))
    await told(alert("DiskFull", "resolved", at="a"), alert("DiskFull", at="b"))
    await told(alert("DiskFull", "resolved", at="b"))

    message, reply = places.platforms["slack"].messages
    assert reply.thread == message.reference.partition(" ")[2]
    assert reply.text == "*[RESOLVED:2] DiskFull*"


async def test_what_a_failure_left_half_done_is_finished_and_not_begun_anew(
    told: Told, platform: StrictPlatform, sink: Sink
) -> None:
    places = sink.script
    assert isinstance(places, EditingPlatforms)
    answered = 0

    async def fails_at_the_second(request: web.Request) -> Response:
        nonlocal answered
        answered += 1
        return web.Response(status=503) if answered == 2 else await places(request)

    sink.script = fails_at_the_second
    many = [alert("DiskFull", at=f"{at}") | {"annotations": {"description": "x" * 900}} for at in range(30)]

    await told(*many)
    await told(*many[1:], many[0] | {"status": "resolved", "endsAt": "2026-11-23T15:40:00Z"})

    assert len(platform.messages) == len({message.reference for message in platform.messages}) > 1
    numbers = [f"({at}/{len(platform.messages)})" for at in range(1, len(platform.messages) + 1)]
    texts = [message.text.replace("\\", "") for message in platform.messages]
    assert all(number in text for number, text in zip(numbers, texts, strict=True))
    assert "RESOLVED:1" in texts[0]


async def test_after_a_digest_the_message_of_each_of_its_groups_is_set_right(
    start_relay: RelayFactory, destination_hash: str, platform: StrictPlatform, sink: Sink
) -> None:
    relay = await start_relay(digest_after=0.2)
    await relay.channel(**editing_channel(destination_hash, sink.url, rate_limit={"per_second": 4, "burst": 1}))
    told = Told(relay)
    await told(alert("DiskFull"))
    [message] = platform.messages

    # While the platform is away all of it waits, and then is too much for the limit.
    places, sink.script = sink.script, lambda _: web.Response(status=503)
    storm = [webhook(alert(f"Alert{at}"), group=f"{at}") for at in range(20)]
    await asyncio.gather(*(relay.webhook(body) for body in storm))
    await sink.wait_for(2)
    await relay.webhook(webhook(alert("DiskFull", "resolved")))
    await relay.webhook(webhook(alert("HighLoad")))
    sink.script = places

    async with asyncio.timeout(30):
        while "FIRING:1, RESOLVED:1" not in message.text.replace("\\", ""):
            await asyncio.sleep(0.1)
    digests = [one.text for one in platform.messages if "DIGEST" in one.text]
    assert any("DiskFull" in text for text in digests)
