"""Tests of edited messages: each incident is one message that shows the current state."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from aiohttp import web

from relay.store.outbox import aging
from relay.store.postgres.database import driver_connection
from tests.fixtures.editing import EditingPlatforms, editing_channel
from tests.fixtures.relays import Relay, RelayFactory, alert, webhook
from tests.fixtures.sink import Response, Sink
from tests.notify.strict.platform import PostedMessage, StrictPlatform

LATER = "2026-11-23T16:00:00Z"


@pytest.fixture
async def notify(relay: Relay, channel_type: str, strict_platform: StrictPlatform, sink: Sink) -> "Notify":
    """A channel of the type, notified by webhooks."""
    await relay.channel(**editing_channel(channel_type, sink.url))
    return Notify(relay)


class Notify:
    """Posts webhooks, and waits until each is delivered."""

    def __init__(self, relay: Relay) -> None:
        self.relay = relay
        self.count = 0

    async def __call__(self, *alerts: dict[str, Any], group: str = "g") -> None:
        await self.relay.webhook(webhook(*alerts, group=group))
        self.count += 1
        await self.relay.settled(self.count)


async def test_an_incident_is_one_message_from_start_to_end(
    notify: Notify, strict_platform: StrictPlatform
) -> None:
    await notify(alert("DiskFull", at="a"))
    await notify(alert("DiskFull", at="a"), alert("DiskFull", at="b"))
    await notify(alert("DiskFull", "resolved", at="a"), alert("DiskFull", at="b"))
    await notify(alert("DiskFull", "resolved", at="b"))

    message, joined = strict_platform.messages
    assert "New: " in joined.text
    symbols = [(text.count("🔥 "), text.count("✅ ")) for text in message.versions]
    assert symbols == [(1, 0), (2, 0), (1, 1), (0, 2)]
    assert "RESOLVED:2" in message.text.replace("\\", "")
    assert message.text.count("15:40:00 UTC") == 2


async def test_the_next_incident_of_a_group_is_a_new_message(
    notify: Notify, strict_platform: StrictPlatform
) -> None:
    await notify(alert("DiskFull"))
    await notify(alert("DiskFull", "resolved"))
    await notify(alert("DiskFull") | {"startsAt": LATER})

    before, after = strict_platform.messages
    assert ("✅ " in before.text, "🔥 " in before.text) == (True, False)
    assert ("✅ " in after.text, "🔥 " in after.text) == (False, True)


async def test_groups_have_separate_messages(notify: Notify, strict_platform: StrictPlatform) -> None:
    await notify(alert("DiskFull"), group="one")
    await notify(alert("HighLoad"), group="other")
    await notify(alert("DiskFull", "resolved"), group="one")

    one, other = strict_platform.messages
    assert ("✅ " in one.text, "✅ " in other.text) == (True, False)


def delete(strict_platform: StrictPlatform, message: PostedMessage) -> None:
    strict_platform.delete(message)


def age(strict_platform: StrictPlatform, message: PostedMessage) -> None:
    message.editable = False


@pytest.mark.parametrize("lose", [delete, age])
async def test_a_deleted_or_too_old_message_is_replaced_by_a_new_one(
    lose: Any, notify: Notify, strict_platform: StrictPlatform
) -> None:
    await notify(alert("DiskFull", at="a"))
    lose(strict_platform, strict_platform.messages[0])

    await notify(alert("DiskFull", at="a"), alert("DiskFull", at="b"))
    await notify(alert("DiskFull", "resolved", at="a"), alert("DiskFull", "resolved", at="b"))

    assert strict_platform.messages[-1].versions[0].count("🔥 ") == 2
    assert strict_platform.messages[-1].text.count("✅ ") == 2
    assert sum("✅ " in message.text for message in strict_platform.messages) == 1
    [last] = await notify.relay.items("/deliveries?limit=1&state=delivered")
    second = (await notify.relay.call("GET", f"/deliveries/{last['id'] - 1}")).json["attempts"][-1]
    assert "a new one is sent instead" in second["detail"]


async def test_without_update_message_each_state_is_a_message(
    relay: Relay, channel_type: str, strict_platform: StrictPlatform, sink: Sink
) -> None:
    await relay.channel(**editing_channel(channel_type, sink.url, update_message=False))
    notify = Notify(relay)

    await notify(alert("DiskFull"))
    await notify(alert("DiskFull", "resolved"))

    assert [len(message.versions) for message in strict_platform.messages] == [1, 1]


async def test_a_slack_bot_may_also_reply_when_all_is_resolved(relay: Relay, sink: Sink) -> None:
    sink.script = script = EditingPlatforms()
    await relay.channel(**editing_channel("slack", sink.url, notify_on=["resolved"]))
    notify = Notify(relay)

    await notify(alert("DiskFull", at="a"), alert("DiskFull", at="b"))
    await notify(alert("DiskFull", "resolved", at="a"), alert("DiskFull", at="b"))
    await notify(alert("DiskFull", "resolved", at="b"))

    message, reply = script.platforms["slack"].messages
    assert reply.thread == message.reference.partition(" ")[2]
    assert reply.text == "*[RESOLVED:2] DiskFull*"


async def test_a_joining_alert_is_heard_once(notify: Notify, strict_platform: StrictPlatform) -> None:
    await notify(alert("DiskFull", at="a"))
    await notify(alert("DiskFull", at="a"), alert("DiskFull", at="b"))
    await notify(alert("DiskFull", "resolved", at="a"), alert("DiskFull", "resolved", at="b"))

    message, post = strict_platform.messages
    assert "New: [FIRING:1]" in post.text.replace("\\", "")
    assert len(message.versions) == 3


async def test_a_deliberate_repeat_is_heard_only_of_critical_alerts(
    start_relay: RelayFactory, channel_type: str, strict_platform: StrictPlatform, sink: Sink
) -> None:
    relay = await start_relay(repeat_after=0.05)
    await relay.channel(**editing_channel(channel_type, sink.url))
    notify = Notify(relay)
    for severity in ("critical", "warning"):
        for _ in range(2):
            await notify(alert(f"Disk-{severity}", severity=severity), group=severity)
            await asyncio.sleep(0.1)

    posts = [message.text for message in strict_platform.messages if "Repeated" in message.text]
    assert ["Disk-critical" in text.replace("\\", "") for text in posts] == [True]
    assert len(strict_platform.messages) == 3


async def test_a_partly_sent_message_is_completed_and_not_sent_again(
    notify: Notify, strict_platform: StrictPlatform, sink: Sink
) -> None:
    platforms = sink.script
    assert isinstance(platforms, EditingPlatforms)
    responses = 0

    async def fails_at_the_second(request: web.Request) -> Response:
        nonlocal responses
        responses += 1
        return web.Response(status=503) if responses == 2 else await platforms(request)

    sink.script = fails_at_the_second
    many = [alert("DiskFull", at=f"{at}") | {"annotations": {"description": "x" * 900}} for at in range(30)]

    await notify(*many)
    await notify(*many[1:], many[0] | {"status": "resolved", "endsAt": "2026-11-23T15:40:00Z"})

    assert len(strict_platform.messages) == len({message.reference for message in strict_platform.messages}) > 1
    numbers = [f"({at}/{len(strict_platform.messages)})" for at in range(1, len(strict_platform.messages) + 1)]
    texts = [message.text.replace("\\", "") for message in strict_platform.messages]
    assert all(number in text for number, text in zip(numbers, texts, strict=True))
    assert "RESOLVED:1" in texts[0]


async def test_an_alert_that_the_group_no_longer_contains_is_shown_as_not_reported(
    notify: Notify, strict_platform: StrictPlatform
) -> None:
    await notify(alert("DiskFull"), alert("HighLoad"))
    await notify(alert("DiskFull"))

    [message] = strict_platform.messages
    text = message.text.replace("\\", "")
    assert "FIRING:1, NOT REPORTED:1" in text
    assert (text.count("🔥 "), text.count("❔ "), text.count("; not reported since 20")) == (1, 1, 1)

    await notify(alert("DiskFull"), alert("HighLoad"))

    [message] = strict_platform.messages
    assert ("FIRING:2" in message.text.replace("\\", ""), "❔" in message.text) == (True, False)


async def test_an_alert_that_a_truncated_or_another_sender_omits_still_fires(
    relay: Relay, channel_type: str, strict_platform: StrictPlatform, sink: Sink
) -> None:
    await relay.channel(**editing_channel(channel_type, sink.url))
    both, one = webhook(alert("DiskFull"), alert("HighLoad")), webhook(alert("DiskFull"))
    for count, (body, sender) in enumerate(
        ((both, "a"), (one | {"truncatedAlerts": 1}, "a"), (one, "b")), start=1
    ):
        await relay.webhook(body, sender=sender)
        await relay.settled(count)

    [message] = strict_platform.messages
    assert "FIRING:2" in message.text.replace("\\", "")


async def test_a_stale_alert_is_shown_as_not_reported(notify: Notify, strict_platform: StrictPlatform) -> None:
    await notify(alert("DiskFull"))
    database, stale_after = notify.relay.services.database, notify.relay.services.settings.stale_after
    async with database.begin() as connection:
        tomorrow = datetime.now(UTC) + timedelta(hours=26)
        assert await aging.mark_stale(await driver_connection(connection), tomorrow, stale_after) == 1
    await notify(alert("HighLoad"))

    message, _ = strict_platform.messages
    assert "FIRING:1, NOT REPORTED:1" in message.text.replace("\\", "")


async def test_after_a_digest_the_messages_of_its_groups_are_refreshed(
    start_relay: RelayFactory, channel_type: str, strict_platform: StrictPlatform, sink: Sink
) -> None:
    relay = await start_relay(digest_after=0.2)
    await relay.channel(**editing_channel(channel_type, sink.url, rate_limit={"per_second": 4, "burst": 1}))
    notify = Notify(relay)
    await notify(alert("DiskFull"))
    [message] = strict_platform.messages

    # While the platform is down all deliveries wait; then they are too many for the limit.
    platforms, sink.script = sink.script, lambda _: web.Response(status=503)
    storm = [webhook(alert(f"Alert{at}"), group=f"{at}") for at in range(20)]
    await asyncio.gather(*(relay.webhook(body) for body in storm))
    await sink.wait_for(2)
    await relay.webhook(webhook(alert("DiskFull", "resolved")))
    await relay.webhook(webhook(alert("HighLoad")))
    sink.script = platforms

    async with asyncio.timeout(30):
        while "FIRING:1, RESOLVED:1" not in message.text.replace("\\", ""):
            await asyncio.sleep(0.1)
    digests = [message.text for message in strict_platform.messages if "DIGEST" in message.text]
    assert any("DiskFull" in text for text in digests)


async def test_a_change_of_the_group_that_the_channel_does_not_get_repeats_nothing(
    start_relay: RelayFactory, sink: Sink
) -> None:
    sink.script = script = EditingPlatforms()
    relay = await start_relay(repeat_after=0.05)
    await relay.channel(**editing_channel("slack", sink.url, severities=["critical"]))
    notify = Notify(relay)
    critical, other = alert("DiskFull", at="a", severity="critical"), alert("DiskFull", at="b")

    for alerts in ((critical,), (critical, other), (critical, other | {"status": "resolved"})):
        await notify(*alerts)
        await asyncio.sleep(0.1)

    assert len(script.platforms["slack"].messages) == 1
