"""History: alerts and their timelines."""

from datetime import datetime
from typing import Annotated

from litestar import Controller, get
from litestar.di import NamedDependency
from litestar.params import FromQuery, QueryParameter

from relay.api.pages import DEFAULT_LIMIT, Cursor, Id, IdFilter, Limit, Page, number_cursor, page_of, utc
from relay.domain.alerts import Status
from relay.domain.history import HistoryItem
from relay.domain.principals import Access, Principal
from relay.domain.why import ExplainedAlert, Why
from relay.operations.context import OperationContext
from relay.operations.why import explain_alert, explain_channel
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
        acknowledged: FromQuery[bool | None] = None,
        limit: Limit = DEFAULT_LIMIT,
        cursor: Cursor = None,
    ) -> Page[HistoryItem]:
        """List alerts; `since` and `until` bound the time they were last received.

        `delivery_id` selects the alerts of a delivery and of the deliveries merged into it, `routed=false`
        those that have matched no channel, and `acknowledged` those whose acknowledgement holds, or all others.
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
            acknowledged=acknowledged,
        )
        async with database.begin() as connection:
            items = await history.page(connection, wanted, principal.tenants, number_cursor(cursor), limit + 1)
        return page_of(items, limit, lambda item: item.id)

    @get("/{alert_id:int}", access=Access.READ)
    async def get_one(
        self,
        alert_id: Id,
        operations: NamedDependency[OperationContext],
        principal: NamedDependency[Principal],
    ) -> ExplainedAlert:
        """Get an alert with its timeline, and what became of it for each channel that could get it.

        The timeline has receipts, deliveries and attempts; the acknowledgements include those that ended.
        """
        return await explain_alert(operations, alert_id, principal.tenants)

    @get("/{alert_id:int}/why", access=Access.READ)
    async def why(
        self,
        alert_id: Id,
        channel: Annotated[str, QueryParameter(description="The id of a channel, which may be deleted.")],
        operations: NamedDependency[OperationContext],
        principal: NamedDependency[Principal],
    ) -> Why:
        """Explain why a channel was, or was not, sent an alert, in each webhook that reported it.

        Each webhook is explained with the configuration that was in force when it was received.
        """
        return await explain_channel(operations, alert_id, channel, principal.tenants)
