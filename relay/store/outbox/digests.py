"""How do many waiting groups become one message: gather them, claim the digest, and count what it tells?"""

from typing import Any, Final

import msgspec

from relay.domain.alerts import SEVERITY_ORDER, Alert, Status
from relay.domain.notifications import REFRESH, AlertCount
from relay.store.outbox.claims import CLAIMED_COLUMNS, TOKENS, Claimed, claimed_of, next_token_in

GATHERED_AT_ONCE: Final = 2000
"""Deliveries that one statement gathers: some tens of milliseconds."""
MAX_SHOWN: Final = 50
"""Alerts that a digest names with all that is known of them; platforms show as many as fit."""

_MINE: Final = """
  SELECT l.* FROM lanes l
  WHERE l.channel_id = $1 AND l.owner = $2 AND l.epoch = $3 AND l.lease_until > now()
    AND (l.held_until IS NULL OR l.held_until <= now())
"""

GATHER: Final = f"""
WITH mine AS MATERIALIZED ({_MINE}), waiting AS MATERIALIZED (
  SELECT d.id FROM deliveries d
  WHERE d.channel_id = $1 AND d.state = 'pending' AND d.group_hash = 0 AND d.receipt_id IS NULL
    AND d.fallback_of IS NULL
  ORDER BY d.id LIMIT 1
), taken AS MATERIALIZED (
  SELECT d.id, d.waiting_since FROM mine JOIN deliveries d ON d.channel_id = mine.channel_id
  WHERE d.state = 'pending' AND d.rank < {REFRESH} AND d.id NOT IN (SELECT id FROM waiting)
  ORDER BY d.rank, d.id LIMIT $4
), made AS (
  INSERT INTO deliveries (channel_id, group_hash, rank, state, created_at, waiting_since, next_attempt_at)
  SELECT $1, 0, 0, 'pending', now(), (SELECT min(waiting_since) FROM taken), now()
  WHERE NOT EXISTS (SELECT FROM waiting) AND EXISTS (SELECT FROM taken)
  RETURNING id
), renewed AS (
  -- Made anew: it is given up by the age of what came last, or fresh alerts would die with old ones.
  UPDATE deliveries d SET created_at = now() FROM waiting
  WHERE d.id = waiting.id AND d.state = 'pending' AND EXISTS (SELECT FROM taken)
)
UPDATE deliveries d SET
  state = 'merged', merged_into = (SELECT id FROM waiting UNION ALL SELECT id FROM made), next_attempt_at = NULL
WHERE d.state = 'pending' AND d.id = ANY (ARRAY(SELECT id FROM taken))
"""

# Waited for on disk, and with it all that was gathered: see the claim of merged deliveries in store/outbox.py.
CLAIM_DIGEST: Final = f"""
WITH mine AS MATERIALIZED (
  SELECT l.channel_id, CASE WHEN a.per_second IS NULL THEN 1 ELSE {TOKENS} END AS tokens
  FROM ({_MINE}) AS l CROSS JOIN (SELECT $4::float8 AS per_second, $5::float8 AS burst) AS a
), waiting AS MATERIALIZED (
  SELECT d.id, extract(epoch FROM d.next_attempt_at - now())::float8 AS due_in FROM deliveries d
  WHERE d.channel_id = $1 AND d.state = 'pending' AND d.group_hash = 0 AND d.receipt_id IS NULL
    AND d.fallback_of IS NULL
  ORDER BY d.id LIMIT 1
), claimed AS (
  UPDATE deliveries d SET state = 'sending', attempt = attempt + 1, next_attempt_at = NULL
  FROM waiting, mine
  WHERE d.state = 'pending' AND d.id = waiting.id AND waiting.due_in <= 0 AND mine.tokens >= 1
  RETURNING d.*
), spent AS (
  UPDATE lanes l SET tokens = mine.tokens - 1, tokens_at = now(), digested_at = now()
  FROM mine WHERE l.channel_id = mine.channel_id AND EXISTS (SELECT FROM claimed)
)
SELECT mine.tokens, waiting.due_in, set_config('synchronous_commit', 'on', true) AS durable, c.*
FROM mine JOIN waiting ON true
LEFT JOIN (SELECT {CLAIMED_COLUMNS}, true AS carries, 0 AS merged, NULL::bytea AS body FROM claimed) AS c ON true
"""

# What a delivery tells is a tree: what was merged into it, and what it is sent in place of, and so on.
TOLD: Final = """
  SELECT d.id AS root, d.id, d.receipt_id, d.positions, d.fallback_of FROM deliveries d WHERE d.id = ANY ($1)
  UNION
  SELECT t.root, m.id, m.receipt_id, m.positions, m.fallback_of
  FROM told t CROSS JOIN LATERAL (
    SELECT * FROM deliveries d WHERE d.merged_into = t.id AND d.state = 'merged'
    UNION ALL SELECT * FROM deliveries d WHERE d.id = t.fallback_of
  ) AS m
"""

# Groups say the same alerts again and again; each list of them is opened once.
_ALERTS_TOLD: Final = f"""
WITH RECURSIVE told AS ({TOLD}), wanted AS MATERIALIZED (
  SELECT DISTINCT CASE WHEN t.positions IS NULL THEN every.id ELSE t.alert_ids[at.position + 1] END AS id
  FROM (SELECT DISTINCT t.positions, r.alert_ids FROM told t JOIN receipts r ON r.id = t.receipt_id) AS t
  LEFT JOIN LATERAL unnest(t.alert_ids) AS every (id) ON t.positions IS NULL
  LEFT JOIN LATERAL unnest(t.positions) AS at (position) ON t.positions IS NOT NULL
)
"""

COUNT: Final = f"""
{_ALERTS_TOLD}
SELECT coalesce(a.severity, '') AS severity, a.alertname,
  count(*) FILTER (WHERE a.status = 'firing') AS firing, count(*) FILTER (WHERE a.status = 'resolved') AS resolved,
  (SELECT count(DISTINCT r.group_hash) FROM told t JOIN receipts r ON r.id = t.receipt_id) AS groups
FROM wanted JOIN alerts a USING (id) GROUP BY 1, 2
ORDER BY array_position($2::text[], coalesce(a.severity, '')) NULLS LAST, 1, count(*) DESC, 2
"""

SHOW: Final = f"""
{_ALERTS_TOLD}
SELECT a.*, a.status = 'resolved' AND a.first_received_at >= (
  SELECT min(r.received_at) FROM told t JOIN receipts r ON r.id = t.receipt_id
) AS untold
FROM wanted JOIN alerts a USING (id)
ORDER BY a.status, array_position($2::text[], a.severity) NULLS LAST, a.last_received_at DESC, a.id DESC
LIMIT {MAX_SHOWN}
"""


class DigestContent(msgspec.Struct, frozen=True):
    """What a digest tells, as it is now."""

    groups: int
    counts: tuple[AlertCount, ...]
    alerts: tuple[Alert, ...]
    unnotified: frozenset[int]
    """Positions of alerts that came and went while they waited."""


async def gather(driver: Any, worker: str, channel_id: str, epoch: int) -> int:
    """Merge what waits into the channel's digest, which is made when none waits; how many were merged.

    To be called again while it gives GATHERED_AT_ONCE. Nothing of the channel may be on its way.
    """
    status = await driver.execute(GATHER, channel_id, worker, epoch, GATHERED_AT_ONCE)
    return int(status.rpartition(" ")[2])


async def claim_digest(
    driver: Any, worker: str, channel_id: str, epoch: int, per_second: float | None, burst: int | None
) -> tuple[Claimed | None, float]:
    """Take the digest that waits, if the bucket has a token for it.

    Returns:
        The digest or None, and in how many seconds there may be one (0 when none waits).
    """
    row = await driver.fetchrow(CLAIM_DIGEST, channel_id, worker, epoch, per_second, burst)
    if row is None:
        return None, 0.0
    if row["id"] is not None:
        return claimed_of(row), 0.0
    return None, max(row["due_in"], next_token_in(row["tokens"], per_second))


async def told(driver: Any, delivery_id: int) -> DigestContent:
    """What a digest tells: each alert once, in the state that it is in now."""
    counts = await driver.fetch(COUNT, [delivery_id], SEVERITY_ORDER)
    alerts = await driver.fetch(SHOW, [delivery_id], SEVERITY_ORDER)
    return DigestContent(
        groups=counts[0]["groups"] if counts else 0,
        counts=tuple(
            AlertCount(
                severity=row["severity"],
                alertname=row["alertname"],
                firing=row["firing"],
                resolved=row["resolved"],
            )
            for row in counts
        ),
        alerts=tuple(alert_of(row) for row in alerts),
        unnotified=frozenset(position for position, row in enumerate(alerts) if row["untold"]),
    )


def alert_of(row: Any) -> Alert:
    """An alert from its row."""
    return Alert(
        status=Status(row["status"]),
        labels=row["labels"],
        annotations=row["annotations"],
        starts_at=row["starts_at"],
        ends_at=row["ends_at"],
        generator_url=row["generator_url"],
        fingerprint=row["fingerprint"],
    )
