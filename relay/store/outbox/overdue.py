"""What has waited for too long: what goes to the fallback channel, and what is given up?"""

from typing import Any, Final

import msgspec

from relay.domain.notifications import REFRESH

MOVED_AT_ONCE: Final = 1000

USABLE: Final = """(
    f.enabled OR (f.disabled_reason IS NOT NULL AND f.config ->> 'fallback_channel_id' IS NOT NULL)
  )"""
"""Whether the fallback `f` may be told, or has one of its own; one that people disabled would only keep it."""

_TOO_OLD: Final = """
  CASE WHEN d.receipt_id IS NULL THEN greatest(d.created_at, d.waiting_since) ELSE d.waiting_since END
    <= now() - make_interval(secs => $1)
"""
"""A digest is as old as what was gathered last."""

# Only lanes that nobody holds, and their rows stay locked: so nobody can claim a delivery while it moves.
# What is on its way may still arrive; what waits behind it stays, so that nothing is told before it.
# A fallback that is disabled would keep it; only one that is gone passes it on to its own.
# So many at once over all lanes, not of each: webhooks wait for the lanes' rows meanwhile, and what takes longer
# than a statement may would be begun anew for ever.
_ADDED: Final = f"""
  INSERT INTO deliveries (
    receipt_id, channel_id, group_hash, positions, rank, state, created_at, waiting_since, next_attempt_at,
    fallback_of
  )
  SELECT s.receipt_id, s.fallback, s.group_hash, s.positions, s.rank, 'pending', now(), now(), now(), s.id
  FROM stuck s WHERE s.fallback IS NOT NULL AND s.rank < {REFRESH} ORDER BY s.id
  RETURNING id, channel_id, fallback_of
"""

_WOKEN: Final = """
  UPDATE lanes SET enqueued = enqueued + 1, next_due = least(next_due, greatest(now(), held_until))
  WHERE channel_id = ANY (ARRAY(
    SELECT channel_id FROM lanes WHERE channel_id IN (SELECT channel_id FROM added)
    ORDER BY channel_id FOR NO KEY UPDATE
  ))
"""

FALL_BACK: Final = f"""
WITH lane AS MATERIALIZED (
  SELECT l.channel_id, c.channel_type, f.id AS fallback,
    coalesce(c.disabled_reason, 'the circuit breaker is open since '
      || to_char(l.opened_at, 'YYYY-MM-DD HH24:MI:SS') || ' UTC: ' || coalesce(l.last_error, '')) AS why
  FROM lanes l JOIN channels c ON c.id = l.channel_id
  JOIN channels f ON f.id = c.config ->> 'fallback_channel_id' AND {USABLE}
  WHERE (l.lease_until IS NULL OR l.lease_until <= now()) AND CASE WHEN c.enabled
    THEN l.opened_at <= now() - make_interval(secs => $1)
    ELSE c.disabled_reason IS NOT NULL AND c.updated_at <= now() - make_interval(secs => $1) END
  ORDER BY l.channel_id FOR NO KEY UPDATE OF l SKIP LOCKED
), stuck AS MATERIALIZED (
  SELECT s.*, lane.channel_type, lane.fallback, lane.why FROM lane CROSS JOIN LATERAL (
    SELECT d.* FROM deliveries d
    WHERE d.channel_id = lane.channel_id AND d.state = 'pending' AND d.rank < {REFRESH} AND (
      SELECT s.id FROM deliveries s
      WHERE s.channel_id = d.channel_id AND s.group_hash = d.group_hash AND s.state = 'sending' LIMIT 1
    ) IS NULL
    ORDER BY d.rank, d.id LIMIT {MOVED_AT_ONCE}
  ) AS s LIMIT {MOVED_AT_ONCE}
), added AS ({_ADDED}), woken AS ({_WOKEN})
UPDATE deliveries d SET state = 'merged', merged_into = added.id, next_attempt_at = NULL,
  last_reason = 'circuitOpen', last_error = stuck.why
FROM added JOIN stuck ON stuck.id = added.fallback_of
WHERE d.state = 'pending' AND d.id = ANY (ARRAY(SELECT id FROM stuck)) AND d.id = added.fallback_of
RETURNING stuck.channel_type, stuck.fallback
"""

GIVE_UP: Final = f"""
WITH old AS MATERIALIZED (
  SELECT DISTINCT channel_id FROM deliveries d WHERE d.state = 'pending' AND {_TOO_OLD}
), lane AS MATERIALIZED (
  SELECT l.channel_id, c.channel_type, f.id AS fallback FROM lanes l JOIN channels c ON c.id = l.channel_id
  LEFT JOIN channels f ON f.id = c.config ->> 'fallback_channel_id' AND {USABLE}
  WHERE l.channel_id IN (SELECT channel_id FROM old) AND (l.lease_until IS NULL OR l.lease_until <= now())
  ORDER BY l.channel_id FOR NO KEY UPDATE OF l SKIP LOCKED
), stuck AS MATERIALIZED (
  SELECT d.*, lane.channel_type, lane.fallback FROM lane JOIN deliveries d USING (channel_id)
  WHERE d.state = 'pending' AND {_TOO_OLD}
  ORDER BY d.id LIMIT {MOVED_AT_ONCE}
), added AS ({_ADDED}), woken AS ({_WOKEN})
UPDATE deliveries d SET state = 'dead', next_attempt_at = NULL, last_reason = 'expired',
  last_error = 'given up, for it waited too long' || coalesce('; at last: ' || d.last_error, '')
FROM stuck WHERE d.state = 'pending' AND d.id = ANY (ARRAY(SELECT id FROM stuck)) AND d.id = stuck.id
RETURNING stuck.channel_type, stuck.fallback
"""


class Moved(msgspec.Struct, frozen=True):
    """A delivery that waits no more; the type of its channel, and the fallback channel that it went to, if any."""

    channel_type: str
    fallback: str | None


async def fall_back(driver: Any, after: float) -> list[Moved]:
    """Send what waits for channels that are down since `after` seconds to their fallbacks; a part at a time."""
    return [Moved(**row) for row in await driver.fetch(FALL_BACK, after)]


async def give_up(driver: Any, after: float) -> list[Moved]:
    """Give up what waits since `after` seconds without being tried; a part at a time."""
    return [Moved(**row) for row in await driver.fetch(GIVE_UP, after)]
