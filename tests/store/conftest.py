"""Two driver connections that commit, as those of two processes, and channels with lanes."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from relay.domain.channel_types import WebhookChannel
from relay.store.configuration import channels
from relay.store.postgres.database import Database, driver_connection
from relay.store.postgres.statements import DriverConnection
from tests.fixtures.callers import ANYONE
from tests.store.makers import SEAL


@asynccontextmanager
async def pooled_driver(database: Database) -> AsyncIterator[DriverConnection]:
    async with database.engine.connect() as connection:
        yield await driver_connection(connection)


@pytest.fixture
async def driver(database: Database) -> AsyncIterator[DriverConnection]:
    """A driver connection from the pool, as the hot path has it."""
    async with pooled_driver(database) as connection:
        yield connection


@pytest.fixture
async def other(database: Database) -> AsyncIterator[DriverConnection]:
    """A driver connection, as of another process."""
    async with pooled_driver(database) as connection:
        yield connection


async def make(database: Database, channel_id: str) -> str:
    channel = WebhookChannel(id=channel_id, name=channel_id, webhook_url="https://example.com/x")
    async with database.begin() as connection:
        await channels.add(connection, channel, SEAL, ANYONE)
    return channel.id


@pytest.fixture
async def ops(database: Database) -> str:
    """A channel with its lane."""
    return await make(database, "ops")


@pytest.fixture
async def backup(database: Database) -> str:
    """Another channel with its lane."""
    return await make(database, "backup")
