"""Fixtures of the API tests."""

from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest


@pytest.fixture
async def sql(database_url: str) -> AsyncIterator[Any]:
    """A connection to the relay's database."""
    connection = await asyncpg.connect(database_url)
    yield connection
    await connection.close()
