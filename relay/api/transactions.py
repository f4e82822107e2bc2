"""What becomes of a request whose transaction met another one? It goes again, a few times."""

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


async def transacted(database: Database, work: Callable[[AsyncConnection], Awaitable[T]]) -> T:
    """Do work in a transaction; once more when it met another.

    Deliveries move between partitions as their state changes: who waited for one that moved must look again.

    Raises:
        Conflict: it met others every time.
    """
    for attempt in range(1, ATTEMPTS + 1):
        try:
            async with database.begin() as connection:
                return await work(connection)
        except DBAPIError as error:
            if not _met_another(error):
                raise
        await asyncio.sleep(attempt * RETRY_EVERY)
    raise Conflict("this met other changes, again and again; send it once more")


def _met_another(error: DBAPIError) -> bool:
    return error.orig is not None and isinstance(error.orig.__cause__, RETRYABLE)
