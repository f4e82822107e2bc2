"""The history of alerts."""

from datetime import datetime
from typing import Any, Final

import msgspec
from sqlalchemy import BigInteger, and_, any_, cast, func, not_, or_, select, text
from sqlalchemy.dialects.postgresql import array
from sqlalchemy.ext.asyncio import AsyncConnection

from relay.domain.acknowledgements import Acknowledgement
from relay.domain.alerts import Status
from relay.domain.errors import NotFound
from relay.domain.history import DeliveryDetail, HistoryDetail, HistoryItem, Receipt, Repeat, SharedDelivery
from relay.domain.principals import Tenants, sees
from relay.store.outbox.fragments import ALERTS_OF_NODE, content_tree
from relay.store.postgres.statements import read_row
from relay.store.reports import deliveries as outbox
from relay.store.reports.acknowledgements import of_alert
from relay.store.tables import acknowledgements, alerts, channels, deliveries, receipts, repeats, senders, series

MAX_TIMELINE = 500
"""The newest receipts that a timeline shows."""

# As an array the ids are read once, and the alerts are then looked up by them.
IN_DELIVERY: Final = text(
    f"""
    alerts.id = ANY (ARRAY(
      WITH RECURSIVE {content_tree("deliveries d WHERE d.id = :delivery_id")}
      SELECT listed.id FROM content t JOIN receipts r ON r.id = t.receipt_id
      CROSS JOIN LATERAL unnest({ALERTS_OF_NODE}) AS listed (id) WHERE listed.id <> ALL (t.withheld)
    ))
    """
)

_COMPUTED: Final = ("tenant_id", "labels", "acknowledgement")

_shown = [
    func.nullif(alerts.c.tenant_id, "").label("tenant_id"),
    series.c.labels,
    *(alerts.c[name] for name in HistoryItem.__struct_fields__ if name not in _COMPUTED),
    acknowledgements.c.author.label("by"),
    acknowledgements.c.author_name.label("by_name"),
    acknowledgements.c.created_at.label("since"),
    acknowledgements.c.until,
    acknowledgements.c.comment,
]
_holds_now = and_(
    acknowledgements.c.ended_at.is_(None),
    or_(acknowledgements.c.until.is_(None), acknowledgements.c.until > func.now()),
)
_held = and_(acknowledgements.c.alert_id == alerts.c.id, alerts.c.status != Status.RESOLVED.value, _holds_now)
_alerts = alerts.join(series, series.c.id == alerts.c.series_id)
_acknowledged = _alerts.join(acknowledgements, _held)
_occurrences = _alerts.outerjoin(acknowledgements, _held)
# Not an outer join without a match, for which the planner would read all alerts.
_not_acknowledged = or_(
    alerts.c.status == Status.RESOLVED.value,
    alerts.c.id.not_in(select(acknowledgements.c.alert_id).where(_holds_now)),
)


class HistoryFilter(msgspec.Struct, frozen=True, kw_only=True):
    """A caller's filter; None matches all. `delivery_id` matches the alerts that a delivery contains."""

    status: Status | None = None
    alertname: str | None = None
    severity: str | None = None
    category: str | None = None
    tenant_id: str | None = None
    source: str | None = None
    fingerprint: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    delivery_id: int | None = None
    routed: bool | None = None
    acknowledged: bool | None = None


async def page(
    connection: AsyncConnection, wanted: HistoryFilter, tenants: Tenants, before: int | None, limit: int
) -> list[HistoryItem]:
    """Return alerts of the tenants before the id `before`, newest first.

    `since` and `until` bound the time of last receipt.
    """
    # Joined without the others, the few that are acknowledged are found first.
    found = _acknowledged if wanted.acknowledged else _occurrences
    statement = select(*_shown).select_from(found).order_by(alerts.c.id.desc()).limit(limit)
    if wanted.acknowledged is False:
        statement = statement.where(_not_acknowledged)
    if tenants is not None:
        statement = statement.where(alerts.c.tenant_id.in_(tenants - {""}))
    for name in ("status", "alertname", "severity", "category", "tenant_id", "source", "fingerprint"):
        if (value := getattr(wanted, name)) is not None:
            statement = statement.where(alerts.c[name] == value)
    if wanted.since is not None:
        statement = statement.where(alerts.c.last_received_at >= wanted.since)
    if wanted.until is not None:
        statement = statement.where(alerts.c.last_received_at < wanted.until)
    if wanted.routed is not None:
        # Not a comparison with a parameter: the index of the others has this condition.
        statement = statement.where(alerts.c.routed if wanted.routed else not_(alerts.c.routed))
    if wanted.delivery_id is not None:
        statement = statement.where(IN_DELIVERY.bindparams(delivery_id=wanted.delivery_id))
    if before is not None:
        statement = statement.where(alerts.c.id < before)
    rows = await connection.execute(statement)
    return [read_row(row, HistoryItem, acknowledgement=_acknowledgement(row)) for row in rows]


async def get(connection: AsyncConnection, alert_id: int, tenants: Tenants) -> HistoryDetail:
    """Return one alert of the tenants with its timeline, oldest first.

    Raises:
        NotFound: there is none.
    """
    statement = select(*_shown, alerts.c.group_hashes).select_from(_occurrences).where(alerts.c.id == alert_id)
    row = (await connection.execute(statement)).one_or_none()
    if row is None or not sees(tenants, row.tenant_id):
        raise NotFound(f"there is no alert {alert_id} in the history")
    return read_row(
        row,
        HistoryDetail,
        acknowledgement=_acknowledgement(row),
        timeline=await _timeline(connection, row, tenants),
        acknowledgements=await of_alert(connection, alert_id),
    )


async def _timeline(connection: AsyncConnection, alert: Any, tenants: Tenants) -> tuple[Receipt, ...]:
    """Return the newest receipts that contain an alert, oldest first."""
    found = (
        select(
            receipts.c.id,
            receipts.c.received_at,
            receipts.c.receiver,
            receipts.c.group_key,
            receipts.c.status,
            receipts.c.source,
            receipts.c.alert_ids,
            receipts.c.late,
            senders.c.address,
            senders.c.external_url,
        )
        .select_from(receipts.outerjoin(senders, _sender_of(receipts.c.sender_hash)))
        .where(
            receipts.c.group_hash.in_(alert.group_hashes),
            receipts.c.received_at.between(alert.first_received_at, alert.last_received_at),
            _holds(receipts.c.alert_ids, alert.id),
        )
        .order_by(receipts.c.received_at.desc(), receipts.c.id.desc())
        .limit(MAX_TIMELINE)
    )
    rows = (await connection.execute(found)).all()[::-1]
    found_deliveries, shared = await _deliveries(connection, alert.id, [receipt.id for receipt in rows], tenants)
    repeated = await _repeats(connection, [receipt.id for receipt in rows])
    return tuple(
        read_row(
            receipt,
            Receipt,
            sender=receipt.address,
            late=alert.id in [receipt.alert_ids[position] for position in receipt.late],
            repeats=repeated.get(receipt.id, ()),
            deliveries=found_deliveries.get(receipt.id, ()),
            shared_deliveries=shared.get(receipt.id, ()),
        )
        for receipt in rows
    )


def _acknowledgement(row: Any) -> Acknowledgement | None:
    return None if row.by is None else read_row(row, Acknowledgement)


async def _deliveries(
    connection: AsyncConnection, alert_id: int, receipt_ids: list[int], tenants: Tenants
) -> tuple[dict[int, list[DeliveryDetail]], dict[int, list[SharedDelivery]]]:
    """Return the deliveries of receipts that contain the alert, by receipt: the tenants', and the shared ones."""
    position = func.array_position(receipts.c.alert_ids, cast(alert_id, BigInteger)) - 1
    statement = (
        select(
            deliveries.c.id,
            deliveries.c.receipt_id,
            deliveries.c.tenant_id,
            deliveries.c.state,
            func.coalesce(deliveries.c.delivered_at, deliveries.c.created_at).label("at"),
            channels.c.config["name"].astext.label("channel_name"),
            channels.c.channel_type,
        )
        .join(receipts, receipts.c.id == deliveries.c.receipt_id)
        # A channel that was shared may be a tenant's now.
        .outerjoin(channels, and_(channels.c.id == deliveries.c.channel_id, channels.c.tenant_id.is_(None)))
        .where(
            deliveries.c.receipt_id.in_(receipt_ids),
            or_(deliveries.c.positions.is_(None), position == any_(deliveries.c.positions)),
        )
        .order_by(deliveries.c.id)
    )
    by_receipt: dict[int, list[DeliveryDetail]] = {}
    shared: dict[int, list[SharedDelivery]] = {}
    rows = (await connection.execute(statement)).all()
    own = [row.id for row in rows if sees(tenants, row.tenant_id)]
    details = {detail.id: detail for detail in await outbox.details(connection, own)}
    for row in rows:
        if row.id in details:
            by_receipt.setdefault(row.receipt_id, []).append(details[row.id])
        elif row.tenant_id is None:
            shared.setdefault(row.receipt_id, []).append(read_row(row, SharedDelivery))
    return by_receipt, shared


async def _repeats(connection: AsyncConnection, receipt_ids: list[int]) -> dict[int, list[Repeat]]:
    """Return the duplicate and late reports of receipts, by receipt."""
    joined = repeats.join(receipts, receipts.c.id == repeats.c.receipt_id).outerjoin(
        senders, _sender_of(repeats.c.sender_hash)
    )
    statement = (
        select(repeats, senders.c.address, senders.c.external_url)
        .select_from(joined)
        .where(repeats.c.receipt_id.in_(receipt_ids))
        .order_by(repeats.c.first_received_at, repeats.c.sender_hash, repeats.c.kind)
    )
    by_receipt: dict[int, list[Repeat]] = {}
    for row in await connection.execute(statement):
        repeat = Repeat(
            sender=row.address or "",
            external_url=row.external_url or "",
            kind=row.kind,
            count=row._mapping[repeats.c.count],
            first_received_at=row.first_received_at,
            last_received_at=row.last_received_at,
        )
        by_receipt.setdefault(row.receipt_id, []).append(repeat)
    return by_receipt


def _sender_of(sender_hash: Any) -> Any:
    return and_(senders.c.source == receipts.c.source, senders.c.hash == sender_hash)


def _holds(column: Any, value: int) -> Any:
    return column.contains(cast(array([value]), column.type))
