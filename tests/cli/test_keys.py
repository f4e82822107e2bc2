"""Can keys be made, listed and revoked before any server runs?"""

from pathlib import Path

import pytest

from .conftest import Relay


@pytest.fixture
def environ(postgres: Path) -> dict[str, str]:
    """The settings that name the running embedded Postgres."""
    return {"RELAY_DATA_DIR": str(postgres)}


async def test_the_secret_stands_alone_on_standard_output(relay: Relay, environ: dict[str, str]) -> None:
    ran = await relay("keys", "create", "--name", "ci", **environ)
    assert ran.code == 0, ran.err
    assert ran.out.startswith("relay_")
    assert len(ran.out.split()) == 1
    assert "ci" in ran.err


async def test_a_key_lives_from_its_making_to_its_revocation(relay: Relay, environ: dict[str, str]) -> None:
    words = ["--name", "acme's", "--output", "json"]
    made = (await relay("keys", "create", *words, **environ)).json
    assert (made["name"], made["role"], made["tenant_id"], made["revoked_at"]) == ("acme's", "admin", None, None)
    revoked = await relay("keys", "revoke", made["id"], **environ)
    assert (revoked.code, revoked.out) == (0, f"the key {made['id']} is revoked\n")
    again = await relay("keys", "revoke", made["id"], **environ)
    assert (again.code, again.out) == (1, "")
    assert made["id"] in again.err
    listed = (await relay("keys", "list", "--output", "json", **environ)).json["items"]
    (found,) = [key for key in listed if key["id"] == made["id"]]
    assert found["revoked_at"].endswith("Z")
    assert "secret" not in found
    table = (await relay("keys", "list", **environ)).out
    assert made["id"] in table
    assert made["secret"] not in table


async def test_an_empty_name_is_refused(relay: Relay) -> None:
    ran = await relay("keys", "create", "--name", " ")
    assert (ran.code, ran.err) == (1, "relay: name: must not be empty\n")
