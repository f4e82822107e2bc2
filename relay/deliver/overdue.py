"""What becomes of deliveries that wait while nothing can be sent: they go to the fallback, or are given up."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

import structlog

from relay.store.outbox import message_edits, overdue
from relay.store.postgres.database import FAILED, Database, HeldConnection, in_words
from relay.store.reports import channel_health
from relay.telemetry import Metrics

LOOK_EVERY: Final = 5.0
LEAST: Final = 0.25
GIVE_UP_EVERY: Final = 12
"""Looks; what is given up waited for hours."""
PURGE_EVERY: Final = 720
"""Looks, about an hour."""

log = structlog.get_logger(__name__)


class Overdue:
    """Looks every few seconds, in every process that delivers; the lanes' rows keep them apart."""

    def __init__(
        self,
        database: Database,
        metrics: Metrics,
        wake: Callable[[set[str]], None],
        fallback_after: float,
        give_up_after: float,
    ) -> None:
        """Times are in seconds; `wake` is told of fallback channels that got something."""
        self._connection = HeldConnection(database)
        self._metrics = metrics
        self._wake = wake
        self._fallback_after = fallback_after
        self._give_up_after = give_up_after

    async def run(self) -> None:
        """Look until cancelled."""
        looks = 0
        try:
            while True:
                await asyncio.sleep(max(LEAST, min(LOOK_EVERY, self._fallback_after)))
                looks += 1
                await self._move(overdue.fall_back, self._fallback_after, "circuitOpen")
                if looks % GIVE_UP_EVERY == 0:
                    await self._move(overdue.give_up, self._give_up_after, "expired")
                if looks % PURGE_EVERY == 0:
                    await self._purge()
        finally:
            await self._connection.drop()

    async def _purge(self) -> None:
        with contextlib.suppress(*FAILED):
            async with self._connection.use() as driver:
                await channel_health.purge_tallies(driver)
                await message_edits.purge(driver)

    async def _move(
        self, move: Callable[[Any, float], Awaitable[Sequence[overdue.Moved]]], after: float, reason: str
    ) -> None:
        """Move what is overdue, part by part."""
        moved: Sequence[overdue.Moved] = ()
        try:
            while len(moved) % overdue.MOVED_AT_ONCE == 0:
                async with self._connection.use() as driver:
                    moved = await move(driver, after)
                if not moved:
                    return
                self._tell(moved, reason)
        except FAILED as error:
            log.warning("overdue_waits", error=in_words(error))

    def _tell(self, moved: Sequence[overdue.Moved], reason: str) -> None:
        for one in moved:
            if reason == "expired":
                self._metrics.dead.labels(one.channel_type, reason).inc()
            else:
                self._metrics.merged.labels(one.channel_type, "fallback").inc()
            if one.fallback is not None:
                self._metrics.fallbacks.labels(one.channel_type, reason).inc()
        log.warning("overdue_moved", deliveries=len(moved), reason=reason)
        if fallbacks := {one.fallback for one in moved if one.fallback is not None}:
            self._wake(fallbacks)
