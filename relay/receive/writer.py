"""The writer of webhooks: one commit at a time, each with all webhooks that arrived during the previous one."""

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final

import msgspec
import structlog

from relay.domain.alerts import Group
from relay.domain.errors import RelayError, Unavailable
from relay.receive.batch import Batch, Webhook, build_batch
from relay.route.table import RoutingTable
from relay.store.configuration import channels
from relay.store.outbox import ingest
from relay.store.postgres.database import FAILED, RETRYABLE, UNAVAILABLE, Database, HeldConnection, error_message
from relay.telemetry import Metrics

MAX_PENDING_WEBHOOKS: Final = 2_000
MAX_PENDING_BYTES: Final = 64 * 1024 * 1024
MAX_BATCH_ALERTS: Final = 2_000
MAX_BATCH_BYTES: Final = 8 * 1024 * 1024
ATTEMPTS: Final = 5
"""Attempts to commit a batch that conflicts with another transaction or a change of the configuration."""
PROBE_EVERY: Final = 0.25
PURGE_EVERY: Final = 300.0

log = structlog.get_logger(__name__)


class WebhookResult(msgspec.Struct, frozen=True):
    """The response to a webhook. `suppressed` counts alerts that were not routed because they are late."""

    alerts: int
    notifications: int
    suppressed: int
    duplicate: bool


class _Pending(msgspec.Struct, frozen=True):
    webhook: Webhook
    result: "asyncio.Future[WebhookResult]"


class Writer:
    """The only writer of a process. Webhooks are queued in memory and acknowledged after the commit."""

    def __init__(
        self,
        database: Database,
        tenant_label: str,
        repeat_after: timedelta,
        metrics: Metrics,
        wake: Callable[[set[str]], None],
    ) -> None:
        """`wake` is called after each commit with the ids of the channels that have new deliveries."""
        self._connection = HeldConnection(database)
        self._tenant_label = tenant_label
        self._repeat_after = repeat_after
        self._metrics = metrics
        self._wake = wake
        self._table: RoutingTable | None = None
        self._stale = False
        self._pending: deque[_Pending] = deque()
        self._pending_bytes = 0
        self._arrived = asyncio.Event()
        self._unavailable = False
        self._purged_at = time.monotonic()

    async def submit(self, body: bytes, group: Group) -> WebhookResult:
        """Store a webhook. When this returns, the alerts and their deliveries are committed.

        Raises:
            Unavailable: Postgres is unavailable or the queue is full. If the connection failed during the commit,
                the webhook may be stored anyway; a retry is then a duplicate.
        """
        if self._unavailable:
            raise Unavailable("the database is unavailable")
        if len(self._pending) >= MAX_PENDING_WEBHOOKS or self._pending_bytes + len(body) > MAX_PENDING_BYTES:
            raise Unavailable("too many webhooks are waiting for the database")
        result: asyncio.Future[WebhookResult] = asyncio.get_running_loop().create_future()
        self._pending.append(_Pending(Webhook(body, group), result))
        self._pending_bytes += len(body)
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
                await self._arrived.wait()
                self._arrived.clear()
                try:
                    await self._work()
                except FAILED as error:
                    await self._handle_outage(error)
        finally:
            self._reject_all("the relay is shutting down")
            await self._connection.drop()

    async def _work(self) -> None:
        if self._stale:
            await self._load_table()
        while self._pending:
            await self._write(self._take())
        if time.monotonic() - self._purged_at > PURGE_EVERY:
            self._purged_at = time.monotonic()
            async with self._connection.use() as driver:
                await ingest.purge_group_states(driver, self._repeat_after * 2)

    def _take(self) -> list[_Pending]:
        """Take webhooks for the next commit, up to a size that keeps the statement fast."""
        taken: list[_Pending] = []
        alerts = size = 0
        while self._pending and (not taken or (alerts < MAX_BATCH_ALERTS and size < MAX_BATCH_BYTES)):
            pending = self._pending.popleft()
            taken.append(pending)
            alerts += len(pending.webhook.group.alerts)
            size += len(pending.webhook.body)
        self._pending_bytes -= size
        return taken

    async def _write(self, taken: list[_Pending]) -> None:
        try:
            started = time.perf_counter()
            batch, written = await self._commit([pending.webhook for pending in taken])
            self._metrics.commit_seconds.observe(time.perf_counter() - started)
            self._metrics.commit_webhooks.observe(len(taken))
        except UNAVAILABLE as error:
            for pending in taken:
                _reject(pending, "the database is unavailable")
            raise ConnectionError(str(error)) from error
        except Exception as error:  # one invalid webhook must not stop the writer or fail the others
            if len(taken) > 1:
                for pending in taken:
                    await self._write([pending])
                return
            log.exception("ingest_failed", group_key=taken[0].webhook.group.group_key)
            _reject(taken[0], f"the webhook could not be stored ({type(error).__name__})")
            return
        self._report(taken, batch, written)

    async def _commit(self, webhooks: list[Webhook]) -> tuple[Batch, list[ingest.IngestResult]]:
        """Route and write, and repeat until the routing table is current at the commit."""
        for _ in range(ATTEMPTS):
            table = self._table or await self._load_table()
            received_at = datetime.now(UTC)
            batch = build_batch(webhooks, table, received_at)
            try:
                async with self._connection.use() as driver:
                    written = await ingest.write(
                        driver, table.version, received_at, self._repeat_after, batch.alerts, batch.webhooks
                    )
            except RETRYABLE:
                continue
            if written is not None:
                return batch, written
            await self._load_table()
        raise RelayError("the configuration changes faster than webhooks can be routed")

    async def _load_table(self) -> RoutingTable:
        self._stale = False
        async with self._connection.use() as driver:
            version, filters = await channels.load_filters(driver)
        self._table = RoutingTable(version, filters, self._tenant_label)
        for channel_id, error in self._table.invalid.items():
            log.error("channel_not_routable", channel_id=channel_id, detail=error)
        self._metrics.config_version.set(version)
        return self._table

    def _report(self, taken: list[_Pending], batch: Batch, written: list[ingest.IngestResult]) -> None:
        first_of_row: set[int] = set()
        for pending, row in zip(taken, batch.row_of, strict=True):
            stored = written[row]
            duplicate = stored.duplicate or row in first_of_row
            first_of_row.add(row)
            result = WebhookResult(
                alerts=len(pending.webhook.group.alerts),
                notifications=0 if duplicate else stored.notifications,
                suppressed=0 if duplicate else stored.late + batch.late[row],
                duplicate=duplicate,
            )
            self._count(pending.webhook.group, result)
            if not pending.result.done():
                pending.result.set_result(result)
        channel_ids = {
            delivery.channel_id
            for webhook, result in zip(batch.webhooks, written, strict=True)
            if not result.duplicate
            for delivery in webhook.deliveries
        }
        if channel_ids:
            self._wake(channel_ids)

    def _count(self, group: Group, result: WebhookResult) -> None:
        self._metrics.webhooks.labels("duplicate" if result.duplicate else "accepted").inc()
        firing = sum(alert.firing for alert in group.alerts)
        self._metrics.alerts.labels("firing").inc(firing)
        self._metrics.alerts.labels("resolved").inc(len(group.alerts) - firing)
        self._metrics.notifications.inc(result.notifications)

    async def _handle_outage(self, error: Exception) -> None:
        self._unavailable = True
        log.error("database_unavailable", error=error_message(error))
        self._reject_all("the database is unavailable")
        await self._connection.drop()

    async def _probe(self) -> None:
        """Wait until Postgres is available again; meanwhile `submit` rejects webhooks immediately."""
        while True:
            with contextlib.suppress(*FAILED):
                await self._load_table()
                self._unavailable = False
                log.info("database_available")
                return
            await self._connection.drop()
            await asyncio.sleep(PROBE_EVERY)

    def _reject_all(self, reason: str) -> None:
        while self._pending:
            _reject(self._pending.popleft(), reason)
        self._pending_bytes = 0


def _reject(pending: _Pending, reason: str) -> None:
    if not pending.result.done():
        pending.result.set_exception(Unavailable(reason))
