"""Which version of the configuration is in force, and when does it change?"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

import structlog

from relay.store.postgres.database import FAILED, Database, HeldConnection

CONFIG_CHANNEL: Final = "relay_config"
"""A trigger notifies here at each change of the configuration; the payload is the version."""
WAKE_CHANNEL: Final = "relay_wake"
"""A process that ingests and does not deliver notifies here when deliveries wait."""
RECONNECT_EVERY: Final = 1.0
WAKE_COALESCE: Final = 0.02
"""Seconds between the first commit that wants a wake-up and the NOTIFY that stands for all since."""

log = structlog.get_logger(__name__)


class RemoteWake:
    """Tells the workers of other processes that deliveries wait, once for many commits.

    NOTIFY takes a lock on the whole database at commit, so it stays out of the ingest's own commits.
    """

    def __init__(self, database: Database) -> None:
        """Nothing is sent before the first call."""
        self._database = database
        self._sending: asyncio.Task[None] | None = None

    def __call__(self, _channel_ids: set[str]) -> None:
        """Notify soon, unless that is about to happen anyway. The workers' poll is the net under it."""
        if self._sending is None or self._sending.done():
            self._sending = asyncio.create_task(self._send())

    async def _send(self) -> None:
        await asyncio.sleep(WAKE_COALESCE)
        with suppress(*FAILED):
            async with self._database.begin() as connection:
                await connection.exec_driver_sql(f"NOTIFY {WAKE_CHANNEL}")


async def listen(database: Database, handlers: dict[str, Callable[[], None]]) -> None:
    """Call the handler of each notification's channel, until cancelled.

    After every (re)connection all handlers are called once: what was said meanwhile was missed.
    """
    held = HeldConnection(database)
    try:
        while True:
            with suppress(*FAILED):
                closed = await _listen(held, handlers)
                await closed.wait()
                log.warning("feed_lost", detail="the change feed's connection ended; connecting again")
            await held.drop()
            await asyncio.sleep(RECONNECT_EVERY)
    finally:
        await held.drop()


async def _listen(held: HeldConnection, handlers: dict[str, Callable[[], None]]) -> asyncio.Event:
    """Begin to listen; the event tells that the connection ended."""
    closed = asyncio.Event()

    def told(_connection: Any, _pid: int, channel: str, _payload: str) -> None:
        handlers[channel]()

    async with held.use() as driver:
        driver.add_termination_listener(lambda _: closed.set())
        for channel in handlers:
            await driver.add_listener(channel, told)
    for handler in handlers.values():
        handler()
    return closed
