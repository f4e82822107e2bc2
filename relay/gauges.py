"""The gauges that are read from the database: waiting deliveries, channel states and dead letters."""

import asyncio
import time
from collections import Counter
from collections.abc import Sequence
from typing import Final

import structlog

from relay.domain.channel_types import channel_types
from relay.domain.health import ChannelState
from relay.store.postgres.database import FAILED, Database, HeldConnection, error_message
from relay.store.reports import backlog
from relay.store.reports.backlog import ChannelBacklog
from relay.telemetry import Metrics

INTERVAL: Final = 15.0
"""Seconds; a common scrape interval of Prometheus."""

log = structlog.get_logger(__name__)


async def run(database: Database, metrics: Metrics, give_up_after: float, interval: float = INTERVAL) -> None:
    """Update the gauges every `interval` seconds until canceled.

    While Postgres is down they keep their last values, and `relay_database_up` is 0. `give_up_after` is the
    number of seconds after which a delivery expires.
    """
    # Its own connection, so that no webhook and no delivery waits for these queries.
    connection = HeldConnection(database)
    try:
        while True:
            started = time.monotonic()
            try:
                await update(connection, metrics, give_up_after)
            except FAILED as error:
                metrics.database_up.set(0)
                log.warning("gauges_failed", error=error_message(error))
            # Queries take at most half of the time, even if one takes longer than the interval.
            elapsed = time.monotonic() - started
            await asyncio.sleep(max(interval - elapsed, elapsed))
    finally:
        await connection.drop()


async def update(connection: HeldConnection, metrics: Metrics, give_up_after: float) -> None:
    """Query the database once, and set the gauges.

    Raises:
        one of FAILED: Postgres is down or too slow; the gauges keep their values.
    """
    async with connection.use() as driver:
        channels = await backlog.of_channels(driver)
        dead = await backlog.dead_letters(driver, give_up_after)
    metrics.database_up.set(1)
    _set_channels(metrics, channels)
    for channel_type in channel_types():
        of_type = [channel for channel in channels if channel.channel_type == channel_type]
        _set_waiting(metrics, channel_type, of_type)
        metrics.channels_gone.labels(channel_type).set(sum(channel.disabled_by_relay for channel in of_type))
        metrics.dead_letters.labels(channel_type).set(dead.get(channel_type, 0))


def _set_channels(metrics: Metrics, channels: Sequence[ChannelBacklog]) -> None:
    # Every combination each time, so that one without channels returns to 0.
    counts = Counter((channel.channel_type, channel.state) for channel in channels)
    for channel_type in channel_types():
        for state in ChannelState:
            metrics.channels.labels(channel_type, state).set(counts[channel_type, state])


def _set_waiting(metrics: Metrics, channel_type: str, channels: Sequence[ChannelBacklog]) -> None:
    """Set the queue's length and age. Deliveries of disabled channels count as held and do not age the queue."""
    enabled = [channel for channel in channels if channel.state is not ChannelState.DISABLED]
    waiting = sum(channel.waiting for channel in enabled)
    metrics.waiting.labels(channel_type).set(waiting)
    metrics.held.labels(channel_type).set(sum(channel.waiting for channel in channels) - waiting)
    ages = [channel.oldest_age for channel in enabled if channel.oldest_age is not None]
    # Not negative, even if the clock was set back since the oldest delivery was created.
    metrics.oldest_waiting.labels(channel_type).set(max([0.0, *ages]))
