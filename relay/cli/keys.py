"""`relay keys`: manage API keys directly in the database, without a running server."""

import sys
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
from cyclopts import App, Parameter

from relay.cli.output import Output, show_item, show_items
from relay.domain.errors import InvalidInput
from relay.domain.fields import require_storable
from relay.settings import load

if TYPE_CHECKING:
    from relay.store.configuration.api_keys import Key

COLUMNS = ("id", "name", "role", "tenant_id", "created_at", "revoked_at")

app = App(name="keys", help="Manage API keys, directly in the database.")


@app.command
async def create(
    *,
    name: Annotated[str, Parameter(help="The user or application that uses the key.")],
    output: Output = "table",
) -> None:
    """Create an admin key and print its secret, which can't be shown again."""
    from relay.cli.local_database import migrated_database
    from relay.store.configuration import api_keys

    require_storable(name, "name")
    if not name.strip():
        raise InvalidInput("name", "must not be empty")
    async with migrated_database(load()) as database, database.begin() as connection:
        key, secret = await api_keys.create(connection, name)
    if output == "json":
        return show_item({**_data(key), "secret": secret}, output)
    print(f"created key {key.id} ({key.name}); its secret is shown only once:", file=sys.stderr)
    return print(secret)


@app.command(name="list")
async def list_keys(*, output: Output = "table") -> None:
    """List all API keys, revoked ones included, without their secrets."""
    from relay.cli.local_database import migrated_database
    from relay.store.configuration import api_keys

    async with migrated_database(load()) as database, database.begin() as connection:
        found = await api_keys.list_keys(connection)
    show_items([_data(key) for key in found], COLUMNS, output)


@app.command
async def revoke(key_id: Annotated[str, Parameter(help="The id of a key; see `relay keys list`.")], /) -> None:
    """Revoke an API key."""
    from relay.cli.local_database import migrated_database
    from relay.store.configuration import api_keys

    async with migrated_database(load()) as database, database.begin() as connection:
        await api_keys.revoke(connection, key_id)
    print(f"the key {key_id} is revoked")


def _data(key: "Key") -> dict[str, Any]:
    data: dict[str, Any] = msgspec.to_builtins(key)
    return data
