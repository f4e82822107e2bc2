"""Which numbers of the database does this process show: what waits, how the channels are, what died?"""

import asyncio
import time
from collections import Counter
from collections.abc import Sequence
from typing import Final

import structlog

from relay.domain.channel_types import channel_types
from relay.domain.health import ChannelState
from relay.store.postgres.database import FAILED, Database, HeldConnection, in_words
from relay.store.reports import backlog
from relay.store.reports.backlog import ChannelBacklog
from relay.telemetry import Metrics

WATCH_EVERY: Final = 15.0
"""Seconds; how often Prometheus asks in most places."""

log = structlog.get_logger(__name__)


async def run(database: Database, metrics: Metrics, give_up_after: float, every: float = WATCH_EVERY) -> None:
    """Show the numbers until cancelled, from the start and then every so many seconds.

    While Postgres is away the last ones stay, and `relay_database_up` is 0. `give_up_after` is in seconds: how
    long a delivery is tried.
    """
    # A connection of its own: however long the numbers take, no webhook and no delivery waits for them.
    connection = HeldConnection(database)
    try:
        while True:
            started = time.monotonic()
            try:
                await sample(connection, metrics, give_up_after)
            except FAILED as error:
                metrics.database_up.set(0)
                log.warning("watch_waits", error=in_words(error))
            # Every so many seconds, but never busier than idle.
            spent = time.monotonic() - started
            await asyncio.sleep(max(every - spent, spent))
    finally:
        await connection.drop()


async def sample(connection: HeldConnection, metrics: Metrics, give_up_after: float) -> None:
    """Read the numbers once, and show them.

    Raises:
        one of FAILED: Postgres is away, or took too long; what was shown stays.
    """
    async with connection.use() as driver:
        channels = await backlog.of_channels(driver)
        dead = await backlog.dead_letters(driver, give_up_after)
    metrics.database_up.set(1)
    _show_channels(metrics, channels)
    for kind in channel_types():
        of_type = [channel for channel in channels if channel.channel_type == kind]
        _show_waiting(metrics, kind, of_type)
        metrics.channels_gone.labels(kind).set(sum(channel.gone for channel in of_type))
        metrics.dead_letters.labels(kind).set(dead.get(kind, 0))


def _show_channels(metrics: Metrics, channels: Sequence[ChannelBacklog]) -> None:
    # Every combination each time, so that one without channels goes back to 0.
    counts = Counter((channel.channel_type, channel.state) for channel in channels)
    for kind in channel_types():
        for state in ChannelState:
            metrics.channels.labels(kind, state).set(counts[kind, state])


def _show_waiting(metrics: Metrics, kind: str, channels: Sequence[ChannelBacklog]) -> None:
    """What waits for a disabled channel waits for people; it does not make the queue old."""
    enabled = [channel for channel in channels if channel.state is not ChannelState.DISABLED]
    waiting = sum(channel.waiting for channel in enabled)
    metrics.waiting.labels(kind).set(waiting)
    metrics.held.labels(kind).set(sum(channel.waiting for channel in channels) - waiting)
    ages = [channel.oldest_age for channel in enabled if channel.oldest_age is not None]
    # The clock may have been set back since the oldest came.
    metrics.oldest_waiting.labels(kind).set(max([0.0, *ages]))
