"""Do the database commands move the schema, and say why they could not?"""

from pathlib import Path

import pytest

from relay.store.configuration.seal import new_key
from relay.store.postgres.migrations import head

from .conftest import Relay


async def test_the_schema_goes_up_and_down(relay: Relay, postgres: Path) -> None:
    environ = {"RELAY_DATA_DIR": str(postgres)}
    up = await relay("db", "upgrade", **environ)
    assert (up.code, up.out, up.err) == (0, f"the database is at revision {head()}\n", "")
    at_head = await relay("db", "current", **environ)
    assert (at_head.out, at_head.err) == (f"{head()}\n", "")
    down = await relay("db", "downgrade", "base", **environ)
    assert (down.code, down.out) == (0, "the database is at revision none\n")
    behind = await relay("db", "current", **environ)
    assert (behind.code, behind.out) == (0, "none\n")
    assert f"needs {head()}; run `relay db upgrade`" in behind.err


async def test_a_given_database_is_not_migrated_by_the_way(relay: Relay, postgres: Path) -> None:
    url = f"postgresql://postgres@/postgres?host={postgres}/postgres"
    await relay("db", "downgrade", "base", RELAY_DATABASE_URL=url)
    ran = await relay("keys", "list", RELAY_DATABASE_URL=url)
    assert ran.code == 1
    assert "run `relay db upgrade`" in ran.err


@pytest.mark.parametrize("command", ["upgrade", "downgrade"])
async def test_an_unknown_revision_is_one_line(relay: Relay, postgres: Path, command: str) -> None:
    ran = await relay("db", command, "nope", RELAY_DATA_DIR=str(postgres))
    assert ran.code == 1
    assert ran.err == "relay: revision: Can't locate revision identified by 'nope'\n"


@pytest.mark.parametrize(
    ("database", "complaint"),
    [
        ("postgresql://u:hidden@127.0.0.1:1/x", "relay: the database can't be used: "),
        ("postgresql://postgres@/gone?host={socket}", 'the database can\'t be used: database "gone" does not'),
        ("postgresql://u:hidden@127.0.0.1:port/x", "relay: RELAY_DATABASE_URL is not a URL"),
        ("mysql://u:hidden@127.0.0.1/x", "relay: RELAY_DATABASE_URL must start with postgresql://"),
    ],
    ids=["nobody listens", "no such database", "no address", "another kind"],
)
async def test_a_database_that_cannot_be_used_is_one_line(
    relay: Relay, postgres: Path, database: str, complaint: str
) -> None:
    ran = await relay("db", "current", RELAY_DATABASE_URL=database.format(socket=postgres / "postgres"))
    assert (ran.code, ran.out) == (1, "")
    assert complaint in ran.err
    assert ran.err.count("\n") == 1
    assert "hidden" not in ran.err


async def test_secrets_are_sealed_anew_by_a_command(relay: Relay, postgres: Path) -> None:
    environ = {"RELAY_DATA_DIR": str(postgres)}
    ran = await relay("db", "reseal", RELAY_SECRET_KEY=f"{new_key()},{new_key()}", **environ)
    assert (ran.code, ran.out, ran.err) == (0, "resealed the secrets of 0 channels\n", "")


async def test_without_the_new_key_nothing_is_sealed(relay: Relay, postgres: Path) -> None:
    ran = await relay("db", "reseal", RELAY_DATA_DIR=str(postgres))
    assert (ran.code, ran.out) == (1, "")
    assert "RELAY_SECRET_KEY is not set; list the new key first" in ran.err
