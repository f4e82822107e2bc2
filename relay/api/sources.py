"""Sources: the Alertmanager clusters that send webhooks."""

import math
from typing import Final

import msgspec
from litestar import Controller, Response, get, patch
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody
from sqlalchemy.ext.asyncio import AsyncConnection

from relay.api.pages import DEFAULT_LIMIT, Cursor, Limit, Page, page_of, text_cursor
from relay.api.preconditions import IfMatch, wanted_versions, with_version
from relay.api.transactions import run_in_transaction
from relay.domain.errors import InvalidInput
from relay.domain.identity import named_source, require_source, without_name
from relay.domain.principals import Access, Principal
from relay.domain.sources import MAX_STALE_AFTER, Source
from relay.domain.versions import ObjectKind
from relay.store.configuration import versions
from relay.store.configuration.quotas import Caller
from relay.store.postgres.database import Database
from relay.store.reports import sources

KEY_PREFIX: Final = "="
"""Precedes the name in a cursor, because a name may be empty, and a cursor may not."""


class SourcePatch(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The settings of a source. `stale_after` is in seconds; null is for the setting RELAY_STALE_AFTER."""

    stale_after: float | None


class SourcesController(Controller):
    """The sources of alerts, ordered by name."""

    path = "/sources"
    tags = ("sources",)

    @get(access=Access.READ)
    async def list_all(
        self,
        database: NamedDependency[Database],
        principal: NamedDependency[Principal],
        limit: Limit = DEFAULT_LIMIT,
        cursor: Cursor = None,
    ) -> Page[Source]:
        """List the sources with their senders, and when each was last seen, to the minute.

        The source with an empty name has the webhooks without `?source=`.
        """
        key = text_cursor(cursor)
        if key is not None and not key.startswith(KEY_PREFIX):
            raise InvalidInput("cursor", "is not a cursor of this list")
        async with database.begin() as connection:
            after = None if key is None else key.removeprefix(KEY_PREFIX)
            found = await sources.page(connection, principal.tenants, after, limit + 1)
        return page_of(found, limit, lambda source: KEY_PREFIX + source.name)

    @get("/{name:str}", access=Access.READ)
    async def get_one(
        self, name: FromPath[str], database: NamedDependency[Database], principal: NamedDependency[Principal]
    ) -> Response[Source]:
        """Get a source with its senders. The `ETag` is the version of its settings."""
        async with database.begin() as connection:
            source = await sources.get(connection, name, principal.tenants)
            return await _with_version(connection, source)

    @patch("/{name:str}", access=Access.CHANGE)
    async def change(
        self,
        name: FromPath[str],
        data: JSONBody[SourcePatch],
        database: NamedDependency[Database],
        caller: NamedDependency[Caller],
        if_match: IfMatch = None,
    ) -> Response[Source]:
        """Set the time without a report after which alerts of the source are stale.

        The source need not have sent a webhook yet.
        """
        if name != without_name(name) or not name:
            require_source("name", named_source(name))
        after = data.stale_after
        if after is not None and not (math.isfinite(after) and 0 < after <= MAX_STALE_AFTER):
            raise InvalidInput("stale_after", f"must be greater than 0 and at most {MAX_STALE_AFTER} seconds")
        wanted = wanted_versions(if_match)

        async def write(connection: AsyncConnection) -> Response[Source]:
            source = await sources.set_stale_after(connection, name, after, caller, wanted)
            return await _with_version(connection, source)

        return await run_in_transaction(database, write)


async def _with_version(connection: AsyncConnection, source: Source) -> Response[Source]:
    numbers = await versions.current(connection, ObjectKind.SOURCE, [source.name])
    return with_version(source, numbers.get(source.name, 0))
