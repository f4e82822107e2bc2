"""Refreshes of edited messages after their alerts were acknowledged, and what these messages show of it."""

from collections.abc import Sequence
from typing import Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from relay.domain.acknowledgements import Acknowledgement
from relay.domain.notifications import LOWEST_RANK
from relay.store.outbox.fragments import ACKNOWLEDGEMENT, HOLDS, PENDING, REFRESH, RESOLVED, wake_lanes
from relay.store.postgres.statements import DriverConnection, Statement, read

QUEUE_REFRESHES: Final = text(
    f"""
    WITH
    -- The messages that show one of the alerts.
    shown AS MATERIALIZED (
      SELECT m.channel_id, m.group_hash, m.alert_ids, c.tenant_id
      FROM edited_messages m JOIN channels c ON c.id = m.channel_id AND c.enabled
      WHERE m.group_hash = ANY (:group_hashes) AND m.message_refs <> '[]' AND NOT m.all_resolved
        AND EXISTS (
          SELECT FROM unnest(m.alert_ids) AS s JOIN unnest(CAST(:alert_ids AS bigint[])) AS t ON s = t
        )
    ),
    -- The last webhook of each group that has alerts of the message, and the positions of these.
    webhooks AS MATERIALIZED (
      SELECT s.*, w.receipt_id, w.positions, w.source FROM shown s CROSS JOIN LATERAL (
        SELECT r.id AS receipt_id, p.positions, r.source FROM receipts r CROSS JOIN LATERAL (
          SELECT array_agg(o.at::int - 1 ORDER BY o.at) AS positions
          FROM unnest(r.alert_ids) WITH ORDINALITY AS o (alert_id, at)
          JOIN unnest(s.alert_ids) AS a (id) ON a.id = o.alert_id
          WHERE o.at - 1 <> ALL (r.late)
        ) AS p
        WHERE r.group_hash = s.group_hash AND p.positions IS NOT NULL
        ORDER BY r.received_at DESC LIMIT 1
      ) AS w
    ),
    -- The lanes first, in the order of their ids, as everywhere.
    woken AS ({wake_lanes("SELECT channel_id FROM webhooks")} RETURNING channel_id)
    INSERT INTO deliveries (
      receipt_id, channel_id, kind, group_hash, positions, rank, state, created_at, waiting_since, next_attempt_at,
      source, tenant_id
    )
    SELECT w.receipt_id, w.channel_id, {REFRESH}, w.group_hash, w.positions, {LOWEST_RANK}, {PENDING},
      now(), now(), now(), w.source, w.tenant_id
    FROM webhooks w JOIN woken USING (channel_id) ORDER BY w.channel_id, w.group_hash
    """
)

ACKNOWLEDGED: Final = Statement(
    f"""
    SELECT k.alert_id, {ACKNOWLEDGEMENT}
    FROM acknowledgements k JOIN alerts a ON a.id = k.alert_id
    WHERE k.alert_id = ANY (:alert_ids) AND {HOLDS} AND a.status <> {RESOLVED}
    """
)


async def queue_refreshes_of(
    connection: AsyncConnection, group_hashes: Sequence[int], alert_ids: Sequence[int]
) -> None:
    """Queue edits of the messages that show alerts of these groups."""
    await connection.execute(QUEUE_REFRESHES, {"group_hashes": group_hashes, "alert_ids": alert_ids})


async def acknowledged(connection: DriverConnection, alert_ids: Sequence[int]) -> dict[int, Acknowledgement]:
    """Return the acknowledgements of alerts, by the alert's id."""
    rows = await ACKNOWLEDGED.rows(connection, alert_ids=alert_ids)
    return {row["alert_id"]: read(row, Acknowledgement) for row in rows}
