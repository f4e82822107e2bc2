"""Tests of deliveries that the platform does not accept at the first attempt."""

import asyncio
import time
from typing import Any

from aiohttp import web

from relay.store.configuration.seal import new_key
from tests.fixtures.relays import Relay, RelayFactory, webhook
from tests.fixtures.sink import Script, Sink

LONGER_THAN_THE_FIRST_BACKOFF = 1.3


def in_turn(*responses: web.Response) -> Script:
    """Respond with these, then with 200."""
    remaining = iter(responses)
    return lambda _: next(remaining, web.Response(text="ok"))


async def detail(relay: Relay, delivery: dict[str, Any]) -> dict[str, Any]:
    response = await relay.call("GET", f"/deliveries/{delivery['id']}")
    found: dict[str, Any] = response.json
    return found


async def test_a_failed_delivery_is_retried_until_the_platform_accepts_it(relay: Relay, sink: Sink) -> None:
    sink.script = in_turn(web.Response(status=500, text="oh no"), web.Response(status=503, text="not yet"))
    await relay.channel(name="Ops", channel_type="webhook", webhook_url=sink.url)

    await relay.webhook(webhook())

    [delivery] = await relay.settled(1)
    assert (delivery["attempt_count"], delivery["last_reason"], delivery["last_error"]) == (3, None, None)
    assert len({request.json["id"] for request in sink.received}) == 1
    attempts = (await detail(relay, delivery))["attempts"]
    assert [
        (attempt["number"], attempt["outcome"], attempt["reason"], attempt["status_code"], attempt["detail"])
        for attempt in attempts
    ] == [
        (1, "retry", "serverError", 500, "500 oh no"),
        (2, "retry", "serverError", 503, "503 not yet"),
        (3, "sent", None, 200, "ok"),
    ]


async def test_retry_after_is_kept_in_full(relay: Relay, sink: Sink) -> None:
    arrived_at: list[float] = []

    def script(_: web.Request) -> web.Response:
        arrived_at.append(time.monotonic())
        return web.Response(status=429, headers={"Retry-After": "1"}) if len(arrived_at) == 1 else web.Response()

    sink.script = script
    await relay.channel(name="Ops", channel_type="webhook", webhook_url=sink.url)

    await relay.webhook(webhook())

    await relay.settled(1)
    assert arrived_at[1] - arrived_at[0] >= 1


async def test_a_rejected_delivery_is_dead_and_not_retried(relay: Relay, sink: Sink) -> None:
    sink.script = in_turn(web.Response(status=400, text="no such field"))
    await relay.channel(name="Ops", channel_type="webhook", webhook_url=sink.url)

    await relay.webhook(webhook())

    [delivery] = await relay.settled(1, state="dead")
    assert (delivery["last_reason"], delivery["last_error"]) == ("clientError", "400 no such field")
    assert delivery["next_attempt_at"] is None
    [attempt] = (await detail(relay, delivery))["attempts"]
    assert (attempt["outcome"], attempt["status_code"]) == ("rejected", 400)
    await asyncio.sleep(LONGER_THAN_THE_FIRST_BACKOFF)
    assert len(sink.received) == 1


async def test_a_retry_does_not_wait_for_another_group_in_flight(relay: Relay, sink: Sink) -> None:
    released, failed = asyncio.Event(), asyncio.Event()

    async def script(request: web.Request) -> web.Response:
        if b'group=\\"hangs\\"' in await request.read():
            await released.wait()
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
        released.set()
    await relay.settled(2)


async def test_a_channel_whose_secrets_cannot_be_decrypted_waits_and_blocks_no_other(
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
