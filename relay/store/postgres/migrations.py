"""Migrations of the schema."""

from functools import cache
from pathlib import Path
from typing import Final

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text

from relay.domain.errors import SettingsError
from relay.store.postgres.database import APPLICATION, Database

LOCK: Final = 0x52454C4159
"""The advisory lock that migrations hold: "RELAY" in ASCII."""

# The autovacuum and other clients have other names.
OTHERS: Final = text(
    """
    SELECT count(*) FROM pg_stat_activity
    WHERE application_name = :name AND datname = current_database() AND pid <> pg_backend_pid()
    """
)


def _scripts() -> Path:
    """Return the folder of the migrations: inside the package in a wheel, beside it in a checkout."""
    package = Path(__file__).resolve().parents[2]
    inside = package / "migrations"
    return inside if inside.is_dir() else package.parent / "migrations"


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(_scripts()).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config


@cache
def head() -> str:
    """Return the newest revision that this release knows."""
    revision = ScriptDirectory.from_config(_config()).get_current_head()
    assert revision is not None, "there are no migrations"
    return revision


async def current(database: Database) -> str | None:
    """Return the revision of the database, or None when it is empty."""

    def read(connection: Connection) -> str | None:
        return MigrationContext.configure(connection).get_current_revision()

    async with database.begin() as connection:
        return await connection.run_sync(read)


async def upgrade(database: Database, revision: str = "head") -> None:
    """Migrate up; concurrent replicas wait for each other."""
    await _run(database, revision, up=True)


async def downgrade(database: Database, revision: str) -> None:
    """Migrate down, for example to `base` or by `-1`."""
    await _run(database, revision, up=False)


async def losses(database: Database, revision: str) -> list[str]:
    """Return what a downgrade to a revision loses, one item for each kind of data.

    Each migration states it in `LOSES`.

    Raises:
        CommandError: the revision is unknown.
    """
    at = await current(database)
    if at is None:
        return []
    scripts = ScriptDirectory.from_config(_config())
    undone = scripts.iterate_revisions(at, revision, select_for_downgrade=True)
    return [loss for script in undone for loss in getattr(script.module, "LOSES", ())]


async def connected_processes(database: Database) -> int:
    """Return how many connections of other relay processes the database has."""
    async with database.begin() as connection:
        return int((await connection.execute(OTHERS, {"name": APPLICATION})).scalar_one())


def schema_problem(at: str | None) -> str | None:
    """Describe why a database at a revision has not the schema of this release; None if it has."""
    wanted = head()
    if at == wanted:
        return None
    if at is not None and at not in _known():
        return (
            f"the schema is ahead: the database is at revision {at}, which is newer than this release ({wanted}); "
            "upgrade the relay"
        )
    return (
        f"the schema is behind: the database is at revision {at or 'none'}, this release needs {wanted}; "
        "run `relay db upgrade`, or start with --migrate"
    )


async def require_head(database: Database) -> None:
    """Require the schema of this release.

    Raises:
        SettingsError: it is another one; the message names the command to run.
    """
    problem = await find_problem(database)
    if problem is not None:
        raise SettingsError(problem)


async def find_problem(database: Database) -> str | None:
    """Describe why the database has not the schema of this release; None if it has."""
    return schema_problem(await current(database))


@cache
def _known() -> frozenset[str]:
    """The revisions of this release."""
    return frozenset(script.revision for script in ScriptDirectory.from_config(_config()).walk_revisions())


async def _run(database: Database, revision: str, *, up: bool) -> None:
    config = _config()

    def run(connection: Connection) -> None:
        config.attributes["connection"] = connection
        (command.upgrade if up else command.downgrade)(config, revision)

    async with database.engine.connect() as connection:
        await connection.run_sync(run)
        await connection.commit()
