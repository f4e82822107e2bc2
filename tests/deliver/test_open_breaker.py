"""Tests of channels whose platform fails: they wait without wasting attempts, and resume when it recovers."""

import asyncio
from typing import Any

import pytest
from aiohttp import web

from relay.deliver import circuit_breaker
from relay.deliver.circuit_breaker import FAILURE_THRESHOLD
from relay.deliver.throttle import MAX_CONCURRENCY
from tests.fixtures.relays import Relay, alert, webhook
from tests.fixtures.sink import Sink

GROUPS = 40


async def health(relay: Relay, channel_id: str = "ops") -> Any:
    return (await relay.call("GET", f"/channels/{channel_id}/health")).json


async def wait_for_state(relay: Relay, state: str) -> Any:
    """Wait until the channel is in a state; return its health."""
    while (found := await health(relay))["state"] != state:
        pass
    return found


async def test_a_platform_that_is_down_gets_a_few_probes_and_no_delivery_dies(
    relay: Relay, sink: Sink, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(circuit_breaker, "MIN_PROBE_DELAY", 0.1)
    sink.script = lambda _: web.Response(status=500, text="oh")
    await relay.channel(name="Ops", channel_type="webhook", webhook_url=sink.url)

    for at in range(GROUPS):
        await relay.webhook(webhook(alert(instance=str(at)), group=str(at)))
    found = await wait_for_state(relay, "open")

    assert (found["last_reason"], found["last_error"]) == ("serverError", "500 oh")
    assert found["consecutive_failures"] >= FAILURE_THRESHOLD
    assert found["open_since"] is not None
    assert found["waiting"] == GROUPS
    await sink.wait_for(FAILURE_THRESHOLD + 2)
    attempts = [item["attempt_count"] for item in await relay.items("/deliveries?limit=500")]
    assert sum(attempts) <= MAX_CONCURRENCY
    assert attempts.count(0) >= GROUPS - MAX_CONCURRENCY

    sink.script = None
    await relay.settled(GROUPS, max_wait=60)
    assert {request.json["group_key"] for request in sink.received} == {
        f'{{}}:{{group="{at}"}}' for at in range(GROUPS)
    }
    found = await health(relay)
    assert (found["consecutive_failures"], found["open_since"], found["waiting"]) == (0, None, 0)
    assert found["last_success_at"] > found["last_failure_at"]
    assert 0 < found["success_rate_1h"] < 1


async def test_rejected_messages_do_not_block_their_channel(relay: Relay, sink: Sink) -> None:
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


async def test_a_corrected_channel_resumes_immediately(relay: Relay, sink: Sink) -> None:
    sink.script = lambda request: web.Response(status=403 if request.path == "/old" else 200)
    await relay.channel(name="Ops", channel_type="webhook", webhook_url=f"{sink.url}/old")
    for at in range(FAILURE_THRESHOLD * 2):
        await relay.webhook(webhook(group=str(at)))
    await wait_for_state(relay, "open")

    patched = await relay.call("PATCH", "/channels/ops", json={"webhook_url": f"{sink.url}/new"})

    assert patched.status == 200
    await relay.settled(FAILURE_THRESHOLD * 2)
    assert len(sink.at("/new")) == FAILURE_THRESHOLD * 2


async def test_a_delivery_queued_during_a_pause_is_sent_when_the_channel_is_corrected(
    relay: Relay, sink: Sink
) -> None:
    respond = asyncio.Event()

    async def script(request: web.Request) -> web.Response:
        if request.path == "/new":
            return web.Response()
        if b"limited" in await request.read():
            return web.Response(status=429, headers={"Retry-After": "3600"})
        await respond.wait()
        return web.Response()

    sink.script = script
    await relay.channel(name="Ops", channel_type="webhook", webhook_url=f"{sink.url}/old")
    await relay.webhook(webhook(group="slow"))
    await sink.wait_for(1)
    await relay.webhook(webhook(group="limited"))
    while (await health(relay))["last_reason"] != "rateLimited":
        pass
    await relay.webhook(webhook(group="later"))
    respond.set()
    await relay.settled(1)

    patched = await relay.call("PATCH", "/channels/ops", json={"webhook_url": f"{sink.url}/new"})

    assert patched.status == 200
    await relay.settled(3, max_wait=5)
    assert len(sink.at("/new")) == 2
