"""The writer of attempt results: many at once, repeated until Postgres accepts them."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import Any, Final

import msgspec
import structlog

from relay.deliver.batcher import Batcher
from relay.store.outbox import message_edits
from relay.store.outbox.lane_states import LaneState, disable, write_states
from relay.store.outbox.message_edits import EditableMessageUpdate
from relay.store.outbox.settle import Settlement, settle
from relay.store.postgres.database import UNAVAILABLE, Database, HeldConnection, error_message

RETRY_INTERVAL: Final = 0.5
"""Seconds."""
MAX_TRIES: Final = 3
"""Tries of a statement that fails while Postgres is up: it may have been canceled, or was in a deadlock."""
MAX_BATCH: Final = 500

log = structlog.get_logger(__name__)


class AttemptResult(msgspec.Struct, frozen=True):
    """The result of an attempt, to be written.

    `lane_state` is set if the lane's row has to change. `disable_reason` disables the channel, unless its settings
    have another version than `config_version`. `message_update` is stored for an edited message; `refresh_channel`
    is the channel of a digest, whose edited messages are refreshed.
    """

    settlement: Settlement
    lane_state: LaneState | None = None
    config_version: Any = None
    disable_reason: str | None = None
    message_update: EditableMessageUpdate | None = None
    refresh_channel: str | None = None


class ResultWriter:
    """Writes attempt results, one batch at a time, each with all that came during the one before."""

    def __init__(self, database: Database, worker: str, wake: Callable[[set[str]], None]) -> None:
        """`wake` is called with the fallback channels that got deliveries."""
        self._connection = HeldConnection(database)
        self._worker = worker
        self._wake = wake
        self._batcher: Batcher[AttemptResult, None] = Batcher(self._process, MAX_BATCH)

    def write(self, result: AttemptResult) -> "asyncio.Future[None]":
        """Queue a result; the future is done when it is committed."""
        return self._batcher.submit(result)

    async def run(self) -> None:
        """Write results until canceled."""
        try:
            await self._batcher.run()
        finally:
            await self._connection.drop()

    async def _process(self, batch: Sequence[AttemptResult]) -> list[None]:
        await self._write_until_accepted(batch)
        return [None] * len(batch)

    async def _write_until_accepted(self, batch: Sequence[AttemptResult]) -> None:
        failures = 0
        while True:
            try:
                await self._write(batch)
            except UNAVAILABLE as error:
                log.warning("settle_retried", results=len(batch), error=error_message(error))
                await asyncio.sleep(RETRY_INTERVAL)
                continue
            except Exception:  # a result that cannot be stored must not lose the others of its batch
                failures += 1
                if failures < MAX_TRIES:
                    await asyncio.sleep(RETRY_INTERVAL)
                    continue
                if len(batch) > 1:
                    for result in batch:
                        await self._write_until_accepted([result])
                    return
                log.exception("settle_failed", delivery_id=batch[0].settlement.delivery_id)
            return

    async def _write(self, batch: Sequence[AttemptResult]) -> None:
        lane_states = {
            result.lane_state.channel_id: result.lane_state for result in batch if result.lane_state is not None
        }
        message_updates = [result.message_update for result in batch if result.message_update is not None]
        async with self._connection.use() as driver:
            # Before the settlements: if the process dies in between, the next attempt edits the posted message.
            if message_updates:
                await message_edits.write(driver, self._worker, message_updates)
            for result in batch:
                if result.refresh_channel is not None:
                    await message_edits.queue_refreshes(
                        driver, result.settlement.delivery_id, result.refresh_channel
                    )
            disabling = any(result.disable_reason is not None for result in batch)
            # One transaction: between two, the next attempt could begin.
            async with driver.transaction() if disabling else nullcontext():
                # Before the settlements, because ingest locks the configuration before lanes, too.
                for result in batch:
                    if result.disable_reason is not None and result.lane_state is not None:
                        channel_id = result.lane_state.channel_id
                        await disable(driver, channel_id, result.config_version, result.disable_reason)
                fallbacks = await settle(driver, [result.settlement for result in batch])
                if lane_states:
                    await write_states(driver, self._worker, list(lane_states.values()))
        if fallbacks:
            self._wake(fallbacks)
