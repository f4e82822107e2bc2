"""Tests of order and independence: within a group, between the groups of a channel, and between channels."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web

from relay.deliver.throttle import INITIAL_CONCURRENCY, MAX_CONCURRENCY
from tests.fixtures.relays import Relay, alert, webhook
from tests.fixtures.sink import Sink


class Platform:
    """Responds with 500 to `failing` groups, never to `hanging` paths, and counts requests in flight."""

    def __init__(self, sink: Sink) -> None:
        self.failing: set[str] = set()
        self.hanging: set[str] = set()
        self.latency = 0.0
        self.released = asyncio.Event()
        self.accepted: list[tuple[str, str]] = []
        self.in_flight = 0
        self.max_in_flight = 0
        sink.script = self.respond

    async def respond(self, request: web.Request) -> web.Response:
        message: dict[str, Any] = json.loads(await request.read())
        group = message["group_labels"]["group"]
        self.in_flight += 1
        self.max_in_flight = max(self.max_in_flight, self.in_flight)
        await asyncio.sleep(self.latency)
        if request.path in self.hanging:
            await self.released.wait()
        self.in_flight -= 1
        if group in self.failing:
            return web.Response(status=500)
        self.accepted.append((group, message["status"]))
        return web.Response()


@asynccontextmanager
async def platform(sink: Sink) -> AsyncIterator[Platform]:
    """A platform that responds to everything at the end."""
    platform = Platform(sink)
    try:
        yield platform
    finally:
        platform.released.set()


async def test_a_waiting_delivery_is_replaced_by_a_newer_one_of_its_group_and_blocks_no_other_group(
    relay: Relay, sink: Sink
) -> None:
    async with platform(sink) as slack:
        slack.failing.add("a")
        await relay.channel(name="Ops", channel_type="webhook", webhook_url=sink.url)
        await relay.webhook(webhook(alert("A"), group="a"))
        await sink.wait_for(1)
        await relay.webhook(webhook(alert("A", status="resolved"), group="a"))

        await relay.webhook(webhook(alert("B"), group="b"))

        await relay.settled(1)
        await sink.wait_for(4)
        assert slack.accepted == [("b", "firing")]
        slack.failing.clear()
        await relay.settled(2)
        assert slack.accepted == [("b", "firing"), ("a", "resolved")]
        alerts = sink.received[-1].json["alerts"]
        assert [(alert["status"], alert["untold_firing"]) for alert in alerts] == [("resolved", True)]


async def test_a_flapping_group_is_delivered_in_order(relay: Relay, sink: Sink) -> None:
    async with platform(sink) as slack:
        slack.latency = 0.02
        await relay.channel(name="Ops", channel_type="webhook", webhook_url=sink.url)

        for at in range(10):
            started = {"startsAt": f"2026-11-23T15:{at:02}:00Z"}
            await relay.webhook(webhook(alert() | started))
            ended = {"endsAt": f"2026-11-23T15:{at:02}:30Z"}
            await relay.webhook(webhook(alert(status="resolved") | started | ended))

        async with asyncio.timeout(20):
            while await relay.items("/deliveries?state=pending") or await relay.items("/deliveries?state=sending"):
                await asyncio.sleep(0.05)
        sent = [(alert["starts_at"], alert["status"]) for got in sink.received for alert in got.json["alerts"]]
        assert sent == sorted(sent)
        assert {start for start, status in sent if status == "resolved"} == {start for start, _ in sent}
        assert len({start for start, _ in sent}) == 10


async def test_groups_of_a_channel_are_sent_concurrently_up_to_the_limit(relay: Relay, sink: Sink) -> None:
    async with platform(sink) as slack:
        slack.latency = 0.3
        await relay.channel(name="Ops", channel_type="webhook", webhook_url=sink.url)

        count = MAX_CONCURRENCY * 3
        await asyncio.gather(*(relay.webhook(webhook(group=str(at))) for at in range(count)))

        await relay.settled(count)
        assert INITIAL_CONCURRENCY < slack.max_in_flight <= MAX_CONCURRENCY
        assert len(sink.received) == count


async def test_a_hanging_channel_does_not_block_another(relay: Relay, sink: Sink) -> None:
    async with platform(sink) as slack:
        slack.hanging.add("/slow")
        for name in ("slow", "fast"):
            await relay.channel(name=name, channel_type="webhook", webhook_url=f"{sink.url}/{name}")

        await asyncio.gather(*(relay.webhook(webhook(group=str(at))) for at in range(40)))

        await relay.settled(40, max_wait=8)
        assert len(sink.at("/fast")) == 40
        assert {item["channel_id"] for item in await relay.items("/deliveries?state=delivered")} == {"fast"}
        slack.released.set()
        await relay.settled(80)
