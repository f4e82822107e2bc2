"""A database that two processes share: two driver connections that commit, and rows to queue."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from relay.domain.channel_types import WebhookChannel
from relay.store.configuration import channels
from relay.store.postgres.database import Database
from tests.store.makers import SEAL


@asynccontextmanager
async def driver_connection(database: Database) -> AsyncIterator[Any]:
    async with database.engine.connect() as pooled:
        yield (await pooled.get_raw_connection()).driver_connection


@pytest.fixture
async def driver(database: Database) -> AsyncIterator[Any]:
    """A driver connection from the pool, as the hot path has it."""
    async with driver_connection(database) as connection:
        yield connection


@pytest.fixture
async def other(database: Database) -> AsyncIterator[Any]:
    """That of another process."""
    async with driver_connection(database) as connection:
        yield connection


async def make(database: Database, channel_id: str) -> str:
    channel = WebhookChannel(id=channel_id, name=channel_id, webhook_url="https://example.com/x")
    async with database.begin() as connection:
        await channels.add(connection, channel, SEAL)
    return channel.id


@pytest.fixture
async def ops(database: Database) -> str:
    """A channel with its lane."""
    return await make(database, "ops")


@pytest.fixture
async def backup(database: Database) -> str:
    """Another one."""
    return await make(database, "backup")
