"""Deliveries that are pending for too long: they go to the fallback channel, or expire."""

from typing import Final

import msgspec

from relay.domain.outcomes import Reason
from relay.store.outbox.fragments import (
    DEAD,
    DIGEST,
    IN_FLIGHT,
    IS_NO_REFRESH,
    MERGED,
    NOT_LEASED,
    PENDING,
    USABLE_FALLBACK,
    insert_fallbacks,
    wake_lanes,
)
from relay.store.postgres.statements import DriverConnection, Query

MOVED_AT_ONCE: Final = 1000
"""Deliveries over all lanes, not of each: webhooks wait for the lanes' rows meanwhile, and a statement that takes
longer than its timeout would start over forever."""

_TOO_OLD: Final = f"""
  CASE WHEN d.kind = {DIGEST} THEN greatest(d.created_at, d.waiting_since) ELSE d.waiting_since END
    <= now() - make_interval(secs => :after)
"""
"""A digest is as old as its newest delivery."""


class Moved(msgspec.Struct, frozen=True):
    """A delivery that is no longer pending, the type of its channel, why, and the fallback that it went to."""

    channel_type: str
    reason: Reason
    fallback: str | None


_BROKEN_LANES: Final = f"""
  SELECT l.channel_id, c.channel_type, f.id AS fallback,
    CASE WHEN c.enabled THEN '{Reason.CIRCUIT_OPEN}' ELSE '{Reason.DESTINATION_GONE}' END AS reason,
    coalesce(c.disabled_reason, 'the circuit breaker has been open since '
      || to_char(l.opened_at, 'YYYY-MM-DD HH24:MI:SS') || ' UTC: ' || coalesce(l.last_error, '')) AS error
  FROM lanes l JOIN channels c ON c.id = l.channel_id
  JOIN channels f ON f.id = c.config ->> 'fallback_channel_id' AND {USABLE_FALLBACK}
  WHERE {NOT_LEASED} AND CASE WHEN c.enabled
    THEN l.opened_at <= now() - make_interval(secs => :after)
    ELSE c.disabled_reason IS NOT NULL END
  ORDER BY l.channel_id FOR NO KEY UPDATE OF l SKIP LOCKED
"""

FALL_BACK: Final = Query(
    Moved,
    f"""
    WITH
    -- Lanes without a lease; their rows stay locked, so that no worker can claim a delivery while it moves.
    lane AS MATERIALIZED ({_BROKEN_LANES}),
    -- A delivery in flight may still succeed; those of its group stay, so that none is sent before it.
    stuck AS MATERIALIZED (
      SELECT s.*, lane.channel_type, lane.fallback, lane.reason, lane.error FROM lane CROSS JOIN LATERAL (
        SELECT d.* FROM deliveries d
        WHERE d.channel_id = lane.channel_id AND d.state = {PENDING} AND {IS_NO_REFRESH} AND {IN_FLIGHT} IS NULL
        ORDER BY d.rank, d.id LIMIT {MOVED_AT_ONCE}
      ) AS s LIMIT {MOVED_AT_ONCE}
    ),
    added AS ({insert_fallbacks("stuck")}),
    woken AS ({wake_lanes("SELECT channel_id FROM added")})
    UPDATE deliveries d SET state = {MERGED}, merged_into = added.id, next_attempt_at = NULL,
      last_reason = stuck.reason, last_error = stuck.error
    FROM added JOIN stuck ON stuck.id = added.fallback_of
    WHERE d.state = {PENDING} AND d.id = ANY (ARRAY(SELECT id FROM stuck)) AND d.id = added.fallback_of
    RETURNING stuck.channel_type, stuck.reason, stuck.fallback
    """,
)

EXPIRE: Final = Query(
    Moved,
    f"""
    WITH
    old AS MATERIALIZED (
      SELECT DISTINCT channel_id FROM deliveries d WHERE d.state = {PENDING} AND {_TOO_OLD}
    ),
    -- Lanes without a lease; their rows stay locked, so that no worker can claim a delivery while it expires.
    lane AS MATERIALIZED (
      SELECT l.channel_id, c.channel_type, f.id AS fallback FROM lanes l JOIN channels c ON c.id = l.channel_id
      LEFT JOIN channels f ON f.id = c.config ->> 'fallback_channel_id' AND {USABLE_FALLBACK}
      WHERE l.channel_id IN (SELECT channel_id FROM old) AND {NOT_LEASED}
      ORDER BY l.channel_id FOR NO KEY UPDATE OF l SKIP LOCKED
    ),
    stuck AS MATERIALIZED (
      SELECT d.*, lane.channel_type, lane.fallback FROM lane JOIN deliveries d USING (channel_id)
      WHERE d.state = {PENDING} AND {_TOO_OLD}
      ORDER BY d.id LIMIT {MOVED_AT_ONCE}
    ),
    added AS ({insert_fallbacks("stuck")}),
    woken AS ({wake_lanes("SELECT channel_id FROM added")})
    UPDATE deliveries d SET state = {DEAD}, next_attempt_at = NULL, last_reason = '{Reason.EXPIRED}',
      last_error = 'expired before it could be sent' || coalesce('; last error: ' || d.last_error, '')
    FROM stuck WHERE d.state = {PENDING} AND d.id = ANY (ARRAY(SELECT id FROM stuck)) AND d.id = stuck.id
    RETURNING stuck.channel_type, '{Reason.EXPIRED}' AS reason, stuck.fallback
    """,
)


async def fall_back(connection: DriverConnection, after: float) -> list[Moved]:
    """Move deliveries to the fallbacks of their channels, some at a time.

    Of channels whose circuit breaker has been open for `after` seconds, and of those whose destination is gone.
    """
    return await FALL_BACK.fetch(connection, after=after)


async def expire(connection: DriverConnection, after: float) -> list[Moved]:
    """Give up deliveries that are pending for `after` seconds without an attempt, some at a time."""
    return await EXPIRE.fetch(connection, after=after)
