"""`relay keys` manages API keys without a running server."""

from pathlib import Path

import pytest

from .conftest import Relay


@pytest.fixture
def environ(database_url: str) -> dict[str, str]:
    """The settings that name the test's database."""
    return {"RELAY_DATABASE_URL": database_url}


async def test_create_prints_only_the_secret_on_standard_output(relay: Relay, environ: dict[str, str]) -> None:
    result = await relay("keys", "create", "--name", "ci", **environ)
    assert result.code == 0, result.err
    assert result.out.startswith("relay_")
    assert len(result.out.split()) == 1
    assert "ci" in result.err


async def test_a_key_is_created_listed_and_revoked(relay: Relay, environ: dict[str, str]) -> None:
    await create_list_and_revoke(relay, environ)


@pytest.mark.slow
async def test_keys_of_the_embedded_database_are_managed_by_processes(
    relay_process: Relay, embedded_data_dir: Path
) -> None:
    await create_list_and_revoke(relay_process, {"RELAY_DATA_DIR": str(embedded_data_dir)})


async def test_an_empty_name_is_rejected(relay: Relay) -> None:
    result = await relay("keys", "create", "--name", " ")
    assert (result.code, result.err) == (1, "relay: name: must not be empty\n")


async def create_list_and_revoke(relay: Relay, environ: dict[str, str]) -> None:
    """Create a key, revoke it twice, and find it in the list."""
    arguments = ["--name", "acme's", "--output", "json"]
    key = (await relay("keys", "create", *arguments, **environ)).json
    assert (key["name"], key["role"], key["tenant_id"], key["revoked_at"]) == ("acme's", "admin", None, None)
    revoked = await relay("keys", "revoke", key["id"], **environ)
    assert (revoked.code, revoked.out) == (0, f"the key {key['id']} is revoked\n")
    again = await relay("keys", "revoke", key["id"], **environ)
    assert (again.code, again.out) == (1, "")
    assert key["id"] in again.err
    listed = (await relay("keys", "list", "--output", "json", **environ)).json["items"]
    (found,) = [delivery for delivery in listed if delivery["id"] == key["id"]]
    assert found["revoked_at"].endswith("Z")
    assert "secret" not in found
    table = (await relay("keys", "list", **environ)).out
    assert key["id"] in table
    assert key["secret"] not in table
