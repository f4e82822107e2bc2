"""`relay keys` manages API keys over the API, and creates the first one in the database."""

from pathlib import Path

import pytest

from tests.fixtures.relays import ADMIN_KEY, RelayFactory

from .conftest import Relay

CREATE = ("keys", "create", "--name", "acme's", "--role", "operator", "--tenant", "acme")


@pytest.fixture
async def environ(start_relay: RelayFactory) -> dict[str, str]:
    """The settings that name a running relay and its admin key."""
    server = await start_relay(deliver=False)
    return {"RELAY_URL": server.url, "RELAY_KEY": ADMIN_KEY}


async def test_create_prints_only_the_secret_on_standard_output(relay: Relay, environ: dict[str, str]) -> None:
    result = await relay(*CREATE, **environ)
    assert result.code == 0, result.err
    assert result.out.startswith("relay_")
    assert len(result.out.split()) == 1
    assert "acme's" in result.err


async def test_a_key_is_created_used_rotated_and_revoked(relay: Relay, environ: dict[str, str]) -> None:
    key = (await relay(*CREATE, "--output", "json", **environ)).json
    assert (key["name"], key["role"], key["tenants"], key["revoked_at"]) == ("acme's", "operator", ["acme"], None)
    me = (await relay("me", "--output", "json", **environ | {"RELAY_KEY": key["key"]})).json
    assert (me["identity"], me["role"], me["tenants"]) == (f"key:relay:{key['id']}", "operator", ["acme"])
    rotated = (await relay("keys", "rotate", key["id"], "--overlap", "0s", **environ)).out.strip()
    old = await relay("me", **environ | {"RELAY_KEY": key["key"]})
    assert (old.code, (await relay("me", **environ | {"RELAY_KEY": rotated})).code) == (1, 0)

    revoked = await relay("keys", "revoke", key["id"], **environ)

    assert (revoked.code, revoked.out) == (0, f"the key {key['id']} is revoked\n")
    again = await relay("keys", "revoke", key["id"], **environ)
    assert (again.code, again.out, key["id"] in again.err) == (1, "", True)
    [listed] = (await relay("keys", "list", "--output", "json", **environ)).json["items"]
    assert (listed["id"], listed["revoked_at"] is not None, "key" in listed) == (key["id"], True, False)


async def test_a_key_without_tenants_is_for_all(relay: Relay, environ: dict[str, str]) -> None:
    await relay("keys", "create", "--name", "root", "--role", "admin", **environ)
    assert "all" in (await relay("keys", "list", **environ)).out.splitlines()[1].split()
    assert ["tenants", "all"] in [line.split() for line in (await relay("me", **environ)).out.splitlines()]


async def test_versions_of_a_channel_are_listed_and_restored(relay: Relay, environ: dict[str, str]) -> None:
    hook = ("--webhook-url", "https://hooks.example.com/x")
    await relay("channels", "create", "webhook", "--name", "Ops", *hook, **environ)
    await relay("channels", "update", "ops", "--severities", "critical", **environ)
    table = (await relay("channels", "versions", "ops", **environ)).out
    assert "severities: - → ['critical']" in table
    assert "matchers" not in table

    restored = await relay("channels", "restore", "ops", "1", "--output", "json", **environ)

    assert (restored.code, restored.json["severities"], restored.json["version"]) == (0, [], 3)
    await relay("channels", "delete", "ops", **environ)
    refused = await relay("channels", "restore", "ops", "1", **environ)
    assert (refused.code, "webhook_url" in refused.err) == (1, True)
    secret = ("--secret", "webhook_url=-")
    again = await relay("channels", "restore", "ops", "1", *secret, stdin="https://hooks.example.com/y", **environ)
    assert again.code == 0, again.err


async def test_the_audit_lists_who_did_it(relay: Relay, environ: dict[str, str]) -> None:
    await relay(*CREATE, **environ)
    table = (await relay("audit", **environ)).out
    assert table.splitlines()[1].split()[1:4] == ["RELAY_ADMIN_KEY", "created", "key"]


async def test_the_first_key_is_created_in_the_database(
    relay: Relay, database_url: str, environ: dict[str, str]
) -> None:
    direct = ("keys", "create", "--direct", "--name", "first", "--role", "admin")
    secret = (await relay(*direct, RELAY_DATABASE_URL=database_url)).out.strip()

    me = await relay("me", "--output", "json", **environ | {"RELAY_KEY": secret})

    assert (me.json["name"], me.json["role"], me.json["tenants"]) == ("first", "admin", None)


@pytest.mark.slow
async def test_the_first_key_of_an_embedded_database_is_created_by_a_process(
    relay_process: Relay, embedded_data_dir: Path
) -> None:
    direct = ("keys", "create", "--direct", "--name", "first", "--role", "admin")
    result = await relay_process(*direct, RELAY_DATA_DIR=str(embedded_data_dir))
    assert (result.code, result.out[:6]) == (0, "relay_"), result.err


async def test_an_empty_name_is_rejected(relay: Relay, database_url: str) -> None:
    direct = ("keys", "create", "--direct", "--name", " ", "--role", "admin")
    result = await relay(*direct, RELAY_DATABASE_URL=database_url)
    assert (result.code, result.err) == (1, "relay: name: must not be empty\n")
