"""What happens to a delivery that the platform does not take at once?"""

import asyncio
import time
from typing import Any

from aiohttp import web

from relay.store.configuration.seal import new_key
from tests.fixtures.relays import Relay, RelayFactory, webhook
from tests.fixtures.sink import Script, Sink

LONGER_THAN_THE_FIRST_BACKOFF = 1.6


def in_turn(*answers: web.Response) -> Script:
    """Give these answers, then 200."""
    left = iter(answers)
    return lambda _: next(left, web.Response(text="ok"))


async def detail(relay: Relay, delivery: dict[str, Any]) -> dict[str, Any]:
    answer = await relay.call("GET", f"/deliveries/{delivery['id']}")
    found: dict[str, Any] = answer.json
    return found


async def test_what_a_platform_fails_to_take_is_tried_again_until_it_does(relay: Relay, sink: Sink) -> None:
    sink.script = in_turn(web.Response(status=500, text="oh no"), web.Response(status=503, text="not yet"))
    await relay.channel(name="Ops", channel_type="webhook", webhook_url=sink.url)

    await relay.webhook(webhook())

    [delivery] = await relay.settled(1)
    assert (delivery["attempt_count"], delivery["last_reason"], delivery["last_error"]) == (3, None, None)
    assert len({one.json["id"] for one in sink.received}) == 1
    attempts = (await detail(relay, delivery))["attempts"]
    assert [
        (one["number"], one["outcome"], one["reason"], one["status_code"], one["detail"]) for one in attempts
    ] == [
        (1, "retry", "serverError", 500, "500 oh no"),
        (2, "retry", "serverError", 503, "503 not yet"),
        (3, "sent", None, 200, "ok"),
    ]


async def test_a_wait_that_the_platform_asks_for_is_kept_in_full(relay: Relay, sink: Sink) -> None:
    came: list[float] = []

    def script(_: web.Request) -> web.Response:
        came.append(time.monotonic())
        return web.Response(status=429, headers={"Retry-After": "1"}) if len(came) == 1 else web.Response()

    sink.script = script
    await relay.channel(name="Ops", channel_type="webhook", webhook_url=sink.url)

    await relay.webhook(webhook())

    await relay.settled(1)
    assert came[1] - came[0] >= 1


async def test_what_is_refused_for_good_is_dead_and_never_sent_again(relay: Relay, sink: Sink) -> None:
    sink.script = in_turn(web.Response(status=400, text="no such field"))
    await relay.channel(name="Ops", channel_type="webhook", webhook_url=sink.url)

    await relay.webhook(webhook())

    [delivery] = await relay.settled(1, state="dead")
    assert (delivery["last_reason"], delivery["last_error"]) == ("clientError", "400 no such field")
    assert delivery["next_attempt_at"] is None
    [tried] = (await detail(relay, delivery))["attempts"]
    assert (tried["outcome"], tried["status_code"]) == ("rejected", 400)
    await asyncio.sleep(LONGER_THAN_THE_FIRST_BACKOFF)
    assert len(sink.received) == 1


async def test_a_retry_is_due_although_another_group_of_its_channel_is_still_on_its_way(
    relay: Relay, sink: Sink
) -> None:
    answered, failed = asyncio.Event(), asyncio.Event()

    async def script(request: web.Request) -> web.Response:
        if b'group=\\"hangs\\"' in await request.read():
            await answered.wait()
        elif not failed.is_set():
            failed.set()
            return web.Response(status=500)
        return web.Response()

    sink.script = script
    await relay.channel(name="Ops", channel_type="webhook", webhook_url=sink.url)
    await relay.webhook(webhook(group="hangs"))
    await sink.wait_for(1)

    await relay.webhook(webhook(group="fails once"))

    try:
        [delivery] = await relay.settled(1, max_wait=8)
        assert (delivery["group_key"], delivery["attempt_count"]) == ('{}:{group="fails once"}', 2)
    finally:
        answered.set()
    await relay.settled(2)


async def test_a_channel_whose_secrets_cannot_be_opened_waits_and_harms_no_other(
    start_relay: RelayFactory, sink: Sink
) -> None:
    before = await start_relay(deliver=False, secret_key=new_key())
    await before.channel(name="Locked", channel_type="webhook", webhook_url=f"{sink.url}/locked")

    after = await start_relay()
    await after.channel(name="Open", channel_type="webhook", webhook_url=f"{sink.url}/open")
    await after.webhook(webhook())

    await sink.wait_for(1, "/open")
    await after.settled(1)
    async with asyncio.timeout(10):
        while not (waiting := await after.items("/deliveries?state=pending"))[0]["last_error"]:
            await asyncio.sleep(0.05)
    [locked] = waiting
    assert (locked["channel_id"], locked["last_reason"]) == ("locked", "other")
    assert "RELAY_SECRET_KEY" in locked["last_error"]
    assert sink.at("/locked") == []
