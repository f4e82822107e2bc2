"""The content of deliveries that were merged, tried before, or sent in place of others."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

import msgspec

from relay.domain.alerts import Alert
from relay.domain.folding import MergedNotification, Resolution
from relay.domain.history import State
from relay.domain.notifications import FallbackFor
from relay.domain.suppression import ACKNOWLEDGED
from relay.store.outbox.claims import CLAIMED_COLUMNS, Claimed
from relay.store.outbox.fragments import (
    CURRENT_ALERT,
    DEAD,
    DELIVERED,
    IS_RELEASE,
    MERGED,
    RESOLVED,
    STALE,
    content_tree,
)
from relay.store.postgres.statements import DriverConnection, Query, Records, Statement, read

MAX_BODIES: Final = 8 * 1024 * 1024
"""Bytes of bodies that are read at once; the last one may exceed it."""


class DeliverySnapshot(msgspec.Struct, frozen=True):
    """A delivery as of its last attempt, or of its next one if it is pending; `moment` is the attempt's time."""

    claimed: Claimed
    state: State
    merged_into: int | None
    moment: datetime


class _Body(msgspec.Struct, frozen=True):
    id: int
    body: bytes
    received_at: datetime
    source: str


_DELIVERIES: Final = content_tree("deliveries d WHERE d.id = ANY (:delivery_ids)")

SNAPSHOT: Final = Statement(
    f"""
    SELECT {CLAIMED_COLUMNS}, state, merged_into, (
        SELECT m.id FROM deliveries m WHERE m.merged_into = :delivery_id AND m.state = {MERGED} LIMIT 1
      ) IS NOT NULL AS carries, coalesce((
        SELECT max(a.started_at) FROM attempts a
        WHERE a.delivery_id = :delivery_id AND d.state IN ({DELIVERED}, {DEAD})
      ), now()) AS moment
    FROM deliveries d WHERE d.id = :delivery_id
    """
)

# Ids of receipts are drawn before their commits, so that their order is not that of time.
MEMBERS: Final = Query(
    MergedNotification,
    f"""
    WITH RECURSIVE {_DELIVERIES}
    SELECT DISTINCT t.root AS delivery_id, t.receipt_id, coalesce(released.at, r.received_at) AS received_at,
      t.positions, r.alert_ids, t.alert_ids AS stored_ids, t.withheld, released.at AS released_at,
      coalesce(released.was_acknowledged, false) AS was_acknowledged,
      CASE WHEN t.alert_ids IS NOT NULL THEN r.group_key END AS group_key,
      CASE WHEN t.alert_ids IS NOT NULL THEN r.receiver END AS receiver
    FROM content t JOIN receipts r ON r.id = t.receipt_id
    LEFT JOIN LATERAL (
      SELECT d.created_at AS at, (
        SELECT bool_and(k LIKE '{ACKNOWLEDGED}%')
        FROM deliveries m CROSS JOIN jsonb_object_keys(m.suppressed_by) AS k
        WHERE m.merged_into = d.id AND m.state = {MERGED}
      ) AS was_acknowledged
      FROM deliveries d WHERE d.id = t.id AND {IS_RELEASE}
    ) AS released ON t.alert_ids IS NOT NULL
    ORDER BY t.root, received_at, t.receipt_id
    """,
)

# A stale alert still fires, as far as anybody knows.
STORED_ALERTS: Final = Statement(
    f"""
    SELECT {CURRENT_ALERT}, CASE WHEN a.status = {STALE} THEN a.last_received_at END AS unreported_since
    FROM alerts a JOIN series s ON s.id = a.series_id WHERE a.id = ANY (:alert_ids)
    """
)

RESOLUTIONS: Final = Statement(
    f"SELECT id, ends_at, first_received_at FROM alerts WHERE id = ANY (:alert_ids) AND status = {RESOLVED}"
)

REPEATED: Final = Statement(
    """
    SELECT r.delivery_id FROM :webhooks AS r WHERE NOT EXISTS (
      SELECT FROM alerts a WHERE a.id = ANY (r.alert_ids::bigint[]) AND a.first_received_at >= r.received_at
    )
    """,
    webhooks=Records(MergedNotification, delivery_id="bigint", received_at="timestamptz", alert_ids="bigint[]"),
)

ORIGINS: Final = Statement(
    f"""
    WITH RECURSIVE {_DELIVERIES}
    SELECT DISTINCT ON (t.root) t.root, o.channel_id, coalesce(o.last_error, o.last_reason, '') AS reason
    FROM content t JOIN deliveries o ON o.id = t.fallback_of
    WHERE o.fallback_of IS NULL ORDER BY t.root, o.id
    """,
)

BODIES: Final = Query(
    _Body,
    f"""
    SELECT id, body, received_at, source FROM receipts WHERE id IN (
      SELECT id FROM (
        SELECT id, sum(octet_length(body)) OVER (ORDER BY id) - octet_length(body) AS before
        FROM receipts WHERE id = ANY (:receipt_ids)
      ) AS sizes WHERE before < {MAX_BODIES}
    )
    """,
)


async def snapshot(connection: DriverConnection, delivery_id: int) -> DeliverySnapshot | None:
    """Return a delivery, without claiming it; None if there is none."""
    rows = await SNAPSHOT.rows(connection, delivery_id=delivery_id)
    if not rows:
        return None
    claimed, state = read(rows[0], Claimed), State(rows[0]["state"])
    if state is State.PENDING:
        claimed = msgspec.structs.replace(claimed, attempt=claimed.attempt + 1)
    return DeliverySnapshot(claimed, state, rows[0]["merged_into"], rows[0]["moment"])


async def members(connection: DriverConnection, delivery_ids: Sequence[int]) -> list[MergedNotification]:
    """Return the notifications that deliveries contain, with their own, in the order of receipt."""
    return await MEMBERS.fetch(connection, delivery_ids=delivery_ids)


async def stored_alerts(
    connection: DriverConnection, notifications: Sequence[MergedNotification]
) -> dict[int, Alert]:
    """Return the alerts of notifications that are not those of their webhooks, as they are now."""
    wanted = {at for one in notifications if one.stored_ids is not None for at in one.matched_alert_ids}
    if not wanted:
        return {}
    rows = await STORED_ALERTS.rows(connection, alert_ids=sorted(wanted))
    return {row["id"]: read(row, Alert) for row in rows}


async def resolved(connection: DriverConnection, alert_ids: Sequence[int]) -> dict[int, Resolution]:
    """Return the alerts among these that are resolved now."""
    rows = await RESOLUTIONS.rows(connection, alert_ids=alert_ids)
    return {row["id"]: read(row, Resolution) for row in rows}


async def repeated(connection: DriverConnection, notifications: Sequence[MergedNotification]) -> frozenset[int]:
    """Return the deliveries among those of the notifications whose webhook had only alerts received before."""
    rows = await REPEATED.rows(connection, webhooks=notifications)
    return frozenset(row["delivery_id"] for row in rows)


async def origins(connection: DriverConnection, delivery_ids: Sequence[int]) -> dict[int, FallbackFor]:
    """Return the channels from which deliveries, or the first one merged into them, fell back."""
    rows = await ORIGINS.rows(connection, delivery_ids=delivery_ids)
    return {row["root"]: read(row, FallbackFor) for row in rows}


async def load_bodies(
    connection: DriverConnection, receipt_ids: Sequence[int]
) -> dict[int, tuple[bytes, datetime, str]]:
    """Return the first webhooks by id, until they have MAX_BODIES bytes: body, time of receipt and source."""
    return {
        receipt.id: (receipt.body, receipt.received_at, receipt.source)
        for receipt in await BODIES.fetch(connection, receipt_ids=receipt_ids)
    }
