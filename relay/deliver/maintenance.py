"""Periodic maintenance: send overdue deliveries to fallbacks, expire them, and purge old rows."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

import structlog

from relay.domain.outcomes import Reason
from relay.store.outbox import message_edits, overdue, releases
from relay.store.postgres.database import FAILED, Database, HeldConnection, error_message
from relay.store.postgres.statements import DriverConnection
from relay.store.reports import channel_health
from relay.telemetry import Metrics

INTERVAL: Final = 1.0
MIN_INTERVAL: Final = 0.25
"""Seconds between runs. A delivery to a destination that is gone waits for the next one."""
EXPIRE_EVERY: Final = 60
"""Runs, about a minute: what expires has waited for hours."""
PURGE_EVERY: Final = 3600
"""Runs, about an hour."""

log = structlog.get_logger(__name__)


class Maintenance:
    """Runs every few seconds in each process that delivers; row locks on the lanes keep the processes apart."""

    def __init__(
        self,
        database: Database,
        metrics: Metrics,
        wake: Callable[[set[str]], None],
        fallback_after: float,
        give_up_after: float,
        stale_after: float,
    ) -> None:
        """Times are in seconds; `wake` is called with the fallback channels that got deliveries."""
        self._connection = HeldConnection(database)
        self._metrics = metrics
        self._wake = wake
        self._fallback_after = fallback_after
        self._give_up_after = give_up_after
        self._stale_after = stale_after

    async def run(self) -> None:
        """Run until canceled."""
        runs = 0
        try:
            while True:
                await asyncio.sleep(max(MIN_INTERVAL, min(INTERVAL, self._fallback_after)))
                runs += 1
                await self._move(overdue.fall_back, self._fallback_after)
                if runs % EXPIRE_EVERY == 0:
                    await self._move(overdue.expire, self._give_up_after)
                    await self._close_acknowledgements()
                if runs % PURGE_EVERY == 0:
                    await self._purge()
        finally:
            await self._connection.drop()

    async def _close_acknowledgements(self) -> None:
        with contextlib.suppress(*FAILED):
            async with self._connection.use() as driver:
                await releases.close_acknowledgements(driver)

    async def _purge(self) -> None:
        with contextlib.suppress(*FAILED):
            async with self._connection.use() as driver:
                await channel_health.purge_tallies(driver)
                await message_edits.purge(driver, self._stale_after)

    async def _move(
        self,
        move: Callable[[DriverConnection, float], Awaitable[Sequence[overdue.Moved]]],
        after: float,
    ) -> None:
        """Move overdue deliveries, a limited number in each transaction."""
        moved: Sequence[overdue.Moved] = ()
        try:
            while len(moved) % overdue.MOVED_AT_ONCE == 0:
                async with self._connection.use() as driver:
                    moved = await move(driver, after)
                if not moved:
                    return
                self._observe(moved)
        except FAILED as error:
            log.warning("maintenance_failed", error=error_message(error))

    def _observe(self, moved: Sequence[overdue.Moved]) -> None:
        for delivery in moved:
            if delivery.reason is Reason.EXPIRED:
                self._metrics.dead.labels(delivery.channel_type, delivery.reason).inc()
            else:
                self._metrics.merged.labels(delivery.channel_type, "fallback").inc()
            if delivery.fallback is not None:
                self._metrics.fallbacks.labels(delivery.channel_type, delivery.reason).inc()
        reasons = sorted({delivery.reason.value for delivery in moved})
        log.warning("overdue_deliveries_moved", deliveries=len(moved), reasons=reasons)
        if fallbacks := {delivery.fallback for delivery in moved if delivery.fallback is not None}:
            self._wake(fallbacks)
