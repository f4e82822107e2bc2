"""The writer of webhooks: each commit has all webhooks that arrived during the previous ones."""

import asyncio
import contextlib
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final

import structlog

from relay.domain.alerts import Group
from relay.domain.errors import Unavailable
from relay.domain.identity import Hashes, Sender
from relay.receive.accounting import Accounting
from relay.receive.backlog import MANY_ALERTS, Backlog, Pending, WebhookResult
from relay.receive.batch import Batch
from relay.receive.committer import COMMIT_SETTINGS, Committer
from relay.receive.incoming import Webhook, derive
from relay.store.outbox import aging
from relay.store.postgres.database import (
    FAILED,
    STATEMENT_TIMEOUT,
    UNAVAILABLE,
    WRONG_SCHEMA,
    Database,
    HeldConnection,
    error_message,
)
from relay.telemetry import Metrics

COMMITS: Final = 2
"""Commits that may overlap: Postgres writes one while the next one is decided."""
KEEP_GROUP_STATES: Final = timedelta(days=1)
"""How long at least the states of a group are kept after its last webhook."""
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
        self._connections = [
            HeldConnection(database, STATEMENT_TIMEOUT, **COMMIT_SETTINGS) for _ in range(COMMITS)
        ]
        self._maintaining = HeldConnection(database)
        self._committer = Committer(database, tenant_label, repeat_after, metrics)
        self._tenant_label = tenant_label
        self._repeat_after = repeat_after
        self._stale_after = stale_after
        self._now = now
        self._received_at = datetime.min.replace(tzinfo=UTC)
        self._accounting = Accounting(metrics)
        self._metrics = metrics
        self._wake = wake
        self._config_changed = False
        self._backlog = Backlog()
        self._commits: dict[asyncio.Task[None], HeldConnection] = {}
        self._arrived = asyncio.Event()
        self._database = database
        self._unavailable = ""
        """Why webhooks are rejected."""
        self._wrong_schema = False
        self._maintained_at = time.monotonic()

    async def submit(
        self, body: bytes, group: Group, sender: Sender, source: str = "", hashes: Hashes | None = None
    ) -> WebhookResult:
        """Store a webhook. When this returns, the alerts and their deliveries are committed.

        `hashes` are those of the body if its group is bounded.

        Raises:
            Unavailable: Postgres is unavailable or the queue is full. If the connection failed during the commit,
                the webhook may be stored anyway; a retry is then a duplicate.
        """
        if self._unavailable:
            raise Unavailable(self._unavailable)
        self._backlog.require_room(len(body))
        webhook = Webhook(
            body=body, group=group, sender=sender, received_at=self._now(), source=source, hashes=hashes
        )
        if len(group.alerts) > MANY_ALERTS:
            incoming = await asyncio.to_thread(derive, webhook, self._tenant_label)
            self._backlog.require_room(len(body))
        else:
            incoming = derive(webhook, self._tenant_label)
        # No two webhooks of a process are received at the same time, so that times tell their order.
        self._received_at = max(self._now(), self._received_at + timedelta(microseconds=1))
        incoming = incoming.received(self._received_at)
        result = self._backlog.add(incoming)
        self._arrived.set()
        return await result

    def config_changed(self) -> None:
        """Reload the routing table soon, which saves the next commit a round trip to detect the change."""
        self._config_changed = True
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
        if self._config_changed:
            self._config_changed = False
            await self._committer.load()
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
        async with self._maintaining.use() as driver:
            await aging.purge_group_states(driver, now, kept)
            if stale := await aging.mark_stale(driver, now, self._stale_after):
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
            batch = await self._committer.commit([pending.incoming for pending in taken], connection)
            self._metrics.commit_seconds.observe(time.perf_counter() - started)
            self._metrics.commit_webhooks.observe(len(taken))
            if self._database.deleted():
                raise ConnectionError("the files of the database were deleted")
        except (*UNAVAILABLE, WRONG_SCHEMA) as error:
            reason = await self._reason(error)
            for pending in taken:
                pending.reject(reason)
            if isinstance(error, WRONG_SCHEMA):
                raise
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
            self._accounting.count_silenced(decision)
            self._accounting.report_unrouted(pending.incoming, decision)
            if not pending.result.done():
                pending.result.set_result(result)
        if channel_ids:
            self._wake(channel_ids)

    async def _handle_outage(self, error: Exception) -> None:
        self._unavailable = await self._reason(error)
        self._wrong_schema = isinstance(error, WRONG_SCHEMA)
        log.error("database_unavailable", error=error_message(error), detail=self._unavailable)
        await self._drop(self._unavailable)

    async def _reason(self, error: Exception) -> str:
        problem = await self._database.schema_problem() if isinstance(error, WRONG_SCHEMA) else None
        return problem or self._database.outage()

    async def _drop(self, reason: str) -> None:
        """Reject all webhooks that wait, and end all commits; whether these were durable is not known."""
        self._backlog.reject_all(reason)
        for task in self._commits:
            task.cancel()
        await asyncio.gather(*self._commits, return_exceptions=True)
        self._commits.clear()
        for connection in (*self._connections, self._maintaining):
            await connection.drop()
        await self._committer.drop()

    async def _probe(self) -> None:
        """Wait until Postgres is available again; meanwhile `submit` rejects webhooks immediately."""
        while True:
            with contextlib.suppress(*FAILED):
                await self._committer.load()
                if self._database.disk_problem() is None and not (
                    self._wrong_schema and await self._database.schema_problem()
                ):
                    self._unavailable = ""
                    log.info("database_available")
                    return
            await self._committer.drop()
            await asyncio.sleep(PROBE_EVERY)
