"""The writer of webhooks: each commit has all webhooks that arrived during the previous ones."""

import asyncio
import contextlib
import random
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final

import asyncpg
import structlog

from relay.domain.alerts import Group
from relay.domain.errors import RelayError, Unavailable
from relay.domain.identity import Sender
from relay.receive.accounting import Accounting
from relay.receive.backlog import MANY_ALERTS, Backlog, Pending, WebhookResult
from relay.receive.batch import Batch, decide
from relay.receive.incoming import Incoming, Webhook, derive, series_keys
from relay.receive.known import Known
from relay.route.table import RoutingTable
from relay.store.configuration import channels
from relay.store.outbox import ingest
from relay.store.postgres.database import (
    FAILED,
    RETRYABLE,
    STATEMENT_TIMEOUT,
    UNAVAILABLE,
    Database,
    HeldConnection,
    error_message,
)
from relay.telemetry import Metrics

COMMITS: Final = 2
"""Commits that may overlap: Postgres writes one while the next one is decided."""
ATTEMPTS: Final = 30
"""Attempts to commit a batch that conflicts with another process or a change of the configuration."""
MAX_BACKOFF: Final = 0.02
"""Seconds at most between such attempts."""
CONFLICT: Final[tuple[type[Exception], ...]] = (*RETRYABLE, asyncpg.UniqueViolationError)
"""Another process has written the same groups or series meanwhile."""
KEEP_GROUP_STATES: Final = timedelta(days=1)
"""How long at least the states of a group are kept after its last webhook."""
ALERTS_PER_SECOND: Final = 5_000
"""The rate at which Postgres writes a large batch at least; its statement may take longer accordingly."""
PROBE_EVERY: Final = 0.25
MAINTAIN_EVERY: Final = 60.0
"""Seconds between looks for stale alerts and for states of groups that are too old."""

log = structlog.get_logger(__name__)


class Writer:
    """The only writer of a process. Webhooks are queued in memory and acknowledged after the commit.

    Commits overlap if they have no group and no series in common.
    """

    def __init__(
        self,
        database: Database,
        tenant_label: str,
        repeat_after: timedelta,
        stale_after: float,
        metrics: Metrics,
        wake: Callable[[set[str]], None],
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """`wake` is called after each commit with the ids of the channels that have new deliveries.

        `now` is the clock by which webhooks are received, and by which alerts become stale.
        """
        # Every look-up has its index. A plan that was made while a table was empty would scan it when it is large.
        self._connections = [HeldConnection(database, enable_seqscan="off") for _ in range(COMMITS)]
        self._tenant_label = tenant_label
        self._repeat_after = repeat_after
        self._stale_after = stale_after
        self._now = now
        self._known = Known()
        self._received_at = datetime.min.replace(tzinfo=UTC)
        self._accounting = Accounting(metrics)
        self._metrics = metrics
        self._wake = wake
        self._table: RoutingTable | None = None
        self._stale = False
        self._backlog = Backlog()
        self._commits: dict[asyncio.Task[None], HeldConnection] = {}
        self._arrived = asyncio.Event()
        self._unavailable = False
        self._maintained_at = time.monotonic()

    async def submit(self, body: bytes, group: Group, sender: Sender, source: str = "") -> WebhookResult:
        """Store a webhook. When this returns, the alerts and their deliveries are committed.

        Raises:
            Unavailable: Postgres is unavailable or the queue is full. If the connection failed during the commit,
                the webhook may be stored anyway; a retry is then a duplicate.
        """
        if self._unavailable:
            raise Unavailable("the database is unavailable")
        self._backlog.require_room(len(body))
        incoming: Incoming | None = None
        if len(group.alerts) > MANY_ALERTS:
            webhook = Webhook(body=body, group=group, sender=sender, received_at=self._now(), source=source)
            incoming = await asyncio.to_thread(derive, webhook, self._tenant_label)
            self._backlog.require_room(len(body))
        # No two webhooks of a process are received at the same time, so that times tell their order.
        self._received_at = max(self._now(), self._received_at + timedelta(microseconds=1))
        if incoming is None:
            webhook = Webhook(body=body, group=group, sender=sender, received_at=self._received_at, source=source)
            incoming = derive(webhook, self._tenant_label)
        else:
            incoming = incoming.received(self._received_at)
        result = self._backlog.add(incoming)
        self._arrived.set()
        return await result

    def config_changed(self) -> None:
        """Reload the routing table soon, which saves the next commit a round trip to detect the change."""
        self._stale = True
        self._arrived.set()

    async def run(self) -> None:
        """Write webhooks until canceled, then reject those in the queue."""
        try:
            while True:
                if self._unavailable:
                    await self._probe()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(MAINTAIN_EVERY):
                        await self._arrived.wait()
                self._arrived.clear()
                try:
                    await self._work()
                    if time.monotonic() - self._maintained_at >= MAINTAIN_EVERY:
                        await self._maintain()
                except FAILED as error:
                    await self._handle_outage(error)
        finally:
            await self._drop("the relay is shutting down")

    async def _work(self) -> None:
        """Collect the commits that have ended, and begin others."""
        for task in [task for task in self._commits if task.done()]:
            del self._commits[task]
            task.result()
        if self._stale:
            await self._load_table()
        free = [connection for connection in self._connections if connection not in self._commits.values()]
        for connection in free:
            if not (taken := self._backlog.take()):
                break
            task = asyncio.create_task(self._write(taken, connection))
            task.add_done_callback(lambda _: self._arrived.set())
            self._commits[task] = connection

    async def _maintain(self) -> None:
        """Mark stale alerts, and delete states of groups that nothing can repeat."""
        self._maintained_at = time.monotonic()
        now, kept = self._now(), max(self._repeat_after * 2, KEEP_GROUP_STATES)
        async with self._connections[0].use() as driver:
            await ingest.purge_group_states(driver, now, kept)
            if stale := await ingest.mark_stale(driver, now, self._stale_after):
                log.warning("alerts_stale", count=stale, detail="no report mentions them any longer")

    async def _write(self, taken: list[Pending], connection: HeldConnection) -> None:
        try:
            await self._write_all(taken, connection)
        finally:
            self._backlog.done(taken)
            for pending in taken:  # without effect on those that have their result
                pending.reject("the commit was interrupted")

    async def _write_all(self, taken: list[Pending], connection: HeldConnection) -> None:
        try:
            started = time.perf_counter()
            batch = await self._commit([pending.incoming for pending in taken], connection)
            self._metrics.commit_seconds.observe(time.perf_counter() - started)
            self._metrics.commit_webhooks.observe(len(taken))
        except UNAVAILABLE as error:
            for pending in taken:
                pending.reject("the database is unavailable")
            raise ConnectionError(str(error)) from error
        except Exception as error:  # one invalid webhook must not stop the writer or fail the others
            if len(taken) > 1:
                for pending in taken:
                    await self._write_all([pending], connection)
                return
            log.exception("ingest_failed", group_key=taken[0].incoming.webhook.group.group_key)
            taken[0].reject(f"the webhook could not be stored ({type(error).__name__})")
            return
        self._report(taken, batch)

    async def _commit(self, incoming: list[Incoming], connection: HeldConnection) -> Batch:
        """Decide and write, and repeat until the routing table and all that was read are current at the commit."""
        keys = series_keys(incoming)
        group_hashes = sorted({one.group_hash for one in incoming})
        alerts = sum(len(one.keys) + len(one.keys_without_source) for one in incoming)
        for attempt in range(ATTEMPTS):
            table = self._table or await self._load_table()
            known = self._known.state(group_hashes, keys, alerts, len(incoming))
            ids = None
            try:
                async with connection.use(STATEMENT_TIMEOUT + alerts / ALERTS_PER_SECOND) as driver:
                    stored = known or await ingest.load(driver, group_hashes, keys, alerts, len(incoming))
                    if alerts > MANY_ALERTS:
                        batch = await asyncio.to_thread(decide, incoming, stored, table, self._repeat_after)
                    else:
                        batch = decide(incoming, stored, table, self._repeat_after)
                    next_ids = self._known.ids_to_draw(alerts, len(incoming))
                    ids = await ingest.write(driver, table.version, batch.rows, *next_ids)
                if ids is not None:
                    self._known.committed(stored, batch.rows, ids)
                    return batch
            except CONFLICT:
                pass
            finally:
                if ids is None:  # the states that were decided with are changed, and not written
                    self._known.conflict(group_hashes, keys)
            await self._load_table()
            if attempt > 1:
                await asyncio.sleep(random.uniform(0, MAX_BACKOFF))  # noqa: S311 - no secret
        raise RelayError("the configuration or the alerts change faster than webhooks can be written")

    async def _load_table(self) -> RoutingTable:
        self._stale = False
        async with self._connections[0].use() as driver:
            version, filters = await channels.load_filters(driver)
        self._table = RoutingTable(version, filters, self._tenant_label)
        for channel_id, error in self._table.invalid.items():
            log.error("channel_not_routable", channel_id=channel_id, detail=error)
        self._metrics.config_version.set(version)
        return self._table

    def _report(self, taken: list[Pending], batch: Batch) -> None:
        channel_ids: set[str] = set()
        for pending, decision in zip(taken, batch.decisions, strict=True):
            group = pending.incoming.webhook.group
            result = WebhookResult(
                alerts=len(group.alerts),
                notifications=len(decision.channel_ids),
                suppressed=decision.suppressed,
                duplicate=decision.duplicate,
            )
            channel_ids.update(decision.channel_ids)
            self._accounting.count(group, result)
            self._accounting.report_alternation(pending.incoming, decision)
            if not pending.result.done():
                pending.result.set_result(result)
        if channel_ids:
            self._wake(channel_ids)

    async def _handle_outage(self, error: Exception) -> None:
        self._unavailable = True
        log.error("database_unavailable", error=error_message(error))
        await self._drop("the database is unavailable")

    async def _drop(self, reason: str) -> None:
        """Reject all webhooks that wait, and end all commits; whether these were durable is not known."""
        self._backlog.reject_all(reason)
        for task in self._commits:
            task.cancel()
        await asyncio.gather(*self._commits, return_exceptions=True)
        self._commits.clear()
        for connection in self._connections:
            await connection.drop()

    async def _probe(self) -> None:
        """Wait until Postgres is available again; meanwhile `submit` rejects webhooks immediately."""
        while True:
            with contextlib.suppress(*FAILED):
                await self._load_table()
                self._unavailable = False
                log.info("database_available")
                return
            await self._connections[0].drop()
            await asyncio.sleep(PROBE_EVERY)
