"""Deliveries: the outbox, results included, and redelivery."""

import time
from datetime import datetime
from functools import partial
from typing import Annotated, Final, Literal

import msgspec
from litestar import Controller, get, post
from litestar.di import NamedDependency
from litestar.params import FromQuery, JSONBody, QueryParameter
from sqlalchemy.ext.asyncio import AsyncConnection

from relay.api.pages import DEFAULT_LIMIT, Cursor, Id, IdFilter, Limit, Page, number_cursor, page_of, utc
from relay.api.transactions import run_in_transaction
from relay.domain.fields import require_storable
from relay.domain.history import Delivery, DeliveryDetail, State
from relay.domain.principals import Access, Principal
from relay.store.outbox import redelivery
from relay.store.postgres.database import Database
from relay.store.reports import deliveries

BULK_SECONDS: Final = 10.0
"""A bulk redelivery responds after this time even if it is incomplete: callers and proxies time out."""

InState = Annotated[State | None, QueryParameter(name="state")]
"""Litestar reserves the parameter name `state`."""


class RedeliverRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The deliveries to redeliver: all that match. `since` and `until` bound the time of creation."""

    state: Literal["dead", "delivered", "suppressed"] = "dead"
    channel_id: str | None = None
    source: str | None = None
    since: datetime | None = None
    until: datetime | None = None


class RedeliverResult(msgspec.Struct, frozen=True):
    """How many deliveries were queued again. With `more`, the time limit was reached; repeat for the rest."""

    redelivered: int
    more: bool


class DeliveriesController(Controller):
    """The outbox, newest first, dead deliveries included."""

    path = "/deliveries"
    tags = ("deliveries",)

    @get(access=Access.READ)
    async def list_all(
        self,
        database: NamedDependency[Database],
        principal: NamedDependency[Principal],
        channel_id: FromQuery[str | None] = None,
        in_state: InState = None,
        group_key: FromQuery[str | None] = None,
        source: FromQuery[str | None] = None,
        merged_into: IdFilter = None,
        since: FromQuery[datetime | None] = None,
        until: FromQuery[datetime | None] = None,
        limit: Limit = DEFAULT_LIMIT,
        cursor: Cursor = None,
    ) -> Page[Delivery]:
        """List deliveries; `since` and `until` bound the time of creation. A digest has no source."""
        wanted = deliveries.DeliveryFilter(
            channel_id=channel_id,
            state=in_state,
            group_key=group_key,
            source=source,
            merged_into=merged_into,
            since=utc("since", since),
            until=utc("until", until),
        )
        async with database.begin() as connection:
            items = await deliveries.page(connection, wanted, principal.tenants, number_cursor(cursor), limit + 1)
        return page_of(items, limit, lambda item: item.id)

    @get("/{delivery_id:int}", access=Access.READ)
    async def get_one(
        self, delivery_id: Id, database: NamedDependency[Database], principal: NamedDependency[Principal]
    ) -> DeliveryDetail:
        """Get a delivery with its attempts."""
        async with database.begin() as connection:
            return await deliveries.get(connection, delivery_id, principal.tenants)

    @post("/{delivery_id:int}/redeliver", status_code=202, access=Access.CHANGE)
    async def redeliver(
        self, delivery_id: Id, database: NamedDependency[Database], principal: NamedDependency[Principal]
    ) -> DeliveryDetail:
        """Redeliver a dead, delivered or suppressed delivery. A pending one is sent immediately."""

        async def put_back(connection: AsyncConnection) -> DeliveryDetail:
            await redelivery.redeliver(connection, delivery_id, principal.tenants)
            return await deliveries.get(connection, delivery_id, principal.tenants)

        return await run_in_transaction(database, put_back)

    @post("/redeliver", status_code=200, access=Access.CHANGE)
    async def redeliver_all(
        self,
        data: JSONBody[RedeliverRequest],
        database: NamedDependency[Database],
        principal: NamedDependency[Principal],
    ) -> RedeliverResult:
        """Redeliver all deliveries that match, oldest first; by default the dead ones."""
        require_storable(data.channel_id, "channel_id")
        require_storable(data.source, "source")
        wanted = redelivery.RedeliveryFilter(
            state=data.state,
            channel_id=data.channel_id,
            source=data.source,
            since=utc("since", data.since),
            until=utc("until", data.until),
            tenants=None if principal.tenants is None else sorted(principal.tenants),
        )
        return await _redeliver_all(database, wanted)


async def _redeliver_all(database: Database, wanted: redelivery.RedeliveryFilter) -> RedeliverResult:
    ends = time.monotonic() + BULK_SECONDS
    last = await run_in_transaction(database, redelivery.last_id)
    count, after = 0, 0
    while True:
        some = partial(redelivery.redeliver_chunk, wanted=wanted, after=after, last=last)
        chunk = await run_in_transaction(database, some)
        count += chunk.redelivered
        if chunk.after is None:
            return RedeliverResult(count, more=False)
        if time.monotonic() > ends:
            return RedeliverResult(count, more=True)
        after = chunk.after
