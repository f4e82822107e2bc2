"""What waits for what: within a group, between the groups of a channel, and between channels?"""

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
    """Answers 500 to the groups that are `broken`, holds back those that `hang`, and counts what is under way."""

    def __init__(self, sink: Sink) -> None:
        self.broken: set[str] = set()
        self.hanging: set[str] = set()
        self.pause = 0.0
        self.omitted = asyncio.Event()
        self.taken: list[tuple[str, str]] = []
        self.under_way = 0
        self.most_under_way = 0
        sink.script = self.answer

    async def answer(self, request: web.Request) -> web.Response:
        message: dict[str, Any] = json.loads(await request.read())
        group = message["group_labels"]["group"]
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        await asyncio.sleep(self.pause)
        if request.path in self.hanging:
            await self.omitted.wait()
        self.under_way -= 1
        if group in self.broken:
            return web.Response(status=500)
        self.taken.append((group, message["status"]))
        return web.Response()


@asynccontextmanager
async def platform(sink: Sink) -> AsyncIterator[Platform]:
    """A platform that lets go of everything at the end."""
    made = Platform(sink)
    try:
        yield made
    finally:
        made.omitted.set()


async def test_what_waits_is_overtaken_by_what_is_newer_of_its_group_and_nothing_else_waits(
    relay: Relay, sink: Sink
) -> None:
    async with platform(sink) as slack:
        slack.broken.add("a")
        await relay.channel(name="Ops", channel_type="webhook", webhook_url=sink.url)
        await relay.webhook(webhook(alert("A"), group="a"))
        await sink.wait_for(1)
        await relay.webhook(webhook(alert("A", status="resolved"), group="a"))

        await relay.webhook(webhook(alert("B"), group="b"))

        await relay.settled(1)
        await sink.wait_for(4)
        assert slack.taken == [("b", "firing")]
        slack.broken.clear()
        await relay.settled(2)
        assert slack.taken == [("b", "firing"), ("a", "resolved")]
        [told] = [one.json["alerts"] for one in sink.received[-1:]]
        assert [(one["status"], one["untold_firing"]) for one in told] == [("resolved", True)]


async def test_a_group_that_flaps_is_told_in_order(relay: Relay, sink: Sink) -> None:
    async with platform(sink) as slack:
        slack.pause = 0.02
        await relay.channel(name="Ops", channel_type="webhook", webhook_url=sink.url)

        for at in range(10):
            started = {"startsAt": f"2026-11-23T15:{at:02}:00Z"}
            await relay.webhook(webhook(alert() | started))
            await relay.webhook(webhook(alert(status="resolved") | started))

        async with asyncio.timeout(20):
            while await relay.items("/deliveries?state=pending") or await relay.items("/deliveries?state=sending"):
                await asyncio.sleep(0.05)
        told = [(one["starts_at"], one["status"]) for got in sink.received for one in got.json["alerts"]]
        assert told == sorted(told)
        assert {moment for moment, status in told if status == "resolved"} == {moment for moment, _ in told}
        assert len({moment for moment, _ in told}) == 10


async def test_the_groups_of_a_channel_go_at_the_same_time_up_to_its_width(relay: Relay, sink: Sink) -> None:
    async with platform(sink) as slack:
        slack.pause = 0.3
        await relay.channel(name="Ops", channel_type="webhook", webhook_url=sink.url)

        count = MAX_CONCURRENCY * 3
        await asyncio.gather(*(relay.webhook(webhook(group=str(at))) for at in range(count)))

        await relay.settled(count)
        assert INITIAL_CONCURRENCY < slack.most_under_way <= MAX_CONCURRENCY
        assert len(sink.received) == count


async def test_a_channel_that_hangs_does_not_hold_up_another(relay: Relay, sink: Sink) -> None:
    async with platform(sink) as slack:
        slack.hanging.add("/slow")
        for name in ("slow", "fast"):
            await relay.channel(name=name, channel_type="webhook", webhook_url=f"{sink.url}/{name}")

        await asyncio.gather(*(relay.webhook(webhook(group=str(at))) for at in range(40)))

        await relay.settled(40, max_wait=8)
        assert len(sink.at("/fast")) == 40
        assert {item["channel_id"] for item in await relay.items("/deliveries?state=delivered")} == {"fast"}
        slack.omitted.set()
        await relay.settled(80)
