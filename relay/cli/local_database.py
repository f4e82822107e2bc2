"""Direct access to the database of the settings, for commands that need no server."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import asyncpg

from relay.domain.errors import Unavailable
from relay.settings import Settings
from relay.store.postgres import migrations
from relay.store.postgres.database import UNAVAILABLE, Database, error_message
from relay.store.postgres.embedded import EmbeddedPostgres


@asynccontextmanager
async def local_database(settings: Settings) -> AsyncIterator[Database]:
    """Open the database, whatever its schema; the embedded one runs until the end of the block.

    Raises:
        SettingsError: the database settings are invalid.
        Unavailable: the database can't be used.
    """
    try:
        with _running_server(settings) as url:
            database = Database(url)
            try:
                yield database
            finally:
                await database.close()
    except (*UNAVAILABLE, asyncpg.PostgresError) as error:
        raise Unavailable(f"the database can't be used: {error_message(error)}") from error


@asynccontextmanager
async def migrated_database(settings: Settings) -> AsyncIterator[Database]:
    """Open the database with this release's schema. Only the embedded one is migrated automatically."""
    async with local_database(settings) as database:
        if settings.embedded:
            await migrations.upgrade(database)
        await migrations.require_head(database)
        yield database


@contextmanager
def _running_server(settings: Settings) -> Iterator[str]:
    if settings.database_url is not None:
        yield settings.database_url
        return
    server = EmbeddedPostgres(settings.data_dir)
    server.start()
    try:
        yield server.url
    finally:
        server.stop()
