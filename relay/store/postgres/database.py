"""Connections to Postgres: SQLAlchemy's pool, and driver connections that are held for the hot path."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Final, Protocol

import asyncpg
from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, ProgrammingError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from relay.domain.errors import SettingsError, Unavailable
from relay.store.postgres.statements import DriverConnection

APPLICATION: Final = "alert-relay"
"""The application_name of all connections."""
CONNECT_TIMEOUT: Final = 0.8
"""Seconds for a held connection; without Postgres a webhook is rejected within one second."""
API_CONNECT_TIMEOUT: Final = 5.0
"""Seconds for a connection of the API, and for one of the pool to become free; a person may wait longer."""
STATEMENT_TIMEOUT: Final = 5.0
"""Seconds for one use of a held connection, unless it is given more. Alertmanager waits ten seconds for a
response; a Postgres that hangs for longer than this is unavailable, and the statement is retried."""
QUERY_TIMEOUT: Final = 15.0
"""Seconds for one transaction of the API."""
POOL_SIZE: Final = 10
GENERIC_PLANS: Final = {"plan_cache_mode": "force_generic_plan"}
"""The hot path binds arrays, whose values are of no use to the planner; planning a claim each time took four
times as long as the claim itself."""

UNAVAILABLE: Final[tuple[type[Exception], ...]] = (
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
"""Postgres can't be used now; the same statement may succeed later."""

WRONG_SCHEMA: Final[type[Exception]] = asyncpg.SyntaxOrAccessError
"""A table, a column or a function that a statement needs does not exist, or may not be used."""

FAILED: Final[tuple[type[Exception], ...]] = (*UNAVAILABLE, asyncpg.PostgresError)
"""Errors after which a retrying loop continues; they include canceled and deadlocked statements."""

RETRYABLE: Final[tuple[type[Exception], ...]] = (asyncpg.DeadlockDetectedError, asyncpg.SerializationError)
"""Two transactions conflicted; the same statement succeeds when it is retried."""


def error_message(error: Exception) -> str:
    """Return the driver's message in one line; SQLAlchemy would add the statement, and a link for developers."""
    original = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
    lines = str(original).strip().splitlines()
    return lines[0] if lines else f"no response ({type(original).__name__})"


class Disk(Protocol):
    """The files of an embedded server."""

    def problem(self) -> str | None:
        """Why the server can't work, in one line; None if nothing is known to be wrong."""

    def deleted(self) -> bool:
        """Whether the files are gone."""


class Database:
    """A Postgres database: an engine for the API, and held driver connections for the hot path."""

    def __init__(
        self,
        url: str,
        schema_problem: Callable[["Database"], Awaitable[str | None]] | None = None,
        disk: Disk | None = None,
    ) -> None:
        """Use the Postgres at `url` (`postgresql://…`, as in libpq); nothing is connected yet.

        `schema_problem` describes why the schema is not that of this release, and `disk` is that of an embedded
        server; they explain failed statements.

        Raises:
            SettingsError: the URL is malformed.
        """
        self._schema_problem = schema_problem
        self._disk = disk
        self.engine: AsyncEngine = create_async_engine(
            _engine_url(url),
            pool_size=POOL_SIZE,
            pool_pre_ping=True,
            pool_timeout=API_CONNECT_TIMEOUT,
            connect_args={
                "timeout": API_CONNECT_TIMEOUT,
                "server_settings": {"application_name": APPLICATION, "timezone": "UTC", "jit": "off"},
            },
        )

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[AsyncConnection]:
        """Open a transaction that commits at the end, or rolls back when the block raises; bounded in time.

        Raises:
            Unavailable: a statement failed because the schema is not that of this release.
        """
        try:
            async with asyncio.timeout(QUERY_TIMEOUT), self.engine.begin() as connection:
                yield connection
        except ProgrammingError as error:
            if (problem := await self.schema_problem()) is not None:
                raise Unavailable(problem) from error
            raise

    def outage(self) -> str:
        """Why the database is unavailable, as far as it is known."""
        return self.disk_problem() or "the database is unavailable"

    def disk_problem(self) -> str | None:
        """What is wrong with the disk of an embedded server; None if nothing is known to be."""
        return None if self._disk is None else self._disk.problem()

    def deleted(self) -> bool:
        """Whether the files of an embedded server are gone, so that a commit is not durable."""
        return self._disk is not None and self._disk.deleted()

    async def schema_problem(self) -> str | None:
        """Why the schema is not that of this release; None if it is, or is not known."""
        if self._schema_problem is None:
            return None
        try:
            return await self._schema_problem(self)
        except UNAVAILABLE:
            return None

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
    """A driver connection that is held over many statements, and replaced after it broke.

    It serves one user at a time; the others wait.
    """

    connect_timeout = CONNECT_TIMEOUT

    def __init__(self, database: Database, timeout: float = STATEMENT_TIMEOUT, **server_settings: str) -> None:
        """Take connections from `database`, and apply `SET name = value` to each; `timeout` is for one use."""
        self._database = database
        self._timeout = timeout
        self._server_settings = GENERIC_PLANS | server_settings
        self._pooled: AsyncConnection | None = None
        self._driver: DriverConnection | None = None
        self._lock = asyncio.Lock()

    @asynccontextmanager
    async def use(self, seconds: float | None = None) -> AsyncIterator[DriverConnection]:
        """Provide the asyncpg connection for a block of at most `seconds`, by default the connection's timeout.

        When the block raises one of `UNAVAILABLE`, or is canceled, the next user gets a new connection.
        """
        async with self._lock:
            try:
                driver = await self._open()
                # Terminated, not canceled: to cancel, the driver would have to reach the server that hangs.
                at_most = self._timeout if seconds is None else seconds
                deadline = asyncio.get_running_loop().call_later(at_most, driver.terminate)
                try:
                    yield driver
                finally:
                    deadline.cancel()
            except UNAVAILABLE:
                await self.drop()
                raise
            except asyncio.CancelledError:
                await self.drop()
                raise

    async def _open(self) -> DriverConnection:
        if self._driver is not None and not self._driver.is_closed():
            return self._driver
        await self.drop()
        async with asyncio.timeout(self.connect_timeout):
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
        """Discard the connection; the next use opens a new one."""
        pooled, driver, self._pooled, self._driver = self._pooled, self._driver, None, None
        if driver is not None:
            driver.terminate()  # an orderly close would wait for a server that may hang
        if pooled is not None:
            with suppress(*UNAVAILABLE):
                await pooled.invalidate()
                await pooled.close()


class ApiConnection(HeldConnection):
    """A held connection for one request of the API."""

    connect_timeout = API_CONNECT_TIMEOUT
