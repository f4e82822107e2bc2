"""`relay keys`: manage API keys over the API; the first one directly in the database."""

import getpass
import socket
import sys
from datetime import UTC, datetime
from typing import Annotated, Any

import msgspec
from cyclopts import App, Parameter

from relay.cli.access import with_all_tenants
from relay.cli.connection import connect
from relay.cli.output import Output, show_item, show_items
from relay.domain.api_keys import NewApiKey, validate_new_key
from relay.domain.principals import Author, Role
from relay.settings import load

COLUMNS = ("id", "name", "role", "tenants", "source", "expires_at", "last_used_at", "revoked_at")

KeyId = Annotated[str, Parameter(help="The id of a key; see `relay keys list`.")]

app = App(name="keys", help="Manage API keys: who may read, change or post what.")


@app.command
async def create(
    *,
    name: Annotated[str, Parameter(help="The user or application that uses the key.")],
    role: Annotated[Role, Parameter(help="admin, operator, viewer, or ingest for webhooks.")],
    tenant: Annotated[
        list[str] | None, Parameter(help="A tenant that the key is limited to; repeatable. Without: all tenants.")
    ] = None,
    source: Annotated[str | None, Parameter(help="The source of the webhooks of an ingest key.")] = None,
    expires_at: Annotated[
        str | None, Parameter(help="When the key expires, such as 2027-01-31T00:00:00Z.")
    ] = None,
    direct: Annotated[
        bool, Parameter(negative=(), help="Create it in the database of the settings, without a running relay.")
    ] = False,
    output: Output = "table",
) -> None:
    """Create a key and print it. It can't be shown again."""
    body: dict[str, Any] = {"name": name, "role": role.value}
    given = {"tenants": tenant, "source": source, "expires_at": expires_at}
    body |= {field: value for field, value in given.items() if value is not None}
    if direct:
        created = await _create_directly(body)
    else:
        async with connect() as api:
            created = await api.post("keys", body=body)
    _show_created(created, output, "created")


@app.command(name="list")
async def list_keys(*, output: Output = "table") -> None:
    """List all keys, revoked ones included, without their secrets."""
    async with connect() as api:
        keys = await api.pages("keys")
    show_items(keys if output == "json" else [with_all_tenants(key) for key in keys], COLUMNS, output)


@app.command
async def get(key_id: KeyId, /, *, output: Output = "table") -> None:
    """Show a key without its secret."""
    async with connect() as api:
        key = await api.get("keys", key_id)
    show_item(key if output == "json" else with_all_tenants(key), output)


@app.command
async def rotate(
    key_id: KeyId,
    /,
    *,
    overlap: Annotated[str, Parameter(help="For how long the old secret remains valid, such as 1h or 0s.")],
    output: Output = "table",
) -> None:
    """Give a key a new secret and print it."""
    async with connect() as api:
        rotated = await api.post("keys", key_id, "rotate", body={"overlap": overlap})
    _show_created(rotated, output, "rotated")


@app.command
async def revoke(key_id: KeyId, /) -> None:
    """Revoke a key, effective immediately."""
    async with connect() as api:
        await api.delete("keys", key_id)
    print(f"the key {key_id} is revoked")


async def _create_directly(body: dict[str, Any]) -> dict[str, Any]:
    from relay.cli.local_database import migrated_database
    from relay.domain.errors import InvalidInput
    from relay.domain.fields import field_and_message
    from relay.store.configuration import api_keys

    try:
        given = msgspec.convert(body, NewApiKey)
    except msgspec.ValidationError as error:
        raise InvalidInput(*field_and_message(error)) from None
    new = validate_new_key(given, None, datetime.now(UTC))
    user = getpass.getuser()
    author = Author(identity=f"local:{socket.gethostname()}:{user}", name=user, method="command line")
    async with migrated_database(load()) as database, database.begin() as connection:
        key, secret = await api_keys.create(connection, new, author)
    created: dict[str, Any] = msgspec.to_builtins(key)
    return created | {"key": secret}


def _show_created(created: dict[str, Any], output: str, done: str) -> None:
    if output == "json":
        return show_item(created, output)
    print(f"{done} key {created['id']} ({created['name']}); its secret is shown only once:", file=sys.stderr)
    return print(created["key"])
