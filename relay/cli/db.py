"""`relay db`: migrate the database's schema and reseal its secrets."""

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated

from cyclopts import App, Parameter

from relay.domain.errors import Conflict, InvalidInput, SettingsError
from relay.settings import load

app = App(name="db", help="Migrate the database's schema and reseal its secrets.")


@app.command
async def upgrade(
    revision: Annotated[str, Parameter(help="The target revision; +1 is one step.")] = "head", /
) -> None:
    """Upgrade the schema to a revision; nothing happens if it is already there."""
    from relay.cli.local_database import local_database
    from relay.store.postgres import migrations

    async with local_database(load()) as database, _known_revision():
        await migrations.upgrade(database, revision)
        at = await migrations.current(database)
    print(f"the database is at revision {at or 'none'}")


@app.command
async def downgrade(
    revision: Annotated[str, Parameter(help="The target revision; -1 is one step, `base` an empty database.")],
    /,
    *,
    yes: Annotated[bool, Parameter(negative="", help="Do not ask for confirmation.")] = False,
) -> None:
    """Downgrade the schema to a revision. Data that the older schema can't store is listed, and lost.

    Stop all relay processes first: it refuses while any is connected.
    """
    from relay.cli.local_database import local_database
    from relay.store.postgres import migrations

    async with local_database(load()) as database, _known_revision():
        lost = await migrations.losses(database, revision)
        if others := await migrations.connected_processes(database):
            raise Conflict(
                f"relay processes are connected to the database (connections: {others}); stop them first"
            )
        _confirm_losses(lost, yes=yes)
        await migrations.downgrade(database, revision)
        at = await migrations.current(database)
    print(f"the database is at revision {at or 'none'}")


@app.command
async def current() -> None:
    """Print the revision of the schema, or `none`; warn if it is not that of this release."""
    from relay.cli.local_database import local_database
    from relay.store.postgres import migrations

    advice = ""
    async with local_database(load()) as database:
        at = await migrations.current(database)
        try:
            await migrations.require_head(database)
        except SettingsError as error:
            advice = str(error)
    print(at or "none")
    if advice:
        print(advice, file=sys.stderr)


@app.command
async def reseal() -> None:
    """Reseal all secrets with the first key of RELAY_SECRET_KEY. Afterwards the other keys can be removed."""
    from relay.cli.local_database import migrated_database
    from relay.store.configuration.reseal import reseal
    from relay.store.configuration.seal import Seal

    settings = load()
    if settings.secret_key is None:
        raise SettingsError("RELAY_SECRET_KEY is not set; list the new key first, then the old ones: new,old")
    seal = Seal(settings.secret_key)
    async with migrated_database(settings) as database, database.begin() as connection:
        count = await reseal(connection, seal)
    print(f"resealed the secrets of {count} channel{'' if count == 1 else 's'}")


def _confirm_losses(lost: list[str], *, yes: bool) -> None:
    """List what is lost, and ask unless `yes`.

    Raises:
        Conflict: the answer is not yes, or there is nobody to ask.
    """
    if not lost:
        return
    print("The downgrade loses:", *(f"  - {item}" for item in lost), sep="\n", file=sys.stderr)
    if yes:
        return
    if not sys.stdin.isatty():
        raise Conflict("nothing was changed; confirm with --yes")
    print("Continue? Type yes: ", end="", file=sys.stderr, flush=True)
    if sys.stdin.readline().strip() != "yes":
        raise Conflict("nothing was changed")


@asynccontextmanager
async def _known_revision() -> AsyncIterator[None]:
    from alembic.util import CommandError

    try:
        yield
    except CommandError as error:
        raise InvalidInput("revision", str(error)) from error
