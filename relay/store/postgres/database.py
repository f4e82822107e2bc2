"""How is Postgres reached: through SQLAlchemy's pool, or with the driver's own connection taken from it?"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Final

import asyncpg
from sqlalchemy import URL, make_url, text
from sqlalchemy.exc import ArgumentError, DBAPIError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from relay.domain.errors import SettingsError
from relay.store.postgres.statements import DriverConnection

CONNECT_TIMEOUT: Final = 0.8
"""Seconds; a webhook that finds Postgres away is refused within one second."""
STATEMENT_TIMEOUT: Final = 5.0
"""Seconds for a use of a held connection, but where it is given more. Alertmanager waits ten for an answer; a
Postgres that hangs for longer than this counts as away, and what was being written is sent again."""
QUERY_TIMEOUT: Final = 15.0
"""Seconds for a transaction of the API."""
POOL_SIZE: Final = 10
PLANNED_ONCE: Final = {"plan_cache_mode": "force_generic_plan"}
"""The hot path's statements get arrays, whose values say nothing to the planner; planning a claim anew each time
took four times as long as the claim itself."""

AWAY: Final[tuple[type[Exception], ...]] = (
    OSError,
    TimeoutError,
    SQLAlchemyError,
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    asyncpg.CannotConnectNowError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.IdleInTransactionSessionTimeoutError,
    asyncpg.InsufficientResourcesError,
    asyncpg.ReadOnlySQLTransactionError,
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidCatalogNameError,
)
"""What says that Postgres can't be used now: nothing was asked of it that it could not do later."""

FAILED: Final[tuple[type[Exception], ...]] = (*AWAY, asyncpg.PostgresError)
"""What a loop that tries again anyway goes on after: a cancelled or deadlocked statement, too."""

RETRYABLE: Final[tuple[type[Exception], ...]] = (asyncpg.DeadlockDetectedError, asyncpg.SerializationError)
"""What says that two transactions met, and that the same statement will succeed when it is sent again."""


def in_words(error: Exception) -> str:
    """One line of the driver's own words: SQLAlchemy would add the statement, and a link for developers."""
    original = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
    words = str(original).strip().splitlines()
    return words[0] if words else f"it does not answer ({type(original).__name__})"


class Database:
    """One Postgres: an engine for the API, and long-held driver connections for the hot path."""

    def __init__(self, url: str) -> None:
        """Remember where Postgres is (`postgresql://…`, as libpq knows it); nothing is connected yet.

        Raises:
            SettingsError: the URL is malformed.
        """
        self.engine: AsyncEngine = create_async_engine(
            _engine_url(url),
            pool_size=POOL_SIZE,
            pool_pre_ping=True,
            pool_timeout=CONNECT_TIMEOUT,
            connect_args={
                "timeout": CONNECT_TIMEOUT,
                "server_settings": {"application_name": "alert-relay", "timezone": "UTC", "jit": "off"},
            },
        )

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[AsyncConnection]:
        """A transaction that commits at the end, or rolls back when the block raises; bounded in time."""
        async with asyncio.timeout(QUERY_TIMEOUT), self.engine.begin() as connection:
            yield connection

    async def answers(self) -> bool:
        """Whether Postgres answers a query now."""
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT), self.engine.connect() as connection:
                await connection.execute(text("SELECT 1"))
        except AWAY:
            return False
        return True

    async def close(self) -> None:
        """Close all connections."""
        await self.engine.dispose()


async def driver_connection(connection: AsyncConnection) -> DriverConnection:
    """Return the asyncpg connection of a SQLAlchemy connection."""
    driver: DriverConnection | None = (await connection.get_raw_connection()).driver_connection
    if driver is None:
        raise ConnectionError("the pool returned a connection without a driver")
    return driver


def _engine_url(url: str) -> URL:
    try:
        parsed = make_url(url).set(drivername="postgresql+asyncpg")
    except (ArgumentError, ValueError):
        raise SettingsError("RELAY_DATABASE_URL is not a URL such as postgresql://user@host/database") from None
    if "sslmode" in parsed.query:  # libpq's name for what the driver calls ssl
        parsed = parsed.update_query_dict({"ssl": parsed.query["sslmode"]}).difference_update_query(["sslmode"])
    return parsed


class HeldConnection:
    """A driver connection kept over many statements, and opened anew after it broke.

    It serves one user at a time; the others wait.
    """

    def __init__(self, database: Database, patience: float = STATEMENT_TIMEOUT, **server_settings: str) -> None:
        """Take connections of `database`, apply `SET name = value` to each, and allow seconds for a use of it."""
        self._database = database
        self._patience = patience
        self._server_settings = PLANNED_ONCE | server_settings
        self._pooled: AsyncConnection | None = None
        self._driver: DriverConnection | None = None
        self._lock = asyncio.Lock()

    @asynccontextmanager
    async def use(self) -> AsyncIterator[DriverConnection]:
        """The asyncpg connection for a block, bounded in time.

        If one of `AWAY` comes out of it, or it is cancelled, the next user gets a fresh connection.
        """
        async with self._lock:
            try:
                driver = await self._open()
                # Cut off, not cancelled: to be cancelled, the driver would have to talk to the server that hangs.
                late = asyncio.get_running_loop().call_later(self._patience, driver.terminate)
                try:
                    yield driver
                finally:
                    late.cancel()
            except AWAY:
                await self.drop()
                raise
            except asyncio.CancelledError:
                await self.drop()
                raise

    async def _open(self) -> DriverConnection:
        if self._driver is not None and not self._driver.is_closed():
            return self._driver
        await self.drop()
        async with asyncio.timeout(CONNECT_TIMEOUT):
            pooled = await self._database.engine.connect()
            try:
                driver = await driver_connection(pooled)
                for name, value in self._server_settings.items():
                    await driver.execute(f"SET {name} = {value}")
            except BaseException:
                await pooled.invalidate()
                await pooled.close()
                raise
        self._pooled, self._driver = pooled, driver
        return driver

    async def drop(self) -> None:
        """Throw the connection away; the next use opens another."""
        pooled, driver, self._pooled, self._driver = self._pooled, self._driver, None, None
        if driver is not None:
            driver.terminate()  # a polite goodbye would wait for a server that may hang
        if pooled is not None:
            with suppress(*AWAY):
                await pooled.invalidate()
                await pooled.close()
