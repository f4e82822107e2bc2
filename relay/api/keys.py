"""API keys, and the caller's own access."""

from datetime import UTC, datetime

import msgspec
from litestar import Controller, delete, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody
from sqlalchemy.ext.asyncio import AsyncConnection

from relay.api.pages import DEFAULT_LIMIT, Cursor, Limit, Page, page_of, text_cursor
from relay.api.transactions import run_in_transaction
from relay.domain.api_keys import MAX_OVERLAP, ApiKey, CreatedApiKey, NewApiKey, validate_new_key
from relay.domain.durations import parse_duration
from relay.domain.principals import Access, Principal, Role
from relay.store.configuration import api_keys
from relay.store.configuration.quotas import Caller
from relay.store.postgres.database import Database


class Rotation(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """For how long the old secret remains valid, such as `1h`; `0s` for not at all, at most 30 days."""

    overlap: str


class Me(msgspec.Struct, frozen=True, kw_only=True):
    """Who the caller is, and what the caller may do.

    `identity` is `kind:issuer:subject`, as the audit has it. `tenants` null means all tenants. `may` lists what
    routes require of it: `read`, `change`, `manage` (keys and the audit) and `ingest` (webhooks).
    """

    identity: str
    name: str
    role: Role
    tenants: tuple[str, ...] | None
    source: str | None
    method: str
    may: tuple[Access, ...]


class KeysController(Controller):
    """API keys. A tenant's admin manages the keys of its tenants."""

    path = "/keys"
    tags = ("access",)

    @post(access=Access.MANAGE)
    async def create(
        self,
        data: JSONBody[NewApiKey],
        database: NamedDependency[Database],
        principal: NamedDependency[Principal],
        caller: NamedDependency[Caller],
    ) -> CreatedApiKey:
        """Create a key. The response has the key itself, which can't be read again.

        Roles: `admin` (everything), `operator` (channels, templates, tests and redelivery), `viewer` (reads), and
        `ingest` (posts webhooks). An ingest key with a tenant gives it to all alerts of its webhooks, and one with
        a `source` replaces the `?source=` of their URL.
        """
        new = validate_new_key(data, principal, datetime.now(UTC))

        async def add(connection: AsyncConnection) -> CreatedApiKey:
            return _created(*await api_keys.create(connection, new, caller.author))

        return await run_in_transaction(database, add)

    @get(access=Access.MANAGE)
    async def list_all(
        self,
        database: NamedDependency[Database],
        principal: NamedDependency[Principal],
        limit: Limit = DEFAULT_LIMIT,
        cursor: Cursor = None,
    ) -> Page[ApiKey]:
        """List the keys, revoked ones included, ordered by id."""
        async with database.begin() as connection:
            found = await api_keys.page(connection, principal.tenants, text_cursor(cursor), limit + 1)
        return page_of(found, limit, lambda key: key.id)

    @get("/{key_id:str}", access=Access.MANAGE)
    async def get_one(
        self, key_id: FromPath[str], database: NamedDependency[Database], principal: NamedDependency[Principal]
    ) -> ApiKey:
        """Get a key."""
        async with database.begin() as connection:
            return await api_keys.get(connection, key_id, principal.tenants)

    @delete("/{key_id:str}", access=Access.MANAGE)
    async def revoke(
        self, key_id: FromPath[str], database: NamedDependency[Database], caller: NamedDependency[Caller]
    ) -> None:
        """Revoke a key, effective from the next request on."""
        await run_in_transaction(
            database, lambda connection: api_keys.revoke(connection, key_id, caller.tenants, caller.author)
        )

    @post("/{key_id:str}/rotate", status_code=200, access=Access.MANAGE)
    async def rotate(
        self,
        key_id: FromPath[str],
        data: JSONBody[Rotation],
        database: NamedDependency[Database],
        caller: NamedDependency[Caller],
    ) -> CreatedApiKey:
        """Give a key a new secret. The old one remains valid for `overlap`."""
        overlap = parse_duration("overlap", data.overlap, MAX_OVERLAP)

        async def replace(connection: AsyncConnection) -> CreatedApiKey:
            return _created(*await api_keys.rotate(connection, key_id, caller.tenants, overlap, caller.author))

        return await run_in_transaction(database, replace)


@get("/me", access=Access.SELF, tags=["access"])
async def me(principal: NamedDependency[Principal]) -> Me:
    """Get who the caller is, and what the caller may do."""
    return Me(
        identity=principal.identity,
        name=principal.name,
        role=principal.role,
        tenants=None if principal.tenants is None else tuple(sorted(principal.tenants)),
        source=principal.source,
        method=principal.method,
        may=tuple(
            access for access in Access if access not in (Access.PUBLIC, Access.SELF) and principal.may(access)
        ),
    )


def _created(key: ApiKey, secret: str) -> CreatedApiKey:
    return CreatedApiKey(**{name: getattr(key, name) for name in ApiKey.__struct_fields__}, key=secret)
