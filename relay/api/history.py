"""History: alerts and their timelines."""

from datetime import datetime

from litestar import Controller, get
from litestar.di import NamedDependency
from litestar.params import FromQuery

from relay.api.pages import DEFAULT_LIMIT, Cursor, Id, IdFilter, Limit, Page, number_cursor, page_of, utc
from relay.domain.alerts import Status
from relay.domain.history import HistoryDetail, HistoryItem
from relay.domain.principals import Access, Principal
from relay.store.postgres.database import Database
from relay.store.reports import history


class HistoryController(Controller):
    """Alerts, newest first."""

    path = "/history"
    tags = ("history",)

    @get(access=Access.READ)
    async def list_all(
        self,
        database: NamedDependency[Database],
        principal: NamedDependency[Principal],
        status: FromQuery[Status | None] = None,
        alertname: FromQuery[str | None] = None,
        severity: FromQuery[str | None] = None,
        category: FromQuery[str | None] = None,
        tenant_id: FromQuery[str | None] = None,
        source: FromQuery[str | None] = None,
        fingerprint: FromQuery[str | None] = None,
        since: FromQuery[datetime | None] = None,
        until: FromQuery[datetime | None] = None,
        delivery_id: IdFilter = None,
        routed: FromQuery[bool | None] = None,
        limit: Limit = DEFAULT_LIMIT,
        cursor: Cursor = None,
    ) -> Page[HistoryItem]:
        """List alerts; `since` and `until` bound the time they were last received.

        `delivery_id` selects the alerts of a delivery and of the deliveries merged into it; `routed=false` those
        that have matched no channel.
        """
        wanted = history.HistoryFilter(
            status=status,
            alertname=alertname,
            severity=severity,
            category=category,
            tenant_id=tenant_id,
            source=source,
            fingerprint=fingerprint,
            since=utc("since", since),
            until=utc("until", until),
            delivery_id=delivery_id,
            routed=routed,
        )
        async with database.begin() as connection:
            items = await history.page(connection, wanted, principal.tenants, number_cursor(cursor), limit + 1)
        return page_of(items, limit, lambda item: item.id)

    @get("/{alert_id:int}", access=Access.READ)
    async def get_one(
        self, alert_id: Id, database: NamedDependency[Database], principal: NamedDependency[Principal]
    ) -> HistoryDetail:
        """Get an alert with its timeline: receipts, deliveries and attempts."""
        async with database.begin() as connection:
            return await history.get(connection, alert_id, principal.tenants)
