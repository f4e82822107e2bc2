"""How do webhooks become durable: one commit at a time, each with all that arrived during the one before?"""

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
from relay.store.postgres.database import AWAY, FAILED, RETRYABLE, Database, HeldConnection, in_words
from relay.telemetry import Metrics

MAX_WAITING_WEBHOOKS: Final = 2_000
MAX_WAITING_BYTES: Final = 64 * 1024 * 1024
MAX_BATCH_ALERTS: Final = 2_000
MAX_BATCH_BYTES: Final = 8 * 1024 * 1024
ATTEMPTS: Final = 5
"""How often a batch is tried anew when it met another transaction, or a change of the configuration."""
PROBE_EVERY: Final = 0.25
PURGE_EVERY: Final = 300.0

log = structlog.get_logger(__name__)


class WebhookResult(msgspec.Struct, frozen=True):
    """What the webhook's sender is told. `suppressed` counts alerts held back although a channel might match."""

    alerts: int
    notifications: int
    suppressed: int
    duplicate: bool


class _Waiting(msgspec.Struct, frozen=True):
    webhook: Webhook
    answer: "asyncio.Future[WebhookResult]"


class Writer:
    """The one writer of a process. Webhooks wait for it in memory, but nobody is told yes before the commit."""

    def __init__(
        self,
        database: Database,
        tenant_label: str,
        repeat_after: timedelta,
        metrics: Metrics,
        wake: Callable[[set[str]], None],
    ) -> None:
        """`wake` is called after each commit with the channels that have something to send."""
        self._connection = HeldConnection(database)
        self._tenant_label = tenant_label
        self._repeat_after = repeat_after
        self._metrics = metrics
        self._wake = wake
        self._table: RoutingTable | None = None
        self._stale = False
        self._waiting: deque[_Waiting] = deque()
        self._waiting_bytes = 0
        self._arrived = asyncio.Event()
        self._away = False
        self._purged_at = time.monotonic()

    async def submit(self, body: bytes, group: Group) -> WebhookResult:
        """Store a webhook; when this returns, it and all that it calls for are committed.

        Raises:
            Unavailable: Postgres is away, or too much waits. It may have been stored all the same if the
                connection broke during the commit; sent again, it is then a duplicate.
        """
        if self._away:
            raise Unavailable("the database is away")
        if len(self._waiting) >= MAX_WAITING_WEBHOOKS or self._waiting_bytes + len(body) > MAX_WAITING_BYTES:
            raise Unavailable("too many webhooks are waiting for the database")
        answer: asyncio.Future[WebhookResult] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Waiting(Webhook(body, group), answer))
        self._waiting_bytes += len(body)
        self._arrived.set()
        return await answer

    def config_changed(self) -> None:
        """Reload the routing table soon. Without this call the next commit would notice, and cost a round trip."""
        self._stale = True
        self._arrived.set()

    async def run(self) -> None:
        """Write what arrives, until cancelled; what waits then is refused."""
        try:
            while True:
                if self._away:
                    await self._probe()
                await self._arrived.wait()
                self._arrived.clear()
                try:
                    await self._work()
                except FAILED as error:
                    await self._went_away(error)
        finally:
            self._refuse("the relay is shutting down")
            await self._connection.drop()

    async def _work(self) -> None:
        if self._stale:
            await self._load_table()
        while self._waiting:
            await self._write(self._take())
        if time.monotonic() - self._purged_at > PURGE_EVERY:
            self._purged_at = time.monotonic()
            async with self._connection.use() as driver:
                await ingest.purge_group_states(driver, self._repeat_after * 2)

    def _take(self) -> list[_Waiting]:
        """What goes into the next commit: all that waits, up to a size that keeps the statement short."""
        taken: list[_Waiting] = []
        alerts = size = 0
        while self._waiting and (not taken or (alerts < MAX_BATCH_ALERTS and size < MAX_BATCH_BYTES)):
            waiting = self._waiting.popleft()
            taken.append(waiting)
            alerts += len(waiting.webhook.group.alerts)
            size += len(waiting.webhook.body)
        self._waiting_bytes -= size
        return taken

    async def _write(self, taken: list[_Waiting]) -> None:
        try:
            started = time.perf_counter()
            batch, written = await self._commit([waiting.webhook for waiting in taken])
            self._metrics.commit_seconds.observe(time.perf_counter() - started)
            self._metrics.commit_webhooks.observe(len(taken))
        except AWAY as error:
            for waiting in taken:
                _refuse(waiting, "the database is away")
            raise ConnectionError(str(error)) from error
        except Exception as error:  # a webhook that can't be stored must not end the writer, nor take others along
            if len(taken) > 1:
                for waiting in taken:
                    await self._write([waiting])
                return
            log.exception("ingest_failed", group_key=taken[0].webhook.group.group_key)
            _refuse(taken[0], f"the webhook could not be stored ({type(error).__name__})")
            return
        self._tell(taken, batch, written)

    async def _commit(self, webhooks: list[Webhook]) -> tuple[Batch, list[ingest.Written]]:
        """Route and write, as often as it takes for the routing table to be the one in force at the commit."""
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
        for channel_id, why in self._table.invalid.items():
            log.error("channel_not_routable", channel_id=channel_id, detail=why)
        self._metrics.config_version.set(version)
        return self._table

    def _tell(self, taken: list[_Waiting], batch: Batch, written: list[ingest.Written]) -> None:
        first_of_row: set[int] = set()
        for waiting, row in zip(taken, batch.row_of, strict=True):
            result = written[row]
            duplicate = result.duplicate or row in first_of_row
            first_of_row.add(row)
            answer = WebhookResult(
                alerts=len(waiting.webhook.group.alerts),
                notifications=0 if duplicate else result.notifications,
                suppressed=0 if duplicate else result.late + batch.late[row],
                duplicate=duplicate,
            )
            self._count(waiting.webhook.group, answer)
            if not waiting.answer.done():
                waiting.answer.set_result(answer)
        channel_ids = {
            delivery.channel_id
            for webhook, result in zip(batch.webhooks, written, strict=True)
            if not result.duplicate
            for delivery in webhook.deliveries
        }
        if channel_ids:
            self._wake(channel_ids)

    def _count(self, group: Group, answer: WebhookResult) -> None:
        self._metrics.webhooks.labels("duplicate" if answer.duplicate else "accepted").inc()
        firing = sum(alert.firing for alert in group.alerts)
        self._metrics.alerts.labels("firing").inc(firing)
        self._metrics.alerts.labels("resolved").inc(len(group.alerts) - firing)
        self._metrics.notifications.inc(answer.notifications)

    async def _went_away(self, error: Exception) -> None:
        self._away = True
        log.error("database_away", error=in_words(error))
        self._refuse("the database is away")
        await self._connection.drop()

    async def _probe(self) -> None:
        """Wait until Postgres answers again; meanwhile `submit` refuses at once."""
        while True:
            with contextlib.suppress(*FAILED):
                await self._load_table()
                self._away = False
                log.info("database_back")
                return
            await self._connection.drop()
            await asyncio.sleep(PROBE_EVERY)

    def _refuse(self, why: str) -> None:
        while self._waiting:
            _refuse(self._waiting.popleft(), why)
        self._waiting_bytes = 0


def _refuse(waiting: _Waiting, why: str) -> None:
    if not waiting.answer.done():
        waiting.answer.set_exception(Unavailable(why))
