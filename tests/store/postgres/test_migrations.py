"""The migrations: against the models, down to nothing, and run concurrently."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, text

from relay.domain.errors import SettingsError
from relay.store.postgres import migrations
from relay.store.postgres.database import Database
from relay.store.tables import metadata

ROOT = Path(__file__).parents[3]
OBJECTS = """
SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace
UNION ALL SELECT proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace
UNION ALL SELECT typname FROM pg_type WHERE typnamespace = 'public'::regnamespace
"""
# Partitions, their indexes and the sequence of their ids are only in the migrations.
OUTBOX = ("deliveries", "deliveries_waiting", "deliveries_suppressed", "deliveries_finished")
COLUMNS = """
SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attidentity, a.attgenerated,
  pg_get_expr(d.adbin, d.adrelid), col_description(c.oid, a.attnum)
FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
LEFT JOIN pg_attrdef d ON (c.oid, a.attnum) = (adrelid, adnum)
WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r' AND a.attnum > 0 AND NOT a.attisdropped
  AND c.relname <> 'alembic_version'
UNION ALL
SELECT tablename, indexname, indexdef, false, '', '', '', '' FROM pg_indexes
WHERE schemaname = 'public' AND tablename <> 'alembic_version'
UNION ALL
SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid), false, '', '', '', '' FROM pg_constraint
WHERE connamespace = 'public'::regnamespace AND conrelid::regclass::text <> 'alembic_version'
UNION ALL
SELECT relname, '', array_to_string(reloptions, ','), false, '', '', '', obj_description(oid, 'pg_class')
FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' AND relname <> 'alembic_version'
ORDER BY 1, 2, 3
"""


@pytest.fixture
async def empty(empty_database_url: str) -> Database:
    return Database(empty_database_url)


async def rows(database: Database, statement: str) -> list[tuple[object, ...]]:
    async with database.begin() as connection:
        return [tuple(row) for row in await connection.execute(text(statement))]


async def test_the_models_match_the_migrated_schema(database: Database) -> None:
    def differences(connection: Connection) -> list[Any]:
        context = MigrationContext.configure(
            connection,
            opts={
                "compare_type": True,
                "compare_server_default": True,
                "include_name": lambda name, kind, _: kind != "table" or name not in OUTBOX[1:],
            },
        )
        return list(compare_metadata(context, metadata))

    async with database.begin() as connection:
        [[default]] = await connection.run_sync(differences)
    # Alembic takes a default from a sequence for that of a SERIAL column, and does not compare it.
    assert default[:4] == ("modify_default", None, "deliveries", "id")


async def test_the_models_create_the_same_tables_as_the_migrations(database: Database, empty: Database) -> None:
    async with empty.begin() as connection:
        await connection.execute(text("CREATE SEQUENCE deliveries_id_seq"))
        await connection.run_sync(metadata.create_all)

    created, migrated = [
        [row for row in await rows(source, COLUMNS) if row[0] not in OUTBOX] for source in (empty, database)
    ]
    await empty.close()
    assert set(created) ^ set(migrated) == set()


async def test_a_downgrade_to_base_leaves_nothing_and_can_be_upgraded_again(empty: Database) -> None:
    await migrations.upgrade(empty)
    first = await rows(empty, COLUMNS)

    await migrations.downgrade(empty, "base")
    left = {str(name) for (name,) in await rows(empty, OBJECTS)}
    assert left <= {"alembic_version", "_alembic_version", "alembic_version_pkc"}
    assert await migrations.current(empty) is None

    await migrations.upgrade(empty)
    assert await rows(empty, COLUMNS) == first
    await empty.close()


def alembic(**environ: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("RELAY_")}
    command = [sys.executable, "-m", "alembic", "upgrade", "head"]
    return subprocess.run(command, cwd=ROOT, env=kept | environ, capture_output=True, text=True)


async def test_alembic_migrates_the_database_of_the_environment(empty_database_url: str) -> None:
    result = await asyncio.to_thread(alembic, RELAY_DATABASE_URL=empty_database_url)

    assert result.returncode == 0, result.stderr
    database = Database(empty_database_url)
    await migrations.require_head(database)
    await database.close()


async def test_concurrent_migrations_all_succeed(empty_database_url: str) -> None:
    # Processes, not tasks: Alembic keeps the current migration in a global variable.
    race = [asyncio.to_thread(alembic, RELAY_DATABASE_URL=empty_database_url) for _ in range(3)]

    assert [(result.returncode, result.stderr) for result in await asyncio.gather(*race)] == [(0, "")] * 3

    database = Database(empty_database_url)
    await migrations.require_head(database)
    await database.close()


async def test_alembic_names_the_missing_setting() -> None:
    result = await asyncio.to_thread(alembic)

    assert (result.returncode, result.stderr.strip()) == (
        1,
        "set RELAY_DATABASE_URL; for the embedded database use `relay db upgrade`",
    )


async def test_an_older_schema_is_rejected_with_the_command_to_run(empty: Database) -> None:
    with pytest.raises(
        SettingsError, match=r"at revision none, .* needs \d+; run `relay db upgrade`, or start with"
    ):
        await migrations.require_head(empty)
    await empty.close()


async def test_a_newer_schema_is_rejected(database: Database) -> None:
    async with database.begin() as connection:
        await connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))

    with pytest.raises(SettingsError, match="at revision 9999, which is newer than this release"):
        await migrations.require_head(database)
