"""How are outcomes recorded: many in one statement, and again until Postgres takes them?"""

import asyncio
from typing import Final

import msgspec
import structlog

from relay.store.database import AWAY, Database, HeldConnection, in_words
from relay.store.lanes import Settlement, settle

RETRY_EVERY: Final = 0.5
ATTEMPTS: Final = 3
"""How often a statement that fails is sent again: it may have been cancelled, or met another."""
MAX_BATCH: Final = 500

log = structlog.get_logger(__name__)


class _Waiting(msgspec.Struct, frozen=True):
    settlement: Settlement
    settled: "asyncio.Future[None]"


class Settler:
    """Records outcomes, one commit at a time, each with all that came during the one before."""

    def __init__(self, database: Database) -> None:
        """Write through a connection of its own."""
        self._connection = HeldConnection(database)
        self._waiting: list[_Waiting] = []
        self._arrived = asyncio.Event()

    def settle(self, settlement: Settlement) -> "asyncio.Future[None]":
        """Record an outcome soon; the future is done when it is committed."""
        settled: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Waiting(settlement, settled))
        self._arrived.set()
        return settled

    async def run(self) -> None:
        """Record what comes, until cancelled."""
        try:
            while True:
                await self._arrived.wait()
                batch, self._waiting = self._waiting[:MAX_BATCH], self._waiting[MAX_BATCH:]
                if not self._waiting:
                    self._arrived.clear()
                await self._write(batch)
        finally:
            await self._connection.drop()

    async def _write(self, batch: list[_Waiting]) -> None:
        failures = 0
        while True:
            try:
                async with self._connection.use() as driver:
                    await settle(driver, [waiting.settlement for waiting in batch])
            except AWAY as error:
                log.warning("settle_waits", waiting=len(batch), error=in_words(error))
                await asyncio.sleep(RETRY_EVERY)
                continue
            except Exception:  # one result that can't be stored must not take the others along
                failures += 1
                if failures < ATTEMPTS:
                    await asyncio.sleep(RETRY_EVERY)
                    continue
                if len(batch) > 1:
                    for waiting in batch:
                        await self._write([waiting])
                    return
                log.exception("settle_failed", delivery_id=batch[0].settlement.delivery_id)
            for waiting in batch:
                if not waiting.settled.done():
                    waiting.settled.set_result(None)
            return
