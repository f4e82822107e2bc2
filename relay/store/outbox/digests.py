"""Digests: many pending groups that are sent as one message."""

from collections.abc import Sequence
from typing import Final

import msgspec

from relay.domain.alerts import Alert
from relay.domain.notifications import AlertCount
from relay.domain.severities import folded, known_ranks, severity_rank
from relay.store.outbox.claims import CLAIMED_COLUMNS, Claimed, next_token_in
from relay.store.outbox.fragments import (
    CURRENT_ALERT,
    DIGEST,
    IS_NO_REFRESH,
    IS_RELEASE,
    MERGED,
    NOT_HELD_BACK,
    PENDING,
    PENDING_DIGEST,
    RESOLVED,
    SENDING,
    TOKENS,
    content_tree,
)
from relay.store.postgres.statements import DriverConnection, Query, Statement, read

GATHERED_AT_ONCE: Final = 2000
"""Deliveries that one statement gathers: some tens of milliseconds."""
MAX_SHOWN: Final = 50
"""Alerts that a digest shows in full; platforms show as many as fit."""

_LANE: Final = f"""
  SELECT l.* FROM lanes l
  WHERE l.channel_id = :channel_id AND l.owner = :worker AND l.epoch = :epoch AND l.lease_until > now()
    AND {NOT_HELD_BACK}
"""

GATHER: Final = Statement(
    f"""
    WITH
    lane AS MATERIALIZED ({_LANE}),
    waiting AS MATERIALIZED (SELECT ({PENDING_DIGEST}) AS id FROM lane l),
    -- What the digest is to contain, the most urgent first.
    gathered AS MATERIALIZED (
      SELECT d.id, d.waiting_since FROM lane JOIN deliveries d ON d.channel_id = lane.channel_id
      WHERE d.state = {PENDING} AND {IS_NO_REFRESH} AND d.id NOT IN (SELECT id FROM waiting WHERE id IS NOT NULL)
      ORDER BY d.rank, d.id LIMIT {GATHERED_AT_ONCE}
    ),
    -- A new digest, if none is pending.
    added AS (
      INSERT INTO deliveries (
        channel_id, kind, group_hash, rank, state, created_at, waiting_since, next_attempt_at, tenant_id
      )
      SELECT :channel_id, {DIGEST}, 0, 0, {PENDING}, now(), (SELECT min(waiting_since) FROM gathered), now(),
        (SELECT c.tenant_id FROM channels c WHERE c.id = :channel_id)
      FROM waiting WHERE id IS NULL AND EXISTS (SELECT FROM gathered)
      RETURNING id
    ),
    -- A pending digest becomes as new as what it gathered last; otherwise new alerts would expire with old ones.
    -- What is held back of the digest so far is not held back of what is gathered now.
    renewed AS (
      UPDATE deliveries d SET created_at = now(), withheld = '{{}}' FROM waiting
      WHERE d.id = waiting.id AND d.state = {PENDING} AND EXISTS (SELECT FROM gathered)
    ),
    held AS (
      UPDATE deliveries d SET withheld = d.withheld || w.withheld
      FROM waiting JOIN deliveries w ON w.id = waiting.id AND w.withheld <> '{{}}'
      WHERE d.merged_into = w.id AND d.state = {MERGED} AND d.redelivered_at IS NULL
        AND EXISTS (SELECT FROM gathered)
    )
    UPDATE deliveries d SET
      state = {MERGED},
      merged_into = (SELECT id FROM waiting WHERE id IS NOT NULL UNION ALL SELECT id FROM added),
      next_attempt_at = NULL
    WHERE d.state = {PENDING} AND d.id = ANY (ARRAY(SELECT id FROM gathered))
    """
)


class _DigestClaim(msgspec.Struct, frozen=True):
    """The lane's tokens, and the seconds until the digest is due."""

    tokens: float
    due_in: float


# This claim waits for the disk, and with it all that was gathered; see the claim of merged deliveries.
CLAIM_DIGEST: Final = Statement(
    f"""
    WITH
    lane AS MATERIALIZED (
      SELECT l.channel_id, CASE WHEN a.per_second IS NULL THEN 1 ELSE {TOKENS} END AS tokens
      FROM ({_LANE}) AS l CROSS JOIN (SELECT :per_second::float8 AS per_second, :burst::float8 AS burst) AS a
    ),
    waiting AS MATERIALIZED (
      SELECT w.id, extract(epoch FROM w.next_attempt_at - now())::float8 AS due_in
      FROM lane l JOIN deliveries w ON w.id = ({PENDING_DIGEST}) AND w.state = {PENDING}
    ),
    claimed AS (
      UPDATE deliveries d SET state = {SENDING}, attempt = attempt + 1, next_attempt_at = NULL
      FROM waiting, lane
      WHERE d.state = {PENDING} AND d.id = waiting.id AND waiting.due_in <= 0 AND lane.tokens >= 1
      RETURNING d.*
    ),
    spent AS (
      UPDATE lanes l SET tokens = lane.tokens - 1, tokens_at = now(), digested_at = now()
      FROM lane WHERE l.channel_id = lane.channel_id AND EXISTS (SELECT FROM claimed)
    )
    SELECT lane.tokens, waiting.due_in, set_config('synchronous_commit', 'on', true) AS durable, c.*
    FROM lane JOIN waiting ON true
    LEFT JOIN (SELECT {CLAIMED_COLUMNS}, true AS carries FROM claimed) AS c ON true
    """
)

# Groups contain the same alerts repeatedly; each distinct list of them is expanded once.
_CONTENT: Final = f"""
WITH RECURSIVE {content_tree("deliveries d WHERE d.id = :delivery_id")},
received AS (
  SELECT CASE WHEN t.alert_ids IS NULL THEN t.positions END AS positions,
    coalesce(t.alert_ids, r.alert_ids) AS alert_ids, t.withheld, r.group_hash, r.received_at
  FROM content t JOIN receipts r ON r.id = t.receipt_id
),
listed AS (
  SELECT CASE WHEN t.positions IS NULL THEN every.id ELSE t.alert_ids[at.position + 1] END AS id, t.withheld
  FROM (SELECT DISTINCT positions, alert_ids, withheld FROM received) AS t
  LEFT JOIN LATERAL unnest(t.alert_ids) AS every (id) ON t.positions IS NULL
  LEFT JOIN LATERAL unnest(t.positions) AS at (position) ON t.positions IS NOT NULL
),
alert_ids AS MATERIALIZED (SELECT DISTINCT id FROM listed WHERE id <> ALL (withheld))
"""


_IS_SHOWN: Final = """(
  t.withheld = '{}' OR NOT t.withheld @> CASE
    WHEN t.positions IS NULL THEN t.alert_ids ELSE ARRAY(SELECT t.alert_ids[p + 1] FROM unnest(t.positions) AS p)
  END
)"""
"""Whether any alert of the notification `t` is in the digest."""


class _GroupedCount(AlertCount, frozen=True, kw_only=True):
    """How many alerts of one severity and name a digest contains, and how many groups in all."""

    groups: int


COUNT: Final = Query(
    _GroupedCount,
    f"""
    {_CONTENT}
    SELECT coalesce(a.severity, '') AS severity, a.alertname,
      count(*) FILTER (WHERE a.status <> {RESOLVED}) AS firing,
      count(*) FILTER (WHERE a.status = {RESOLVED}) AS resolved,
      (SELECT count(DISTINCT group_hash) FROM received t WHERE {_IS_SHOWN}) AS groups
    FROM alert_ids JOIN alerts a USING (id) GROUP BY 1, 2
    """,
)

SHOWN: Final = Statement(
    f"""
    {_CONTENT}
    SELECT {CURRENT_ALERT},
      a.status = {RESOLVED} AND a.first_received_at >= (SELECT min(received_at) FROM received) AS unnotified,
      (SELECT json_build_object('until', max(d.created_at), 'acknowledged', false)
        FROM content t JOIN deliveries d ON d.id = t.id
        WHERE t.alert_ids @> ARRAY[a.id] AND {IS_RELEASE} HAVING count(*) > 0) AS was_suppressed
    FROM alert_ids JOIN alerts a USING (id) JOIN series s ON s.id = a.series_id
    ORDER BY a.status = {RESOLVED},
      (:ranks::int[])[array_position(:severities::text[], lower(a.severity))] NULLS LAST,
      a.last_received_at DESC, a.id DESC
    LIMIT {MAX_SHOWN}
    """
)


class DigestContent(msgspec.Struct, frozen=True):
    """The current content of a digest. `unnotified`: positions of alerts resolved before their firing was sent."""

    groups: int
    counts: tuple[AlertCount, ...]
    alerts: tuple[Alert, ...]
    unnotified: frozenset[int]


async def gather(connection: DriverConnection, worker: str, channel_id: str, epoch: int) -> int:
    """Merge pending deliveries into the channel's digest, which is created if none is pending.

    Return how many were merged. To be repeated while that is GATHERED_AT_ONCE. Nothing of the channel may be in
    flight.
    """
    return await GATHER.execute(connection, worker=worker, channel_id=channel_id, epoch=epoch)


async def claim_digest(
    connection: DriverConnection,
    worker: str,
    channel_id: str,
    epoch: int,
    per_second: float | None,
    burst: int | None,
) -> tuple[Claimed | None, float]:
    """Claim the pending digest, if the bucket has a token for it.

    Returns:
        The digest or None, and in how many seconds there may be one (0 when none is pending).
    """
    rows = await CLAIM_DIGEST.rows(
        connection, worker=worker, channel_id=channel_id, epoch=epoch, per_second=per_second, burst=burst
    )
    if not rows:
        return None, 0.0
    if rows[0]["id"] is not None:
        return read(rows[0], Claimed), 0.0
    lane = read(rows[0], _DigestClaim)
    return None, max(lane.due_in, next_token_in(lane.tokens, per_second))


def _merged(counts: Sequence[AlertCount]) -> tuple[AlertCount, ...]:
    """The counts with `Critical` and `critical` as one; most severe first, and then most frequent first."""
    found: dict[tuple[str, str], tuple[int, int]] = {}
    for count in counts:
        key = folded(count.severity), count.alertname
        firing, resolved = found.get(key, (0, 0))
        found[key] = firing + count.firing, resolved + count.resolved
    merged = [
        AlertCount(severity=severity, alertname=name, firing=firing, resolved=resolved)
        for (severity, name), (firing, resolved) in found.items()
    ]
    return tuple(
        sorted(
            merged,
            key=lambda count: (
                severity_rank(count.severity),
                count.severity,
                -count.firing - count.resolved,
                count.alertname,
            ),
        )
    )


async def content(connection: DriverConnection, delivery_id: int) -> DigestContent:
    """Return the content of a digest: each alert once, in its current state."""
    ranks = known_ranks()
    # Of one moment, so that the counts are those of the alerts that are shown.
    async with connection.transaction(isolation="repeatable_read"):
        counts = await COUNT.fetch(connection, delivery_id=delivery_id)
        rows = await SHOWN.rows(
            connection, delivery_id=delivery_id, severities=list(ranks), ranks=list(ranks.values())
        )
    return DigestContent(
        groups=counts[0].groups if counts else 0,
        counts=_merged(counts),
        alerts=tuple(read(row, Alert) for row in rows),
        unnotified=frozenset(position for position, row in enumerate(rows) if row["unnotified"]),
    )
