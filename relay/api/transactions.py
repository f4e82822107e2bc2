"""Transactions of requests, retried when they conflict with others."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from relay.domain.errors import Conflict
from relay.store.postgres.database import RETRYABLE, Database

ATTEMPTS: Final = 5
RETRY_EVERY: Final = 0.02
"""Seconds, times the number of the attempt."""

T = TypeVar("T")


async def run_in_transaction(database: Database, work: Callable[[AsyncConnection], Awaitable[T]]) -> T:
    """Run `work` in a transaction, and retry it in a new one when it conflicts with another.

    Deliveries move between partitions when their state changes, so a statement that waited for a row may have to
    find it again.

    Raises:
        Conflict: every attempt conflicted.
    """
    for attempt in range(1, ATTEMPTS + 1):
        try:
            async with database.begin() as connection:
                return await work(connection)
        except DBAPIError as error:
            if not _is_conflict(error):
                raise
        await asyncio.sleep(attempt * RETRY_EVERY)
    raise Conflict("conflicting concurrent changes; retry the request")


def _is_conflict(error: DBAPIError) -> bool:
    return error.orig is not None and isinstance(error.orig.__cause__, RETRYABLE)
