"""The deliveries in the outbox, pending and finished."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import bindparam, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from relay.domain.errors import NotFound
from relay.domain.history import Attempt, Delivery, DeliveryDetail, State
from relay.domain.principals import Tenants, sees
from relay.store.postgres.statements import read_row
from relay.store.tables import attempts, deliveries, receipts

_shown = [
    deliveries.c.id,
    deliveries.c.receipt_id,
    deliveries.c.channel_id,
    deliveries.c.tenant_id,
    deliveries.c.kind,
    receipts.c.group_key,
    deliveries.c.source,
    deliveries.c.state,
    deliveries.c.attempt.label("attempt_count"),
    deliveries.c.created_at,
    deliveries.c.next_attempt_at,
    deliveries.c.delivered_at,
    deliveries.c.redelivered_at,
    deliveries.c.merged_into,
    deliveries.c.fallback_of,
    deliveries.c.last_reason,
    deliveries.c.last_error,
    deliveries.c.suppressed_by,
    deliveries.c.config_version,
]
_joined = deliveries.outerjoin(receipts, receipts.c.id == deliveries.c.receipt_id)


class DeliveryFilter(msgspec.Struct, frozen=True, kw_only=True):
    """A caller's filter; None matches all. `since` and `until` bound the time of creation."""

    channel_id: str | None = None
    state: State | None = None
    group_key: str | None = None
    source: str | None = None
    merged_into: int | None = None
    since: datetime | None = None
    until: datetime | None = None


async def page(
    connection: AsyncConnection, wanted: DeliveryFilter, tenants: Tenants, before: int | None, limit: int
) -> list[Delivery]:
    """Return deliveries of the tenants' channels before the id `before`, newest first."""
    statement = select(*_shown).select_from(_joined).order_by(deliveries.c.id.desc()).limit(limit)
    if tenants is not None:
        statement = statement.where(deliveries.c.tenant_id.in_(tenants))
    if wanted.channel_id is not None:
        statement = statement.where(deliveries.c.channel_id == wanted.channel_id)
    if wanted.state is not None:
        statement = statement.where(deliveries.c.state == _constant(wanted.state))
    if wanted.group_key is not None:
        statement = statement.where(receipts.c.group_key == wanted.group_key)
    if wanted.source is not None:
        statement = statement.where(deliveries.c.source == wanted.source)
    if wanted.merged_into is not None:
        merged = deliveries.c.state == _constant(State.MERGED)
        statement = statement.where(deliveries.c.merged_into == wanted.merged_into, merged)
    if wanted.since is not None:
        statement = statement.where(deliveries.c.created_at >= wanted.since)
    if wanted.until is not None:
        statement = statement.where(deliveries.c.created_at < wanted.until)
    if before is not None:
        statement = statement.where(deliveries.c.id < before)
    return [read_row(row, Delivery) for row in await connection.execute(statement)]


async def get(connection: AsyncConnection, delivery_id: int, tenants: Tenants) -> DeliveryDetail:
    """Return one delivery of the tenants' channels with its attempts.

    Raises:
        NotFound: there is none.
    """
    found = await details(connection, [delivery_id])
    if not found or not sees(tenants, found[0].tenant_id):
        raise NotFound(f"there is no delivery {delivery_id}")
    return found[0]


async def details(connection: AsyncConnection, delivery_ids: Sequence[int]) -> list[DeliveryDetail]:
    """Return deliveries with their attempts, by id; ids that don't exist are omitted."""
    found: dict[int, list[Attempt]] = {}
    statement = select(attempts).where(attempts.c.delivery_id.in_(delivery_ids)).order_by(attempts.c.number)
    for row in await connection.execute(statement):
        found.setdefault(row.delivery_id, []).append(read_row(row, Attempt))
    rows = await connection.execute(
        select(
            *_shown,
            deliveries.c.positions,
            deliveries.c.withheld,
            func.coalesce(deliveries.c.alert_ids, receipts.c.alert_ids).label("alert_ids"),
            (deliveries.c.alert_ids.is_not(None)).label("is_explicit"),
        )
        .select_from(_joined)
        .where(deliveries.c.id.in_(delivery_ids))
        .order_by(deliveries.c.id)
    )
    return [
        read_row(
            row,
            DeliveryDetail,
            attempts=found.get(row.id, ()),
            alert_ids=_alert_ids(row.alert_ids, None if row.is_explicit else row.positions, row.withheld),
        )
        for row in rows
    ]


def _constant(state: State) -> Any:
    """Put a state into the statement's text, so that its plan uses one partition and that state's indexes."""
    return bindparam(None, state.value, literal_execute=True)


def _alert_ids(
    listed: Sequence[int] | None, positions: Sequence[int] | None, withheld: Sequence[int]
) -> Sequence[int]:
    """Return the ids of the alerts of a delivery; a digest has none of its own."""
    if listed is None:
        return ()
    found = listed if positions is None else [listed[position] for position in positions]
    return [alert_id for alert_id in found if alert_id not in withheld] if withheld else found
