"""`relay db` migrates the schema, reseals secrets, and reports errors in one line."""

from pathlib import Path

import pytest

from relay.store.configuration.seal import new_key
from relay.store.postgres.migrations import head
from tests.fixtures.postgres import sibling
from tests.fixtures.relays import running

from .conftest import Relay


async def test_the_schema_is_upgraded_and_downgraded(relay: Relay, empty_database_url: str) -> None:
    environ = {"RELAY_DATABASE_URL": empty_database_url}
    upgraded = await relay("db", "upgrade", **environ)
    assert (upgraded.code, upgraded.out, upgraded.err) == (0, f"the database is at revision {head()}\n", "")
    at_head = await relay("db", "current", **environ)
    assert (at_head.out, at_head.err) == (f"{head()}\n", "")
    downgraded = await relay("db", "downgrade", "base", "--yes", **environ)
    assert (downgraded.code, downgraded.out) == (0, "the database is at revision none\n")
    behind = await relay("db", "current", **environ)
    assert (behind.code, behind.out) == (0, "none\n")
    assert f"needs {head()}; run `relay db upgrade`" in behind.err


async def test_a_downgrade_lists_what_is_lost_and_needs_a_confirmation(
    relay: Relay, empty_database_url: str
) -> None:
    environ = {"RELAY_DATABASE_URL": empty_database_url}
    await relay("db", "upgrade", **environ)
    for revision, lost in (
        ("0004", "message templates with all their versions"),
        ("base", "all data"),
        ("0007", "senders"),
    ):
        refused = await relay("db", "downgrade", revision, **environ)
        assert refused.code == 1
        assert lost in refused.err
        assert "confirm with --yes" in refused.err
        assert (await relay("db", "current", **environ)).out == f"{head()}\n"
    done = await relay("db", "downgrade", "0004", "--yes", **environ)
    assert (done.code, done.out) == (0, "the database is at revision 0004\n")


async def test_a_downgrade_is_refused_while_a_relay_is_connected(relay: Relay, database_url: str) -> None:
    async with running(database_url):
        refused = await relay("db", "downgrade", "-1", "--yes", RELAY_DATABASE_URL=database_url)
    assert refused.code == 1
    assert "relay processes are connected to the database" in refused.err


async def test_a_given_database_is_not_migrated_automatically(relay: Relay, empty_database_url: str) -> None:
    create = ("keys", "create", "--direct", "--name", "ci", "--role", "admin")
    result = await relay(*create, RELAY_DATABASE_URL=empty_database_url)
    assert result.code == 1
    assert "run `relay db upgrade`" in result.err


@pytest.mark.parametrize("command", ["upgrade", "downgrade"])
async def test_an_unknown_revision_is_reported_in_one_line(
    relay: Relay, empty_database_url: str, command: str
) -> None:
    result = await relay("db", command, "nope", RELAY_DATABASE_URL=empty_database_url)
    assert result.code == 1
    assert result.err == "relay: revision: Can't locate revision identified by 'nope'\n"


@pytest.mark.parametrize(
    ("database", "message"),
    [
        ("postgresql://u:hidden@127.0.0.1:1/x", "relay: the database can't be used: "),
        ("postgresql://u:hidden@127.0.0.1:port/x", "relay: RELAY_DATABASE_URL is not a URL"),
        ("mysql://u:hidden@127.0.0.1/x", "relay: RELAY_DATABASE_URL must start with postgresql://"),
    ],
    ids=["connection refused", "invalid port", "another scheme"],
)
async def test_an_unusable_database_is_reported_in_one_line(relay: Relay, database: str, message: str) -> None:
    result = await relay("db", "current", RELAY_DATABASE_URL=database)
    assert (result.code, result.out) == (1, "")
    assert message in result.err
    assert result.err.count("\n") == 1
    assert "hidden" not in result.err


async def test_an_unknown_database_is_reported_in_one_line(relay: Relay, postgres_url: str) -> None:
    result = await relay("db", "current", RELAY_DATABASE_URL=sibling(postgres_url, "gone"))
    assert (result.code, result.out, result.err.count("\n")) == (1, "", 1)
    assert 'the database can\'t be used: database "gone" does not exist' in result.err


async def test_reseal_prints_the_number_of_channels(relay: Relay, database_url: str) -> None:
    environ = {"RELAY_DATABASE_URL": database_url, "RELAY_SECRET_KEY": f"{new_key()},{new_key()}"}
    result = await relay("db", "reseal", **environ)
    assert (result.code, result.out, result.err) == (0, "resealed the secrets of 0 channels\n", "")


async def test_reseal_requires_the_new_key(relay: Relay) -> None:
    result = await relay("db", "reseal")
    assert (result.code, result.out) == (1, "")
    assert "RELAY_SECRET_KEY is not set; list the new key first" in result.err


@pytest.mark.slow
async def test_the_embedded_database_is_migrated_by_a_process(
    relay_process: Relay, embedded_data_dir: Path
) -> None:
    environ = {"RELAY_DATA_DIR": str(embedded_data_dir)}
    upgraded = await relay_process("db", "upgrade", **environ)
    assert (upgraded.code, upgraded.out, upgraded.err) == (0, f"the database is at revision {head()}\n", "")
    current = await relay_process("db", "current", **environ)
    assert (current.code, current.out, current.err) == (0, f"{head()}\n", "")
    resealed = await relay_process("db", "reseal", RELAY_SECRET_KEY=new_key(), **environ)
    assert (resealed.code, resealed.out, resealed.err) == (0, "resealed the secrets of 0 channels\n", "")
