"""Commits of batches of webhooks, with the routing table and all that was read as they are at the commit."""

import asyncio
import random
from collections.abc import Sequence
from datetime import timedelta
from typing import Final

import asyncpg
import structlog

from relay.domain.errors import RelayError
from relay.receive.backlog import MANY_ALERTS
from relay.receive.batch import Batch, decide
from relay.receive.incoming import Incoming, series_keys
from relay.receive.known import Known
from relay.receive.parts import Conflict, LargeWebhook
from relay.route.table import RoutingTable
from relay.store.configuration import channels
from relay.store.outbox import ingest
from relay.store.postgres.database import RETRYABLE, STATEMENT_TIMEOUT, Database, HeldConnection
from relay.store.postgres.statements import DriverConnection
from relay.telemetry import Metrics

ATTEMPTS: Final = 30
"""Attempts to commit a batch that conflicts with another process or a change of the configuration."""
MAX_BACKOFF: Final = 0.02
"""Seconds at most between such attempts."""
CONFLICT: Final[tuple[type[Exception], ...]] = (
    *RETRYABLE,
    asyncpg.UniqueViolationError,
    asyncpg.LockNotAvailableError,
    Conflict,
)
"""Another process has written the same groups or series meanwhile, or is writing them."""
ALERTS_PER_SECOND: Final = 2_500
"""The rate at which a large webhook is decided and written at least; it may take longer accordingly."""
HEAVY_ALERTS: Final = 500
HEAVY_PAIRS: Final = 20_000
"""Alerts, and pairs of alerts and channels, of a batch that are decided in some tens of milliseconds at most."""
MANY_CHANNELS: Final = 200
"""Channels whose table is built in some tens of milliseconds."""
COMMIT_SETTINGS: Final = {"enable_seqscan": "off", "lock_timeout": "'2s'"}
"""Every look-up has its index: a plan that was made while a table was empty would scan it when it is large. And no
commit waits for that of a large webhook in another process until its time is over."""

log = structlog.get_logger(__name__)


class Committer:
    """What a process knows of the configuration and of its own commits."""

    def __init__(self, database: Database, tenant_label: str, repeat_after: timedelta, metrics: Metrics) -> None:
        """Nothing is known."""
        self._reading = HeldConnection(database)
        self._tenant_label = tenant_label
        self._repeat_after = repeat_after
        self._metrics = metrics
        self._known = Known()
        self._table: RoutingTable | None = None

    async def commit(self, incoming: Sequence[Incoming], connection: HeldConnection) -> Batch:
        """Decide and write, and repeat until the routing table and all that was read are current at the commit."""
        large = len(incoming) == 1 and len(incoming[0].keys) > MANY_ALERTS
        for attempt in range(ATTEMPTS):
            table = self._table or await self.load_table()
            try:
                commit = self._commit_large if large else self._commit
                if (batch := await commit(incoming, connection, table)) is not None:
                    return batch
            except CONFLICT:
                pass
            await self.load_table()
            if attempt > 1:
                await asyncio.sleep(random.uniform(0, MAX_BACKOFF))  # noqa: S311 - no secret
        raise RelayError("the configuration or the alerts change faster than webhooks can be written")

    async def load_table(self) -> RoutingTable:
        """Read the channels' filters."""
        async with self._reading.use() as driver:
            return await self._load_table(driver)

    async def drop(self) -> None:
        """Discard the connection."""
        await self._reading.drop()

    async def _commit(
        self, incoming: Sequence[Incoming], connection: HeldConnection, table: RoutingTable
    ) -> Batch | None:
        keys = series_keys(incoming)
        group_hashes = sorted({one.group_hash for one in incoming})
        alerts = sum(len(one.keys) + len(one.keys_without_source) for one in incoming)
        known = self._known.state(group_hashes, keys, alerts, len(incoming))
        ids = None
        try:
            async with connection.use() as driver:
                stored = known or await ingest.load(driver, group_hashes, keys, alerts, len(incoming))
                if alerts > HEAVY_ALERTS or alerts * len(table.channels) > HEAVY_PAIRS:
                    batch = await asyncio.to_thread(decide, incoming, stored, table, self._repeat_after)
                else:
                    batch = decide(incoming, stored, table, self._repeat_after)
                next_ids = self._known.ids_to_draw(alerts, len(incoming))
                ids = await ingest.write(driver, table.version, batch.rows, *next_ids)
            if ids is not None:
                self._known.committed(stored, batch.rows, ids)
                return batch
        finally:
            if ids is None:  # the states that were decided with are changed, and not written
                self._known.conflict(group_hashes, keys)
        return None

    async def _commit_large(
        self, incoming: Sequence[Incoming], connection: HeldConnection, table: RoutingTable
    ) -> Batch:
        [webhook] = incoming
        try:
            async with connection.use(STATEMENT_TIMEOUT + len(webhook.keys) / ALERTS_PER_SECOND) as driver:
                large = LargeWebhook(webhook, driver, self._repeat_after)
                return await large.commit(table, self._load_table)
        finally:
            self._known.forget(webhook.group_hash, webhook.series)

    async def _load_table(self, driver: DriverConnection) -> RoutingTable:
        version, filters = await channels.load_filters(driver)
        if len(filters) > MANY_CHANNELS:
            self._table = await asyncio.to_thread(RoutingTable, version, filters, self._tenant_label)
        else:
            self._table = RoutingTable(version, filters, self._tenant_label)
        for channel_id, error in self._table.invalid.items():
            log.error("channel_not_routable", channel_id=channel_id, detail=error)
        self._metrics.config_version.set(version)
        return self._table
