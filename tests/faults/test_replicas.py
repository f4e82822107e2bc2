"""Tests of several servers and workers on one Postgres: they share limits, and take over lanes."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest

from relay.store.outbox.lanes import LEASE_SECONDS
from tests.fixtures.behaviors import Behavior, answers, hangs
from tests.fixtures.platforms import Arrival, Platform
from tests.fixtures.processes import (
    WorkerProcess,
    create_channel,
    fetch,
    on_database,
    outbox_drained,
    post_webhook,
    relay_process,
    worker_process,
)
from tests.fixtures.relays import alert, webhook

GROUPS = 30
MAX_MESSAGES = 15
WINDOW = 1.0
TOLERANCE = 0.05
"""Seconds by which the latency of loopback may differ between requests."""

pytestmark = pytest.mark.slow


class OnePerSecond:
    """A platform that accepts one request per second, and responds with 429 to others."""

    def __init__(self, platform: Platform) -> None:
        self.names: set[str] = set()
        self.messages = 0
        self.rejected = 0
        self._platform = platform
        platform.script = self._answer

    def _answer(self, arrival: Arrival) -> Behavior:
        before = [request.at for request in self._platform.received if request is not arrival]
        if before and arrival.at - max(before) < WINDOW - TOLERANCE:
            self.rejected += 1
            return answers(429, headers={"Retry-After": "1"})
        self.messages += 1
        self.names |= names_in(arrival.json)
        return answers(200, "ok")


def names_in(message: dict[str, Any]) -> set[str]:
    """The alerts of a message, or all that its digest counts."""
    if digest := message.get("digest"):
        return {count["alertname"] for count in digest["counts"]}
    return {alert["alertname"] for alert in message["alerts"]}


async def test_replicas_share_a_rate_limit_and_send_a_burst_in_few_messages(
    database_url: str, platform: Platform
) -> None:
    sink = OnePerSecond(platform)
    environ = on_database(database_url)
    async with (
        relay_process(environ) as one,
        relay_process(environ) as other,
        worker_process(environ),
        worker_process(environ),
    ):
        limit = {"per_second": 1, "burst": 1}
        await create_channel(
            one.url, name="Ops", channel_type="webhook", webhook_url=platform.url, rate_limit=limit
        )
        names = [f"Alert{number:02}" for number in range(GROUPS)]

        await asyncio.gather(
            *(post_webhook((one, other)[at % 2].url, group_of(name)) for at, name in enumerate(names))
        )

        await outbox_drained(database_url)
    assert sink.names == set(names)
    assert sink.messages < MAX_MESSAGES
    assert sink.rejected == 0
    gaps = [later.at - earlier.at for earlier, later in pairwise(platform.received)]
    assert all(gap >= WINDOW - TOLERANCE for gap in gaps), gaps


def group_of(name: str) -> dict[str, Any]:
    """A webhook with one alert, named like its group."""
    return webhook(alert(name), group=name)


@dataclass(frozen=True)
class HeldLane:
    """A lane held by a worker whose request hangs at the platform, with a second worker running."""

    database_url: str
    first: WorkerProcess
    platform: Platform

    async def lease_until(self) -> datetime:
        """When the lease of the held lane ends."""
        [row] = await fetch(self.database_url, "SELECT lease_until FROM lanes WHERE owner IS NOT NULL")
        until: datetime = row["lease_until"]
        return until

    async def attempts(self) -> list[Any]:
        """The attempts of the delivery, in order, once it is delivered."""
        await outbox_drained(self.database_url)
        return await fetch(self.database_url, "SELECT * FROM attempts ORDER BY number")


@pytest.fixture
async def held(database_url: str, platform: Platform) -> AsyncIterator[HeldLane]:
    """See `HeldLane`; the platform responds to all requests after the first."""
    platform.script = lambda arrival: hangs if arrival is platform.received[0] else answers(200, "ok")
    environ = on_database(database_url) | {"RELAY_SEND_TIMEOUT": "60", "RELAY_SHUTDOWN_TIMEOUT": "0.2"}
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(relay_process(environ, "--no-delivery"))
        first = await stack.enter_async_context(worker_process(environ))
        await create_channel(server.url, name="Ops", channel_type="webhook", webhook_url=platform.url)
        await post_webhook(server.url, group_of("Stuck"))
        await platform.wait_for(1)
        await stack.enter_async_context(worker_process(environ))
        yield HeldLane(database_url, first, platform)


async def test_the_lanes_of_a_killed_worker_are_taken_over_when_its_lease_ends(held: HeldLane) -> None:
    await held.first.kill()
    lease_until = await held.lease_until()

    *_, last = await held.attempts()

    assert last["outcome"] == "sent"
    assert last["started_at"] >= lease_until
    assert last["started_at"] - lease_until < timedelta(seconds=LEASE_SECONDS)
    assert len(held.platform.received) == 2
    assert json.loads(held.platform.received[1].body)["id"] == json.loads(held.platform.received[0].body)["id"]


async def test_the_lanes_of_a_stopped_worker_are_taken_over_immediately(held: HeldLane) -> None:
    lease_until = await held.lease_until()
    assert await held.first.stop() == 0

    *before, last = await held.attempts()

    assert [(one["outcome"], one["reason"]) for one in before] == [("retry", "interrupted")]
    assert last["outcome"] == "sent"
    assert last["started_at"] < lease_until
