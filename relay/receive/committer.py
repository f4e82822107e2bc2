"""Commits of batches of webhooks, with the routing table and all that was read as they are at the commit."""

import asyncio
import random
from collections.abc import Sequence
from contextlib import nullcontext
from datetime import timedelta
from typing import Final

import asyncpg

from relay.domain.errors import RelayError
from relay.receive.backlog import MANY_ALERTS
from relay.receive.batch import Batch, decide
from relay.receive.configuration import CurrentConfiguration
from relay.receive.incoming import Incoming, series_keys
from relay.receive.known import Known
from relay.receive.parts import Conflict, LargeWebhook
from relay.route.configuration import Configuration
from relay.store.outbox import ingest
from relay.store.postgres.database import RETRYABLE, STATEMENT_TIMEOUT, Database, HeldConnection
from relay.telemetry import Metrics

ATTEMPTS: Final = 30
"""Attempts to commit a batch that conflicts with another process or a change of the configuration."""
MAX_OUTDATED: Final = 3
"""Attempts that changes of the configuration may overtake; then the commit locks it first. After such a commit,
one attempt is enough for the next one."""
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
COMMIT_SETTINGS: Final = {"enable_seqscan": "off", "lock_timeout": "'2s'"}
"""Every look-up has its index: a plan that was made while a table was empty would scan it when it is large. And no
commit waits for that of a large webhook in another process until its time is over."""


class Committer:
    """What a process knows of the configuration and of its own commits."""

    def __init__(self, database: Database, tenant_label: str, repeat_after: timedelta, metrics: Metrics) -> None:
        """Nothing is known."""
        self._reading = HeldConnection(database, enable_seqscan=COMMIT_SETTINGS["enable_seqscan"])
        self._current = CurrentConfiguration(tenant_label, metrics)
        self._repeat_after = repeat_after
        self._known = Known()
        self._overtaken = False
        """The last commit had to lock the configuration."""

    async def commit(self, incoming: Sequence[Incoming], connection: HeldConnection) -> Batch:
        """Decide and write, and repeat until the routing table and all that was read are current at the commit."""
        large = len(incoming) == 1 and len(incoming[0].keys) > MANY_ALERTS
        outdated = MAX_OUTDATED - 1 if self._overtaken else 0
        for attempt in range(ATTEMPTS):
            known = self._current.known or await self.load()
            try:
                if large:
                    return await self._commit_large(incoming, connection, known)
                batch = await self._commit(incoming, connection, known, locked=outdated >= MAX_OUTDATED)
                if batch is not None:
                    self._overtaken = outdated >= MAX_OUTDATED
                    return batch
            except CONFLICT:
                pass
            if await self.load() is not known:
                outdated += 1
            if attempt > 1:
                await asyncio.sleep(random.uniform(0, MAX_BACKOFF))  # noqa: S311 - no secret
        raise RelayError("the configuration or the alerts change faster than webhooks can be written")

    async def load(self) -> Configuration:
        """Read the configuration, as far as it has changed."""
        async with self._reading.use() as driver:
            return await self._current.load(driver)

    async def drop(self) -> None:
        """Discard the connection, and what is known: the database may be another one later."""
        self._current.forget()
        await self._reading.drop()

    async def _commit(
        self,
        incoming: Sequence[Incoming],
        connection: HeldConnection,
        configuration: Configuration,
        *,
        locked: bool,
    ) -> Batch | None:
        """Write in one statement; or `locked`, with the configuration locked and loaded first."""
        keys = series_keys(incoming)
        group_hashes = sorted({one.group_hash for one in incoming})
        alerts = sum(len(one.keys) + len(one.keys_without_source) for one in incoming)
        known = self._known.state(group_hashes, keys, alerts, len(incoming))
        ids = None
        try:
            async with connection.use() as driver, driver.transaction() if locked else nullcontext():
                if locked:
                    configuration = await self._current.load(driver, lock=True)
                stored = known or await ingest.load(driver, group_hashes, keys, alerts, len(incoming))
                if alerts > HEAVY_ALERTS or alerts * len(configuration.table.channels) > HEAVY_PAIRS:
                    batch = await asyncio.to_thread(decide, incoming, stored, configuration, self._repeat_after)
                else:
                    batch = decide(incoming, stored, configuration, self._repeat_after)
                next_ids = self._known.ids_to_draw(alerts, len(incoming))
                written = await ingest.write(driver, configuration.version, batch.rows, *next_ids)
            ids = written
            if ids is not None:
                self._known.committed(stored, batch.rows, ids)
                return batch
        finally:
            if ids is None:  # the states that were decided with are changed, and not written
                self._known.conflict(group_hashes, keys)
        return None

    async def _commit_large(
        self, incoming: Sequence[Incoming], connection: HeldConnection, configuration: Configuration
    ) -> Batch:
        [webhook] = incoming
        try:
            async with connection.use(STATEMENT_TIMEOUT + len(webhook.keys) / ALERTS_PER_SECOND) as driver:
                large = LargeWebhook(webhook, driver, self._repeat_after)
                return await large.commit(
                    configuration,
                    lambda driver, outdated: self._current.load(driver, lock=outdated >= MAX_OUTDATED),
                )
        finally:
            self._known.forget(webhook.group_hash, webhook.series)
