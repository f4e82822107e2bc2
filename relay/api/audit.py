"""The audit: who changed what."""

from datetime import datetime

from litestar import Controller, get
from litestar.di import NamedDependency
from litestar.params import FromQuery

from relay.api.pages import DEFAULT_LIMIT, Cursor, Limit, Page, number_cursor, page_of, utc
from relay.domain.principals import Access, Principal
from relay.domain.versions import Action, AuditEntry, ObjectKind
from relay.store.configuration import versions
from relay.store.postgres.database import Database


class AuditController(Controller):
    """Changes of the configuration, newest first. A tenant's admin sees those of its tenants."""

    path = "/audit"
    tags = ("access",)

    @get(access=Access.MANAGE)
    async def list_all(
        self,
        database: NamedDependency[Database],
        principal: NamedDependency[Principal],
        kind: FromQuery[ObjectKind | None] = None,
        object_id: FromQuery[str | None] = None,
        action: FromQuery[Action | None] = None,
        author: FromQuery[str | None] = None,
        tenant_id: FromQuery[str | None] = None,
        request_id: FromQuery[str | None] = None,
        since: FromQuery[datetime | None] = None,
        until: FromQuery[datetime | None] = None,
        limit: Limit = DEFAULT_LIMIT,
        cursor: Cursor = None,
    ) -> Page[AuditEntry]:
        """List changes: who made them, from where, by which request, and each field before and after.

        `author` is an identity, `kind:issuer:subject`; `since` and `until` bound the time.
        """
        wanted = versions.AuditFilter(
            kind=kind,
            object_id=object_id,
            action=action,
            author=author,
            tenant_id=tenant_id,
            request_id=request_id,
            since=utc("since", since),
            until=utc("until", until),
        )
        async with database.begin() as connection:
            items = await versions.page(connection, wanted, principal.tenants, number_cursor(cursor), limit + 1)
        return page_of(items, limit, lambda item: item.id)
