"""Deliveries: what is in the outbox, and how did it end?"""

from typing import Annotated

from litestar import Controller, get
from litestar.di import NamedDependency
from litestar.params import FromQuery, QueryParameter

from relay.api.pages import DEFAULT_LIMIT, Cursor, Id, Limit, Page, number_cursor, page_of
from relay.domain.history import Delivery, DeliveryDetail, State
from relay.store import deliveries
from relay.store.database import Database

InState = Annotated[State | None, QueryParameter(name="state")]
"""The framework keeps the name `state` for itself."""


class DeliveriesController(Controller):
    """The outbox, newest first, dead letters included."""

    path = "/deliveries"
    tags = ("deliveries",)

    @get()
    async def list_all(
        self,
        database: NamedDependency[Database],
        channel_id: FromQuery[str | None] = None,
        in_state: InState = None,
        group_key: FromQuery[str | None] = None,
        limit: Limit = DEFAULT_LIMIT,
        cursor: Cursor = None,
    ) -> Page[Delivery]:
        """List deliveries."""
        wanted = deliveries.DeliveryFilter(channel_id=channel_id, state=in_state, group_key=group_key)
        async with database.begin() as connection:
            items = await deliveries.page(connection, wanted, number_cursor(cursor), limit + 1)
        return page_of(items, limit, lambda item: item.id)

    @get("/{delivery_id:int}")
    async def get_one(self, delivery_id: Id, database: NamedDependency[Database]) -> DeliveryDetail:
        """Show one delivery with its tries."""
        async with database.begin() as connection:
            return await deliveries.get(connection, delivery_id)
