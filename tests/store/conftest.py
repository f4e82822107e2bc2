"""A database that two processes share: two driver connections that commit, and rows to queue."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from relay.domain.channels import WebhookChannel
from relay.store import channels
from relay.store.database import Database
from relay.store.seal import Seal, new_key


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


@pytest.fixture
async def ops(database: Database) -> str:
    """A channel with its lane."""
    channel = WebhookChannel(id="ops", name="Ops", webhook_url="https://example.com/x")
    async with database.begin() as connection:
        await channels.add(connection, channel, Seal(new_key()))
    return channel.id
