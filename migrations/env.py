"""Where do migrations run: on the connection that the relay hands over, or on RELAY_DATABASE_URL?"""

import asyncio

from alembic import context
from sqlalchemy import Connection, text

from relay.settings import load
from relay.store.postgres.database import Database
from relay.store.postgres.migrations import LOCK
from relay.store.tables import metadata


def run(connection: Connection) -> None:
    """Migrate in one transaction, under a lock that makes racing replicas wait for one another."""
    context.configure(connection=connection, target_metadata=metadata)
    with context.begin_transaction():
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": LOCK})
        context.run_migrations()


async def run_on_settings() -> None:
    """Open the database that the environment names, and migrate it."""
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


handed_over: Connection | None = context.config.attributes.get("connection")
if handed_over is not None:
    run(handed_over)
else:
    asyncio.run(run_on_settings())
