"""Does a channel whose platform fails wait without burning attempts, and go on when the platform is back?"""

import asyncio
from typing import Any

from aiohttp import web

from relay.deliver.circuit_breaker import FAILURE_THRESHOLD
from relay.deliver.throttle import MAX_CONCURRENCY
from tests.fixtures.relays import Relay, alert, webhook
from tests.fixtures.sink import Sink

GROUPS = 40


async def health(relay: Relay, channel_id: str = "ops") -> Any:
    return (await relay.call("GET", f"/channels/{channel_id}/health")).json


async def until(relay: Relay, state: str) -> Any:
    """Return the channel's health when it is in a state."""
    while (shown := await health(relay))["state"] != state:
        pass
    return shown


async def test_a_platform_that_is_down_gets_a_few_probes_and_no_delivery_dies(relay: Relay, sink: Sink) -> None:
    sink.script = lambda _: web.Response(status=500, text="oh")
    await relay.channel(name="Ops", channel_type="webhook", webhook_url=sink.url)

    for at in range(GROUPS):
        await relay.webhook(webhook(alert(instance=str(at)), group=str(at)))
    shown = await until(relay, "open")

    assert (shown["last_reason"], shown["last_error"]) == ("serverError", "500 oh")
    assert shown["consecutive_failures"] >= FAILURE_THRESHOLD
    assert shown["open_since"] is not None
    assert shown["waiting"] == GROUPS
    await sink.wait_for(FAILURE_THRESHOLD + 2)
    attempts = [item["attempt_count"] for item in await relay.items("/deliveries?limit=500")]
    assert sum(attempts) <= MAX_CONCURRENCY
    assert attempts.count(0) >= GROUPS - MAX_CONCURRENCY

    sink.script = None
    await relay.settled(GROUPS, max_wait=60)
    assert {one.json["group_key"] for one in sink.received} == {f'{{}}:{{group="{at}"}}' for at in range(GROUPS)}
    shown = await health(relay)
    assert (shown["consecutive_failures"], shown["open_since"], shown["waiting"]) == (0, None, 0)
    assert shown["last_success_at"] > shown["last_failure_at"]
    assert 0 < shown["success_rate_1h"] < 1


async def test_a_message_that_is_refused_does_not_hold_up_its_channel(relay: Relay, sink: Sink) -> None:
    async def script(request: web.Request) -> web.Response:
        return web.Response(status=400 if b"bad" in await request.read() else 200)

    sink.script = script
    await relay.channel(name="Ops", channel_type="webhook", webhook_url=sink.url)

    for at in range(FAILURE_THRESHOLD * 2):
        await relay.webhook(webhook(group=f"bad{at}"))
    await relay.settled(FAILURE_THRESHOLD * 2, state="dead")
    assert (await health(relay))["open_since"] is None
    await relay.webhook(webhook(group="good"))
    await relay.settled(1)


async def test_a_channel_that_was_mended_goes_on_at_once(relay: Relay, sink: Sink) -> None:
    sink.script = lambda request: web.Response(status=403 if request.path == "/old" else 200)
    await relay.channel(name="Ops", channel_type="webhook", webhook_url=f"{sink.url}/old")
    for at in range(FAILURE_THRESHOLD * 2):
        await relay.webhook(webhook(group=str(at)))
    await until(relay, "open")

    mended = await relay.call("PATCH", "/channels/ops", json={"webhook_url": f"{sink.url}/new"})

    assert mended.status == 200
    await relay.settled(FAILURE_THRESHOLD * 2)
    assert len(sink.at("/new")) == FAILURE_THRESHOLD * 2


async def test_what_comes_while_the_platform_wants_a_pause_neither_keeps_the_lane_busy_nor_outlives_the_mending(
    relay: Relay, sink: Sink
) -> None:
    go_on = asyncio.Event()

    async def script(request: web.Request) -> web.Response:
        if request.path == "/new":
            return web.Response()
        if b"refused" in await request.read():
            return web.Response(status=429, headers={"Retry-After": "3600"})
        await go_on.wait()
        return web.Response()

    sink.script = script
    await relay.channel(name="Ops", channel_type="webhook", webhook_url=f"{sink.url}/old")
    await relay.webhook(webhook(group="slow"))
    await sink.wait_for(1)
    await relay.webhook(webhook(group="refused"))
    while (await health(relay))["last_reason"] != "rateLimited":
        pass
    await relay.webhook(webhook(group="later"))
    go_on.set()
    await relay.settled(1)

    mended = await relay.call("PATCH", "/channels/ops", json={"webhook_url": f"{sink.url}/new"})

    assert mended.status == 200
    await relay.settled(3, max_wait=5)
    assert len(sink.at("/new")) == 2
