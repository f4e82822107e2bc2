"""A run: start everything, cause faults, wait until the outbox is empty, and audit the records."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from random import Random
from typing import Any, Final

import asyncpg

from tests.faults.torture.audit import Findings, audit
from tests.faults.torture.chaos import RESTARTS, Chaos
from tests.faults.torture.groups import states
from tests.faults.torture.records import Acknowledged, Interruption
from tests.faults.torture.senders import send_group
from tests.faults.torture.sinks import Sink, sinks
from tests.fixtures.postgres import OwnPostgres, migrate, short_folder
from tests.fixtures.processes import RelayProcess, create_channel, on_database

REPLICAS: Final = 2
ALLOWED: Final = "127.0.0.0/8,does-not-exist.invalid"
STILL_WAITING: Final = "SELECT count(*) FROM deliveries WHERE state IN ('pending', 'sending')"
ENDS: Final = "SELECT state, merged_into IS NULL AS alone, count(*) FROM deliveries GROUP BY 1, 2"


@dataclass(frozen=True)
class Plan:
    """The parameters of a run; all random choices follow from the seed, except for the machine's timing.

    `failing` is the share of requests that the sinks fail; `limit` is the limited channel's, in messages per
    second; `timeout` is in seconds, for the senders to finish and then for the outbox.
    """

    seed: int
    webhooks: int = 2000
    seconds: float = 60.0
    groups: int = 100
    kill_every: tuple[float, float] = (2.0, 5.0)
    min_kills: int = 2
    restarts: tuple[str, ...] = RESTARTS
    failing: float = 1 / 3
    limit: float = 1.0
    timeout: float = 180.0


@dataclass
class Report:
    """The results of a run; `ends` counts the deliveries by their final state."""

    plan: Plan
    acknowledged: list[Acknowledged] = field(default_factory=list)
    interruptions: list[Interruption] = field(default_factory=list)
    sinks: list[Sink] = field(default_factory=list)
    outages: int = 0
    waiting: int = 0
    ends: Counter[str] = field(default_factory=Counter)
    findings: Findings = field(default_factory=Findings)
    exit_codes: list[int] = field(default_factory=list)
    tracebacks: int = 0
    seconds: float = 0.0

    @property
    def violations(self) -> list[str]:
        """All violations, one per line."""
        found = [*self.findings.lost, *self.findings.out_of_order, *self.findings.unannounced]
        repeated, allowed = self.findings.duplicates, self.findings.duplicates_allowed
        checks = {
            f"{repeated} messages were accepted twice, {allowed} were in flight at the kills": repeated > allowed,
            f"{self.waiting} deliveries still wait": self.waiting > 0,
            f"{self.ends['dead']} deliveries are dead": self.ends["dead"] > 0,
            f"{self.ends['merged without a target']} have no merge target": (
                self.ends["merged without a target"] > 0
            ),
            "redirects were followed": any(sink.followed for sink in self.sinks),
            f"replicas exited with {self.exit_codes}": any(self.exit_codes),
        }
        return found + [text for text, violated in checks.items() if violated]


async def run(plan: Plan) -> Report:
    """One complete run, with its own Postgres and processes."""
    report = Report(plan)
    started = time.monotonic()
    async with AsyncExitStack() as stack:
        postgres = await stack.enter_async_context(own_postgres())
        report.sinks = sinks(plan.seed, plan.failing, plan.limit)
        for sink in report.sinks:
            await sink.platform.start()
            stack.push_async_callback(sink.platform.stop)
        replicas = await stack.enter_async_context(started_replicas(postgres.url))
        for sink in report.sinks:
            await create_channel(replicas[0].url, **sink.fields)
        await cause_faults(plan, replicas, postgres, report)
        await drain(plan, postgres.url, report)
        report.exit_codes = [await replica.stop() for replica in replicas]
        report.tracebacks = sum(replica.output.count("Traceback") for replica in replicas)
    requests = {sink.channel: sink.requests for sink in report.sinks}
    report.findings = audit(report.acknowledged, requests, report.interruptions)
    report.seconds = time.monotonic() - started
    return report


async def cause_faults(
    plan: Plan, replicas: Sequence[RelayProcess], postgres: OwnPostgres, report: Report
) -> None:
    """Send all states while everything fails; at the end everything works again."""
    rng = Random(f"{plan.seed} chaos")
    share = plan.seconds / (len(plan.restarts) + 1)
    restarts_at = {kind: share * (at + rng.uniform(0.5, 1)) for at, kind in enumerate(plan.restarts)}
    chaos = Chaos(replicas, postgres, report.sinks, rng, plan.kill_every, restarts_at, plan.min_kills)
    end = asyncio.Event()
    async with asyncio.timeout(plan.seconds + plan.timeout), asyncio.TaskGroup() as tasks:
        tasks.create_task(chaos.run(end))
        await send_all(plan, [replica.url for replica in replicas], report.acknowledged)
        end.set()
    report.interruptions, report.outages = chaos.interruptions, chaos.outages
    for sink in report.sinks:
        sink.recovered = True


async def send_all(plan: Plan, urls: Sequence[str], acknowledged: list[Acknowledged]) -> None:
    """Send the states of all groups concurrently."""
    count, more = divmod(plan.webhooks, plan.groups)
    async with asyncio.TaskGroup() as tasks:
        for number in range(plan.groups):
            rng = Random(f"{plan.seed} group {number}")
            length = count + (number < more)
            walk = states(f"g{number:03}", length, rng)
            tasks.create_task(send_group(walk, urls, plan.seconds / max(length, 1), rng, acknowledged))


async def drain(plan: Plan, database_url: str, report: Report) -> None:
    """Wait until no delivery waits, at most the timeout; then count deliveries by state."""
    connection = await asyncpg.connect(database_url)
    try:
        until = time.monotonic() + plan.timeout
        while (waiting := await connection.fetchval(STILL_WAITING)) and time.monotonic() < until:
            await asyncio.sleep(0.2)
        report.waiting = waiting
        for state, alone, count in await connection.fetch(ENDS):
            without_target = state == "merged" and alone
            report.ends["merged without a target" if without_target else state] += count
    finally:
        await connection.close()


@asynccontextmanager
async def own_postgres() -> AsyncIterator[OwnPostgres]:
    """A separate, migrated Postgres."""
    with short_folder() as folder:
        postgres = OwnPostgres(folder)
        await asyncio.to_thread(postgres.start)
        try:
            await migrate(postgres.url)
            yield postgres
        finally:
            await asyncio.to_thread(postgres.start)  # it may be down after an error
            await asyncio.to_thread(postgres.stop)


@asynccontextmanager
async def started_replicas(database_url: str) -> AsyncIterator[list[RelayProcess]]:
    """Running replicas, killed at the end if they still run."""
    environ: dict[str, Any] = on_database(database_url) | {
        "RELAY_SEND_TIMEOUT": "1",
        "RELAY_DIGEST_AFTER": "1",
        "RELAY_ALLOWED_TARGETS": ALLOWED,
    }
    replicas = [RelayProcess(environ) for _ in range(REPLICAS)]
    try:
        await asyncio.gather(*(replica.start() for replica in replicas))
        yield replicas
    finally:
        for replica in replicas:
            await replica.kill()
