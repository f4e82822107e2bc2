"""Migrations of the schema."""

from pathlib import Path
from typing import Final

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

from relay.domain.errors import SettingsError
from relay.store.postgres.database import Database

LOCK: Final = 0x52454C4159
"""The advisory lock that migrations hold: "RELAY" in ASCII."""


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


async def require_head(database: Database) -> None:
    """Require the schema of this release.

    Raises:
        SettingsError: it is another one; the message names the command to run.
    """
    at, wanted = await current(database), head()
    if at == wanted:
        return
    if at is not None and at not in _known():
        raise SettingsError(f"the database is at revision {at}, which is newer than this release ({wanted})")
    raise SettingsError(
        f"the database is at revision {at or 'none'}, this release needs {wanted}; "
        "run `relay db upgrade`, or start with --migrate"
    )


def _known() -> set[str]:
    return {script.revision for script in ScriptDirectory.from_config(_config()).walk_revisions()}


async def _run(database: Database, revision: str, *, up: bool) -> None:
    config = _config()

    def run(connection: Connection) -> None:
        config.attributes["connection"] = connection
        (command.upgrade if up else command.downgrade)(config, revision)

    async with database.engine.connect() as connection:
        await connection.run_sync(run)
        await connection.commit()
