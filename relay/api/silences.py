"""Silences: matchers and a time during which alerts are not sent."""

import uuid
from datetime import UTC, datetime
from typing import Annotated, Any

import msgspec
from litestar import Controller, Request, Response, get, patch, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter
from sqlalchemy.ext.asyncio import AsyncConnection

from relay.api.pages import DEFAULT_LIMIT, Cursor, IdFilter, Limit, Page, encode_cursor, number_cursor, page_of
from relay.api.preconditions import IfMatch, wanted_versions, with_version
from relay.api.silence_bodies import SilencePatch, SilenceView, cursor_of, place_of, view_of, views_of
from relay.api.transactions import run_in_transaction
from relay.domain.errors import InvalidInput
from relay.domain.matchers import Matcher, parse_matchers
from relay.domain.principals import Access, Principal
from relay.domain.silences import NewSilence, SilenceState, changed_silence, new_silence
from relay.domain.versions import ObjectKind, ObjectVersion
from relay.operations.context import OperationContext
from relay.operations.silences import SilencePreview, preview_silence
from relay.store.configuration import silences, versions
from relay.store.configuration.quotas import Caller
from relay.store.postgres.database import Database
from relay.store.reports import silences as silence_lists
from relay.store.reports.silences import SilenceFilter

States = Annotated[list[SilenceState] | None, QueryParameter(name="state", description="Repeatable.")]
Matchers = Annotated[
    list[str] | None,
    QueryParameter(
        name="matcher", description='A matcher such as `team="db"` that the silence has exactly so. Repeatable.'
    ),
]


class SilencesController(Controller):
    """Silences, with Alertmanager's semantics. They are never deleted; one that is expired remains listed."""

    path = "/silences"
    tags = ("silences",)

    @post(access=Access.CHANGE)
    async def create(
        self,
        request: Request[Any, Any, Any],
        data: JSONBody[NewSilence],
        database: NamedDependency[Database],
        principal: NamedDependency[Principal],
        caller: NamedDependency[Caller],
    ) -> Response[SilenceView]:
        """Create a silence, effective from the next webhook and the next attempt of a delivery on.

        `matchers` are objects, or texts in the syntax of channels' matchers. `starts_at` and durations have the
        meaning and the limits that docs/silences.md lists. `ends_at` is required without `rrule`.
        """
        now = datetime.now(UTC)
        given = msgspec.structs.replace(data, tenant_id=principal.owner_of_new(data.tenant_id))
        silence = new_silence(given, str(uuid.uuid4()), principal.name, now)

        async def add(connection: AsyncConnection) -> SilenceView:
            return await view_of(connection, await silences.add(connection, silence, caller), now)

        view = await run_in_transaction(database, add)
        response = with_version(view, view.version)
        response.headers["Location"] = f"{request.url.path}/{view.id}"
        return response

    @get(access=Access.READ)
    async def list_all(
        self,
        database: NamedDependency[Database],
        principal: NamedDependency[Principal],
        states: States = None,
        matchers: Matchers = None,
        created_by: FromQuery[str | None] = None,
        alert_id: IdFilter = None,
        limit: Limit = DEFAULT_LIMIT,
        cursor: Cursor = None,
    ) -> Page[SilenceView]:
        """List the silences: active ones by their end, pending ones by their start, expired ones last first.

        A recurring silence is among the active ones from its start to its end, whatever its `state`.

        `alert_id` selects the silences whose matchers an alert meets: the active ones, or those in `state`. A page
        may have fewer items than `limit` and still have a `next`.
        """
        now = datetime.now(UTC)
        place = place_of(cursor, now)
        chosen = frozenset(states or (SilenceState if alert_id is None else [SilenceState.ACTIVE]))
        async with database.begin() as connection:
            labels = None
            if alert_id is not None:
                labels = await silence_lists.labels_of(connection, alert_id, principal.tenants)
            wanted = SilenceFilter(
                states=chosen, matchers=_matchers(matchers or ()), created_by=created_by, labels=labels
            )
            found, last = await silence_lists.page(connection, wanted, principal.tenants, place, limit)
            views = await views_of(connection, found, now)
        return Page(views, None if last is None else encode_cursor(cursor_of(last)))

    @get("/{silence_id:str}", access=Access.READ)
    async def get_one(
        self,
        silence_id: FromPath[str],
        database: NamedDependency[Database],
        principal: NamedDependency[Principal],
    ) -> Response[SilenceView]:
        """Get a silence. The `ETag` is its version."""
        async with database.begin() as connection:
            stored = await silences.get(connection, silence_id, principal.tenants)
            view = await view_of(connection, stored, datetime.now(UTC))
        return with_version(view, view.version)

    @patch("/{silence_id:str}", access=Access.CHANGE)
    async def change(
        self,
        silence_id: FromPath[str],
        data: JSONBody[SilencePatch],
        database: NamedDependency[Database],
        principal: NamedDependency[Principal],
        caller: NamedDependency[Caller],
        if_match: IfMatch = None,
    ) -> Response[SilenceView]:
        """Update a silence by JSON merge patch (RFC 7396): omitted fields keep their values, null resets a field.

        Other matchers, another start of an active silence, and any change of an expired one make a new silence;
        the response is the new one, with the id of the earlier one, which is expired, in `replaces`.
        """
        now, new_id = datetime.now(UTC), str(uuid.uuid4())

        async def write(connection: AsyncConnection) -> SilenceView:
            before = (await silences.get(connection, silence_id, principal.tenants, lock=True)).silence
            await versions.require_current(connection, ObjectKind.SILENCE, silence_id, wanted_versions(if_match))
            after = changed_silence(before, data.writable(), new_id, now)
            after = msgspec.structs.replace(after, tenant_id=principal.owner_of_new(after.tenant_id))
            stored = await silences.change(connection, before, after, now, caller)
            return await view_of(connection, stored, now, None if after.id == before.id else before.id)

        view = await run_in_transaction(database, write)
        return with_version(view, view.version)

    @post("/{silence_id:str}/expire", status_code=200, access=Access.CHANGE)
    async def expire(
        self,
        silence_id: FromPath[str],
        database: NamedDependency[Database],
        principal: NamedDependency[Principal],
        caller: NamedDependency[Caller],
        if_match: IfMatch = None,
    ) -> Response[SilenceView]:
        """End a silence now. One that has expired stays as it is."""

        async def write(connection: AsyncConnection) -> SilenceView:
            before = await silences.get(connection, silence_id, principal.tenants, lock=True)
            await versions.require_current(connection, ObjectKind.SILENCE, silence_id, wanted_versions(if_match))
            now = datetime.now(UTC)
            stored = await silences.expire(connection, before.silence, now, caller.author)
            return await view_of(connection, stored, now)

        view = await run_in_transaction(database, write)
        return with_version(view, view.version)

    @get("/{silence_id:str}/versions", access=Access.READ)
    async def list_versions(
        self,
        silence_id: FromPath[str],
        database: NamedDependency[Database],
        principal: NamedDependency[Principal],
        limit: Limit = DEFAULT_LIMIT,
        cursor: Cursor = None,
    ) -> Page[ObjectVersion]:
        """List the versions of a silence, newest first."""
        before = number_cursor(cursor)
        async with database.begin() as connection:
            found = await versions.of_object(
                connection, ObjectKind.SILENCE, silence_id, principal.tenants, before, limit + 1
            )
        return page_of(found, limit, lambda version: version.number)

    @post("/preview", status_code=200, access=Access.READ)
    async def preview(
        self,
        data: JSONBody[dict[str, Any]],
        operations: NamedDependency[OperationContext],
        principal: NamedDependency[Principal],
    ) -> SilencePreview:
        """Return which alerts a silence would silence now, and would have silenced in the last 7 days.

        The body is a silence as `POST /silences` accepts it, or `{"id": …}`. Its start and end are ignored; the
        windows of a recurring one apply to the last 7 days. Nothing is stored. `truncated`: not all alerts were
        read within the time for it.
        """
        return await preview_silence(operations, data, principal)


def _matchers(texts: list[str] | tuple[str, ...]) -> tuple[Matcher, ...]:
    try:
        return tuple(matcher for text in texts for matcher in parse_matchers(text))
    except InvalidInput as error:
        raise InvalidInput("matcher", error.message) from None
