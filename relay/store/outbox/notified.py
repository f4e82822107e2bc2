"""Which channels got the firing of an alert, as far as that is known."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Final

import msgspec

from relay.domain.outcomes import NEVER_CONNECTED, OutcomeKind, Reason
from relay.store.outbox.fragments import DELIVERED, IS_NOT_HELD, REFRESH, SENDING
from relay.store.postgres.statements import DriverConnection, Query, Records


class Pair(msgspec.Struct, frozen=True):
    """A channel and an alert."""

    channel_id: str
    alert_id: int


class _Firing(msgspec.Struct, frozen=True):
    """A channel that got the firing of an alert, or may have got it, and when it was sent last."""

    channel_id: str
    alert_id: int
    sent_at: datetime | None


_MAY_HAVE_ARRIVED: Final = f"""(
  t.outcome = '{OutcomeKind.SENT}'
  OR t.outcome = '{OutcomeKind.RETRY}' AND (
    t.reason IN (
      '{Reason.DEADLINE_EXCEEDED}', '{Reason.INTERRUPTED}', '{Reason.UNEXPECTED_RESPONSE}', '{Reason.SERVER_ERROR}'
    )
    OR t.reason = '{Reason.CONNECTION_ERROR}' AND coalesce(t.detail, '') !~ :never_connected
  )
)"""

# Since when attempts at the delivery `d` do not contain an alert: since a part of it, which has waited as long, is
# held back.
_LEFT_OUT: Final = """CASE WHEN d.withheld @> ARRAY[{alert}.alert_id] THEN coalesce((
  SELECT max(h.created_at) FROM deliveries h
  WHERE h.channel_id = d.channel_id AND h.group_hash = ANY ({alert}.group_hashes)
    AND h.alert_ids @> ARRAY[{alert}.alert_id] AND h.suppressed_by IS NOT NULL
    AND h.waiting_since = d.waiting_since
), '-infinity') ELSE 'infinity' END AS left_out_at"""

# OFFSET 0 keeps the look-ups in this order, each on its index, whatever the planner expects of small tables.
# From the deliveries with the alert to those that were sent: what they were merged into, and what replaced them.
FIRING: Final = Query(
    _Firing,
    f"""
    WITH RECURSIVE wanted AS MATERIALIZED (SELECT DISTINCT p.* FROM :pairs AS p),
    alert AS MATERIALIZED (
      SELECT p.*, a.group_hashes, a.first_received_at, a.resolved_received_at
      FROM wanted p CROSS JOIN LATERAL (SELECT * FROM alerts a WHERE a.id = p.alert_id LIMIT 1) AS a
    ),
    own AS (
      SELECT p.channel_id AS wanted, p.alert_id, p.group_hashes, d.*
      FROM alert p CROSS JOIN LATERAL (
        SELECT r.id, r.alert_ids FROM receipts r
        WHERE r.group_hash = ANY (p.group_hashes) AND r.received_at >= p.first_received_at
          AND (p.resolved_received_at IS NULL OR r.received_at < p.resolved_received_at) OFFSET 0
      ) AS r CROSS JOIN LATERAL (SELECT * FROM deliveries d WHERE d.receipt_id = r.id OFFSET 0) AS d
      WHERE r.alert_ids @> ARRAY[p.alert_id] AND d.alert_ids IS NULL
        AND (d.positions IS NULL OR array_position(r.alert_ids, p.alert_id) - 1 = ANY (d.positions))
      UNION ALL
      SELECT p.channel_id, p.alert_id, p.group_hashes, d.* FROM alert p CROSS JOIN LATERAL (
        SELECT * FROM deliveries d
        WHERE d.channel_id = p.channel_id AND d.group_hash = ANY (p.group_hashes) AND d.alert_ids IS NOT NULL
        OFFSET 0
      ) AS d
      WHERE d.alert_ids @> ARRAY[p.alert_id]
    ),
    -- What is held back was perhaps attempted before, but nothing that it is merged into contains it.
    sent AS (
      SELECT d.wanted, d.alert_id, d.group_hashes, d.id, d.receipt_id, d.merged_into, d.state,
        {_LEFT_OUT.format(alert="d")}, {IS_NOT_HELD} AS is_contained
      FROM own d
      WHERE d.kind <> {REFRESH} AND (
        d.channel_id = d.wanted
        OR EXISTS (SELECT FROM deliveries o WHERE o.id = d.fallback_of AND o.channel_id = d.wanted)
      )
      UNION
      SELECT s.wanted, s.alert_id, s.group_hashes, d.id, d.receipt_id, d.merged_into, d.state,
        {_LEFT_OUT.format(alert="s")}, {IS_NOT_HELD}
      FROM sent s CROSS JOIN LATERAL (
        SELECT * FROM deliveries d WHERE d.id = s.merged_into
        UNION ALL SELECT * FROM deliveries d WHERE d.receipt_id = s.receipt_id AND d.fallback_of = s.id
      ) AS d
      WHERE d.kind <> {REFRESH} AND s.is_contained AND s.left_out_at = 'infinity'
    )
    SELECT s.wanted AS channel_id, s.alert_id, max((
      SELECT max(t.started_at) FROM attempts t WHERE t.delivery_id = s.id AND t.outcome = '{OutcomeKind.SENT}'
    )) FILTER (WHERE s.left_out_at = 'infinity' AND s.state = {DELIVERED}) AS sent_at
    FROM sent s
    WHERE s.state IN ({DELIVERED}, {SENDING}) AND s.left_out_at = 'infinity' AND s.id <> ALL (:sending)
      OR EXISTS (
        SELECT FROM attempts t WHERE t.delivery_id = s.id AND t.started_at < s.left_out_at AND {_MAY_HAVE_ARRIVED}
      )
    GROUP BY 1, 2
    """,
    pairs=Records(Pair, channel_id="text", alert_id="bigint"),
)


async def firing(
    connection: DriverConnection, pairs: Collection[Pair], sending: Sequence[int] = ()
) -> dict[tuple[str, int], datetime | None]:
    """Return the channels that got the firing of alerts, with when the attempt that delivered it
    began; None if it is not certain that any did.

    `sending` are deliveries that were claimed, and whose attempt has not begun.
    """
    if not pairs:
        return {}
    rows = await FIRING.fetch(
        connection, pairs=list(pairs), sending=sending, never_connected=f"^({'|'.join(NEVER_CONNECTED)})"
    )
    return {(row.channel_id, row.alert_id): row.sent_at for row in rows}
