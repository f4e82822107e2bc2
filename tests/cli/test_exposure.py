"""A relay that others can connect to starts only with credentials."""

import pytest

from relay.cli.exposure import require_long_secrets, require_webhook_credential
from relay.domain.api_keys import NewApiKey
from relay.domain.errors import SettingsError
from relay.domain.principals import Role
from relay.settings import load
from relay.store.configuration import api_keys
from relay.store.postgres.database import Database
from tests.fixtures.callers import AUTHOR

from .conftest import Relay

BEYOND = ("0.0.0.0", "::", "192.0.2.1", "relay.example.com")
LOOPBACK = ("127.0.0.1", "127.0.0.2", "::1", "[::1]", "localhost")
LONG = "a token of some length"


@pytest.mark.parametrize("host", BEYOND)
async def test_beyond_loopback_a_credential_is_required(database: Database, host: str) -> None:
    with pytest.raises(SettingsError, match=r"RELAY_WEBHOOK_TOKEN.*--role ingest.*RELAY_WEBHOOK_OPEN=1"):
        await require_webhook_credential(load({}, host=host), database)

    await require_webhook_credential(load({}, host=host, webhook_token=LONG), database)
    await require_webhook_credential(load({"RELAY_WEBHOOK_OPEN": "1"}, host=host), database)


@pytest.mark.parametrize("host", LOOPBACK)
async def test_on_loopback_none_is(database: Database, host: str) -> None:
    await require_webhook_credential(load({}, host=host), database)


async def test_an_ingest_key_is_one_until_it_is_revoked(database: Database) -> None:
    settings = load({}, host=BEYOND[0])
    async with database.begin() as connection:
        await api_keys.create(connection, NewApiKey(name="admin", role=Role.ADMIN), AUTHOR)
    with pytest.raises(SettingsError):
        await require_webhook_credential(settings, database)
    async with database.begin() as connection:
        key, _ = await api_keys.create(connection, NewApiKey(name="am", role=Role.INGEST), AUTHOR)

    await require_webhook_credential(settings, database)

    async with database.begin() as connection:
        await api_keys.revoke(connection, key.id, None, AUTHOR)
    with pytest.raises(SettingsError):
        await require_webhook_credential(settings, database)


@pytest.mark.parametrize("name", ["admin_key", "webhook_token"])
def test_a_short_secret_is_refused_beyond_loopback(name: str) -> None:
    short = {name: "x" * 15}
    require_long_secrets(load({}, **short))
    require_long_secrets(load({}, host=BEYOND[0], **{name: "x" * 16}))
    with pytest.raises(SettingsError, match=f"RELAY_{name.upper()} has fewer than 16 characters"):
        require_long_secrets(load({}, host=BEYOND[0], **short))


@pytest.mark.slow
async def test_serve_says_in_one_line_what_to_set(relay_process: Relay, database_url: str) -> None:
    given = {"RELAY_DATABASE_URL": database_url, "RELAY_SECRET_KEY": "A" * 43 + "="}
    result = await relay_process("serve", "--host", BEYOND[0], "--port", "0", **given)
    assert (result.code, result.out) == (1, "")
    assert result.err.startswith(f"relay: {BEYOND[0]} is not loopback, and the webhook has no credential")
    assert len(result.err.splitlines()) == 1
