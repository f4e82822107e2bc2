"""The environment of migrations: the connection that the relay passes, or RELAY_DATABASE_URL."""

import asyncio

from alembic import context
from sqlalchemy import Connection, text

from relay.settings import load
from relay.store.postgres.database import Database
from relay.store.postgres.migrations import LOCK
from relay.store.tables import metadata


def run(connection: Connection) -> None:
    """Migrate in one transaction, under a lock that makes concurrent replicas wait for each other."""
    context.configure(connection=connection, target_metadata=metadata)
    with context.begin_transaction():
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": LOCK})
        context.run_migrations()


async def run_on_settings() -> None:
    """Migrate the database of the environment."""
    url = load().database_url
    if url is None:
        raise SystemExit("set RELAY_DATABASE_URL; for the embedded database use `relay db upgrade`")
    database = Database(url)
    try:
        async with database.engine.connect() as connection:
            await connection.run_sync(run)
            await connection.commit()
    finally:
        await database.close()


passed_connection: Connection | None = context.config.attributes.get("connection")
if passed_connection is not None:
    run(passed_connection)
else:
    asyncio.run(run_on_settings())
