"""A run: many histories at the same time on two replicas, until everything is sent; then the audit."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from random import Random
from typing import Any, Final

import aiohttp
import asyncpg

from tests.fixtures.platforms import listening
from tests.fixtures.processes import RelayProcess, on_database
from tests.fixtures.relays import running
from tests.model.suppression.audit import Stored, violations
from tests.model.suppression.client import Client
from tests.model.suppression.clock import Clock
from tests.model.suppression.player import Player
from tests.model.suppression.records import Key, Story
from tests.model.suppression.sinks import FIRST, SECOND, Sinks

REPLICAS: Final = 2
SETTLED_FOR: Final = 2.5
"""Seconds in which nothing must change: more than two looks for suppressions that have ended."""
WATCH_EVERY: Final = 0.1
SETTINGS: Final[dict[str, Any]] = {"repeat_after": 0.05, "digest_after": 1.0, "send_timeout": 2.0}
WAITING: Final = """
  SELECT (SELECT count(*) FROM deliveries WHERE state IN ('pending', 'sending')), count(*) FROM held_deliveries
"""
DELIVERIES: Final = """
  SELECT d.id, d.channel_id, d.kind, d.state, d.attempt, d.merged_into, d.fallback_of, d.suppressed_by,
    coalesce(d.alert_ids, '{}') AS alert_ids, d.withheld, d.receipt_id, d.positions,
    d.created_at, d.delivered_at, d.redelivered_at
  FROM deliveries d ORDER BY d.id
"""
INTERRUPTED: Final = "SELECT delivery_id FROM attempts WHERE reason = 'interrupted'"
ALERTS: Final = "SELECT id, alertname, starts_at FROM alerts"


@dataclass(frozen=True)
class Plan:
    """The parameters of a run: how long the histories are, and the average pause between what happens in them."""

    seed: int
    histories: int
    seconds: float = 12.0
    pause: float = 0.25
    kill_every: tuple[float, float] = (3.0, 6.0)
    timeout: float = 60.0


@dataclass
class Report:
    """The result of a run."""

    stories: Sequence[Story] = ()
    stored: Stored = field(default_factory=Stored)
    violations: list[str] = field(default_factory=list)
    faults: int = 0
    suppressed: int = 0
    releases: int = 0
    digests: int = 0
    settled: bool = False


Faults = Callable[[asyncio.Event], Awaitable[int]]
"""What happens to the replicas during a run, until an event; it returns how often it happened."""


async def run_in_process(plan: Plan, database_url: str) -> Report:
    """Play histories on relays of this process, whose clock jumps ahead."""
    clock, rng = Clock(), Random(f"{plan.seed} jumps")

    async def jump(end: asyncio.Event) -> int:
        count = 0
        while not await _ended(end, rng.uniform(0.5, 1.5)):
            clock.jump(timedelta(seconds=rng.choice((0.5, 1, 2, 3))))
            count += 1
        return count

    async with (
        running(database_url, now=clock.now, **SETTINGS) as one,
        running(database_url, now=clock.now, **SETTINGS) as other,
    ):
        return await _run(plan, [one.url, other.url], database_url, clock, jump)


async def run_with_processes(plan: Plan, database_url: str) -> Report:
    """Play histories on processes, of which one after the other is killed and started again."""
    rng = Random(f"{plan.seed} kills")
    async with _processes(database_url) as replicas:

        async def kill(end: asyncio.Event) -> int:
            count = 0
            while not await _ended(end, rng.uniform(*plan.kill_every)):
                replica = rng.choice(replicas)
                await replica.kill()
                await asyncio.sleep(rng.uniform(0, 1))
                await replica.start()
                count += 1
            return count

        report = await _run(plan, [one.url for one in replicas], database_url, Clock(), kill)
        tracebacks = sum(one.output.count("Traceback") for one in replicas)
    if tracebacks:
        report.violations.append(f"{tracebacks} tracebacks in the logs of the replicas")
    return report


@asynccontextmanager
async def _processes(database_url: str) -> AsyncIterator[list[RelayProcess]]:
    settings = {f"RELAY_{name.upper()}": str(value) for name, value in SETTINGS.items()}
    replicas = [RelayProcess(on_database(database_url) | settings) for _ in range(REPLICAS)]
    try:
        await asyncio.gather(*(replica.start() for replica in replicas))
        yield replicas
    finally:
        for replica in replicas:
            await replica.kill()


async def _run(plan: Plan, urls: Sequence[str], database_url: str, clock: Clock, faults: Faults) -> Report:
    names = [f"h{number}" for number in range(plan.histories)]
    stories = {name: Story(name) for name in names}
    async with listening() as platform, aiohttp.ClientSession() as session:
        sinks = Sinks(platform, stories, Random(f"{plan.seed} sinks"))
        players = []
        for story in stories.values():
            rng = Random(f"{plan.seed} {story.name}")
            client = Client(session, urls, rng)
            fields = sinks.fields(story)
            story.channels = tuple(one["id"] for one in fields)
            story.fallbacks = {f"{story.name}-{FIRST}": f"{story.name}-{SECOND}"}
            for one in fields:
                await client.call("POST", "/channels", json=one)
            players.append(Player(story, client, clock, rng))
        end = asyncio.Event()
        async with asyncio.TaskGroup() as tasks:
            happened = tasks.create_task(_until(end, faults))
            watching = tasks.create_task(_watch(database_url, sinks.waiting))
            await asyncio.gather(*(player.play(plan.seconds, plan.pause) for player in players))
            end.set()
            sinks.recovered = True
            await asyncio.gather(*(player.finish() for player in players))
            report = Report(list(stories.values()), faults=await happened)
            await _settle(plan, database_url, report)
            watching.cancel()
    stored = report.stored = await _stored(database_url, clock)
    report.violations += [text for story in stories.values() for text in violations(story, stored)]
    report.suppressed = sum(bool(one["suppressed_by"]) for one in stored.deliveries)
    report.releases = sum(one["kind"] == "release" for one in stored.deliveries)
    report.digests = sum(one["kind"] == "digest" for one in stored.deliveries)
    return report


async def _until(end: asyncio.Event, faults: Faults) -> int:
    return await faults(end)


async def _watch(database_url: str, waiting: dict[int, float]) -> None:
    """Record when deliveries wait, until canceled."""
    connection = await asyncpg.connect(database_url)
    try:
        while True:
            at = time.monotonic()
            rows = await connection.fetch("SELECT id FROM deliveries WHERE state = 'pending'")
            waiting.update((row["id"], at) for row in rows)
            await asyncio.sleep(WATCH_EVERY)
    finally:
        await connection.close()


async def _settle(plan: Plan, database_url: str, report: Report) -> None:
    """Wait until nothing waits, and nothing is held, for a while."""
    connection = await asyncpg.connect(database_url)
    try:
        until, quiet_since = time.monotonic() + plan.timeout, time.monotonic()
        while time.monotonic() < until and not report.settled:
            if any(await connection.fetchrow(WAITING)):
                quiet_since = time.monotonic()
            report.settled = time.monotonic() - quiet_since >= SETTLED_FOR
            await asyncio.sleep(0.1)
    finally:
        await connection.close()


async def _stored(database_url: str, clock: Clock) -> Stored:
    connection = await asyncpg.connect(database_url)
    try:
        deliveries = [dict(row) for row in await connection.fetch(DELIVERIES)]
        alerts: dict[int, Key] = {
            row["id"]: (row["alertname"], row["starts_at"].isoformat(timespec="milliseconds"))
            for row in await connection.fetch(ALERTS)
        }
        held = await connection.fetch("SELECT delivery_id FROM held_deliveries")
        interrupted = await connection.fetch(INTERRUPTED)
    finally:
        await connection.close()
    created = {one["id"]: clock.moment(one["created_at"]) for one in deliveries}
    ids = (frozenset(row["delivery_id"] for row in rows) for rows in (held, interrupted))
    return Stored(deliveries, alerts, next(ids), created, next(ids))


async def _ended(end: asyncio.Event, seconds: float) -> bool:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await end.wait()
    return end.is_set()
