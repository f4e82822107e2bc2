"""Notifications: changes of the configuration, and wake-ups of other processes."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

import structlog

from relay.store.postgres.database import FAILED, Database, HeldConnection

CONFIG_CHANNEL: Final = "relay_config"
"""A trigger notifies on this channel at each change of the configuration; the payload is the version."""
WAKE_CHANNEL: Final = "relay_wake"
"""A process that ingests and does not deliver notifies on this channel when deliveries are pending."""
RECONNECT_DELAY: Final = 1.0
WAKE_DELAY: Final = 0.02
"""Seconds between the first commit that needs a wake-up and the NOTIFY for all commits since."""

log = structlog.get_logger(__name__)


class RemoteWake:
    """Wakes the workers of other processes when deliveries are pending, once for many commits.

    NOTIFY takes a lock on the whole database at commit, so it stays out of the ingest's own commits.
    """

    def __init__(self, database: Database) -> None:
        """Nothing is sent before the first call."""
        self._database = database
        self._sending: asyncio.Task[None] | None = None

    def __call__(self, _channel_ids: set[str]) -> None:
        """Notify soon, unless that is scheduled already. The workers' poll makes up for a lost notification."""
        if self._sending is None or self._sending.done():
            self._sending = asyncio.create_task(self._send())

    async def _send(self) -> None:
        await asyncio.sleep(WAKE_DELAY)
        with suppress(*FAILED):
            async with self._database.begin() as connection:
                await connection.exec_driver_sql(f"NOTIFY {WAKE_CHANNEL}")


async def listen(database: Database, handlers: dict[str, Callable[[], None]]) -> None:
    """Call the handler of each notification's channel, until canceled.

    After every connection all handlers are called once, because notifications before it were missed.
    """
    held = HeldConnection(database)
    try:
        while True:
            with suppress(*FAILED):
                closed = await _listen(held, handlers)
                await closed.wait()
                log.warning("listen_connection_lost", detail="the connection ended; reconnecting")
            await held.drop()
            await asyncio.sleep(RECONNECT_DELAY)
    finally:
        await held.drop()


async def _listen(held: HeldConnection, handlers: dict[str, Callable[[], None]]) -> asyncio.Event:
    """Start listening; the event is set when the connection ends."""
    closed = asyncio.Event()

    def notified(_connection: Any, _pid: int, channel: str, _payload: str) -> None:
        handlers[channel]()

    async with held.use() as driver:
        driver.add_termination_listener(lambda _: closed.set())
        for channel in handlers:
            await driver.add_listener(channel, notified)
    for handler in handlers.values():
        handler()
    return closed
