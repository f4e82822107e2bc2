"""How are outcomes recorded: many in one statement, and again until Postgres takes them?"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec
import structlog

from relay.deliver.batches import Batches
from relay.store.outbox import lanes, message_edits
from relay.store.outbox.lanes import LaneState
from relay.store.outbox.message_edits import EditableMessageUpdate
from relay.store.outbox.settle import Settlement, settle
from relay.store.postgres.database import AWAY, Database, HeldConnection, in_words

RETRY_EVERY: Final = 0.5
ATTEMPTS: Final = 3
"""How often a statement that fails is sent again: it may have been cancelled, or met another."""
MAX_BATCH: Final = 500

log = structlog.get_logger(__name__)


class AttemptResult(msgspec.Struct, frozen=True):
    """How an attempt ended. `state` is what the lane's row is to say now, if that changed.

    `gone` disables the channel: the stamp of the settings that the attempt was made with, and why. `told` is to
    be kept of a message that is edited; `sets_right` names the channel of a digest, after which such messages
    want an edit.
    """

    settlement: Settlement
    state: LaneState | None = None
    gone: tuple[Any, str] | None = None
    told: EditableMessageUpdate | None = None
    sets_right: str | None = None


class Settler:
    """Records outcomes, one commit at a time, each with all that came during the one before."""

    def __init__(self, database: Database, worker: str, wake: Callable[[set[str]], None]) -> None:
        """Write through a connection of its own; `wake` is told of fallback channels that got something."""
        self._connection = HeldConnection(database)
        self._worker = worker
        self._wake = wake
        self._batches: Batches[AttemptResult, None] = Batches(self._record, MAX_BATCH)

    def settle(self, ended: AttemptResult) -> "asyncio.Future[None]":
        """Record an outcome soon; the future is done when it is committed."""
        return self._batches.ask(ended)

    async def run(self) -> None:
        """Record what comes, until cancelled."""
        try:
            await self._batches.run()
        finally:
            await self._connection.drop()

    async def _record(self, batch: Sequence[AttemptResult]) -> list[None]:
        await self._insist(batch)
        return [None] * len(batch)

    async def _insist(self, batch: Sequence[AttemptResult]) -> None:
        failures = 0
        while True:
            try:
                await self._write(batch)
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
                    for ended in batch:
                        await self._insist([ended])
                    return
                log.exception("settle_failed", delivery_id=batch[0].settlement.delivery_id)
            return

    async def _write(self, batch: Sequence[AttemptResult]) -> None:
        states = {ended.state.channel_id: ended.state for ended in batch if ended.state is not None}
        told = [ended.told for ended in batch if ended.told is not None]
        async with self._connection.use() as driver:
            # Before the outcomes: when it ends in between, the next attempt edits what this one posted.
            if told:
                await message_edits.write(driver, self._worker, told)
            for ended in batch:
                if ended.sets_right is not None:
                    await message_edits.set_right(driver, ended.settlement.delivery_id, ended.sets_right)
            fallbacks = await settle(driver, [ended.settlement for ended in batch])
            if states:
                await lanes.write_states(driver, self._worker, list(states.values()))
            for ended in batch:
                if ended.gone is not None and ended.state is not None:
                    await lanes.disable(driver, ended.state.channel_id, *ended.gone)
        if fallbacks:
            self._wake(fallbacks)
