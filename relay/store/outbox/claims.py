"""Claims: the deliveries that are sent next."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

import msgspec

from relay.domain.notifications import REFRESH
from relay.store.outbox.lanes import IS_HEAD

MERGED_AT_ONCE: Final = 1000
"""Waiting deliveries of one group that a claim merges into its newest; the rest is left to the next claim."""
MOST_COUNTED: Final = 100_000
"""Groups; when more than this wait, they are too many for any limit."""
MAX_INLINE: Final = 8192
"""Bytes of a webhook's body that comes along with the claim; larger ones are read once for all channels."""


class ClaimRequest(msgspec.Struct, frozen=True):
    """What a lane wants: up to `room` messages, within the token bucket of `per_second` (None: no limit)."""

    channel_id: str
    epoch: int
    config_version: Any
    room: int
    per_second: float | None
    burst: int | None


class Claimed(msgspec.Struct, frozen=True):
    """A delivery to be attempted now; `attempt` is 1 at the first time. `positions` is None for all alerts.

    `receipt_id` is None for a digest. `carries`: others were merged into it, which it has to tell too.
    """

    id: int
    channel_id: str
    group_hash: int
    rank: int
    receipt_id: int | None
    positions: tuple[int, ...] | None
    attempt: int
    created_at: datetime
    waiting_since: datetime
    redelivered: bool
    fallback_of: int | None
    progress: str | None
    carries: bool
    merged: int
    """How many were merged into it by this claim."""
    body: bytes | None
    """Of its webhook, if that is small: it saves most of them a round trip."""


class ClaimResult(msgspec.Struct, frozen=True):
    """What a lane got.

    `held`: the lease is still ours. `usable`: the channel is enabled and not held. `fresh`: its settings are as we
    know them. `tokens` were in the bucket before. `next_in`: seconds until the bucket lets the next one through.
    `crowded`: more groups wait than the limit lets through, so that a digest is due in `digest_in` seconds.
    """

    held: bool
    usable: bool
    fresh: bool
    enqueued: int
    tokens: float
    next_in: float
    crowded: bool
    digest_in: float
    claimed: tuple[Claimed, ...]


CLAIMED_COLUMNS: Final = """
  id, channel_id, group_hash, rank, receipt_id, positions, attempt, created_at, waiting_since,
  redelivered_at IS NOT NULL AS redelivered, fallback_of, progress
"""
TOKENS: Final = """least(a.burst, coalesce(
      l.tokens + greatest(0, extract(epoch FROM now() - l.tokens_at)::float8) * a.per_second, a.burst
    ))"""
"""What is in the bucket of the lane `l` now, by the limit `a`; a clock that was set back adds nothing."""
# A newer notification of a group takes the place of those that still wait: the newest carries them all, and they
# say into which they went. What only sets a message right carries nothing else, for it may turn out needless.
#
# Claims are not waited for on disk, but those that merge are: a crash that undid a merge after its carrier was
# told would tell the older ones again, after the newer.
#
# When more groups wait on a limited channel than its limit lets through in $8 seconds, they are gathered into a
# digest (store/digests.py), at most one in that time; what is critical goes by itself in between. While a digest
# waits, nothing else is sent.
CLAIM: Final = f"""
WITH asked AS MATERIALIZED (
  SELECT a.*, l.channel_id IS NOT NULL AS held, c.updated_at = a.stamp AS fresh, l.enqueued,
    c.enabled AND (l.held_until IS NULL OR l.held_until <= now()) AS usable,
    CASE WHEN a.per_second IS NULL THEN a.room ELSE {TOKENS} END AS tokens,
    coalesce(greatest(0, extract(epoch FROM l.digested_at - now())::float8 + $8), 0) AS digest_in
  FROM unnest($2::text[], $3::bigint[], $4::timestamptz[], $5::int[], $6::float8[], $7::float8[])
    AS a (channel_id, epoch, stamp, room, per_second, burst)
  LEFT JOIN (lanes l JOIN channels c ON c.id = l.channel_id)
    ON l.channel_id = a.channel_id AND l.owner = $1 AND l.epoch = a.epoch AND l.lease_until > now()
), judged AS MATERIALIZED (
  SELECT a.*, CASE WHEN held AND usable AND fresh THEN floor(least(room, tokens))::int ELSE 0 END AS allowed,
    (
      SELECT d.id FROM deliveries d
      WHERE d.channel_id = a.channel_id AND d.group_hash = 0 AND d.state = 'pending' AND d.receipt_id IS NULL
        AND d.fallback_of IS NULL
      ORDER BY d.rank, d.id LIMIT 1
    ) IS NOT NULL AS digest_waits,
    per_second IS NOT NULL AND (
      SELECT count(*) FROM (
        SELECT FROM deliveries d
        WHERE d.channel_id = a.channel_id AND d.state = 'pending' AND d.rank < {REFRESH} AND {IS_HEAD}
        LIMIT floor(passes)::int + 1
      ) AS waiting
    ) > floor(passes) AS crowded
  FROM asked a CROSS JOIN LATERAL (
    SELECT greatest(1, least(tokens + per_second * $8, {MOST_COUNTED})) AS passes
  ) AS allowance
), heads AS MATERIALIZED (
  SELECT h.channel_id, h.group_hash FROM judged j CROSS JOIN LATERAL (
    SELECT d.channel_id, d.group_hash FROM deliveries d
    WHERE d.channel_id = j.channel_id AND d.state = 'pending' AND d.next_attempt_at <= now()
      AND NOT j.digest_waits AND (NOT j.crowded OR (d.rank = 0 AND j.digest_in > 0)) AND {IS_HEAD}
    ORDER BY d.rank, d.id LIMIT j.allowed
  ) AS h
), carriers AS MATERIALIZED (
  SELECT h.*, (
    SELECT coalesce(max(d.id) FILTER (WHERE d.rank < {REFRESH}), max(d.id)) FROM deliveries d
    WHERE d.channel_id = h.channel_id AND d.group_hash = h.group_hash AND d.state = 'pending'
  ) AS id
  FROM heads h
), others AS MATERIALIZED (
  SELECT o.id, c.id AS carrier FROM carriers c CROSS JOIN LATERAL (
    SELECT d.id FROM deliveries d
    WHERE d.channel_id = c.channel_id AND d.group_hash = c.group_hash AND d.state = 'pending' AND d.id <> c.id
    LIMIT {MERGED_AT_ONCE}
  ) AS o
), ready AS MATERIALIZED (
  SELECT c.id, count(o.id) AS merged FROM carriers c LEFT JOIN others o ON o.carrier = c.id
  GROUP BY c.id HAVING count(o.id) < {MERGED_AT_ONCE}
), changes AS MATERIALIZED (
  SELECT id, NULL::bigint AS carrier FROM ready UNION ALL SELECT id, carrier FROM others
), moved AS (
  UPDATE deliveries d SET
    state = CASE WHEN c.carrier IS NULL THEN 'sending' ELSE 'merged' END,
    attempt = CASE WHEN c.carrier IS NULL THEN d.attempt + 1 ELSE d.attempt END,
    merged_into = c.carrier,
    next_attempt_at = NULL
  FROM changes c
  WHERE d.state = 'pending' AND d.id = ANY (ARRAY(SELECT id FROM changes)) AND d.id = c.id
  RETURNING d.*
), claimed AS (
  SELECT {CLAIMED_COLUMNS}, (
    SELECT r.body FROM receipts r WHERE r.id = moved.receipt_id AND octet_length(r.body) <= {MAX_INLINE}
  ) AS body, ready.merged, ready.merged > 0 OR (
    SELECT f.id FROM deliveries f WHERE f.merged_into = moved.id AND f.state = 'merged'
    ORDER BY f.merged_into LIMIT 1
  ) IS NOT NULL AS carries
  FROM moved JOIN ready USING (id) WHERE moved.state = 'sending'
), spent AS (
  UPDATE lanes l SET tokens = j.tokens - s.count, tokens_at = now()
  FROM (SELECT channel_id, count(*) FROM claimed GROUP BY channel_id) s JOIN judged j USING (channel_id)
  WHERE l.channel_id = s.channel_id AND j.per_second IS NOT NULL
)
SELECT j.channel_id AS lane, j.held, coalesce(j.usable, false) AS usable, coalesce(j.fresh, false) AS fresh,
  coalesce(j.enqueued, 0) AS enqueued, coalesce(j.tokens, 0) AS tokens, j.per_second,
  CASE WHEN j.digest_waits THEN 0 ELSE j.digest_in END AS digest_in,
  j.crowded OR j.digest_waits AS crowded,
  (SELECT set_config('synchronous_commit', 'on', true) FROM ready WHERE merged > 0 LIMIT 1) AS durable, claimed.*
FROM judged j LEFT JOIN claimed USING (channel_id) ORDER BY claimed.id
"""


async def claim(
    driver: Any, worker: str, asks: Sequence[ClaimRequest], digest_after: float
) -> dict[str, ClaimResult]:
    """Take for each lane the deliveries that are due, the most urgent first, and merge what a newer one overtook.

    `digest_after` is in seconds. A lane whose lease was lost gets `held=False`.
    """
    columns = zip(*map(msgspec.structs.astuple, asks), strict=True)
    answers: dict[str, ClaimResult] = {}
    claimed: dict[str, list[Claimed]] = {ask.channel_id: [] for ask in asks}
    rows = await driver.fetch(CLAIM, worker, *map(list, columns), digest_after)
    for row in rows:
        if row["id"] is not None:
            claimed[row["lane"]].append(claimed_of(row))
    for row in rows:
        if row["lane"] not in answers:
            taken = claimed[row["lane"]]
            answers[row["lane"]] = ClaimResult(
                held=row["held"],
                usable=row["usable"],
                fresh=row["fresh"],
                enqueued=row["enqueued"],
                tokens=row["tokens"],
                next_in=next_token_in(row["tokens"] - len(taken), row["per_second"]),
                crowded=row["crowded"],
                digest_in=row["digest_in"],
                claimed=tuple(taken),
            )
    return answers


def claimed_of(row: Any) -> Claimed:
    """A row with CLAIMED_COLUMNS, `carries`, `merged` and `body`."""
    values = {name: row[name] for name in Claimed.__struct_fields__}
    return Claimed(**values | {"positions": None if row["positions"] is None else tuple(row["positions"])})


def next_token_in(tokens: float, per_second: float | None) -> float:
    """Seconds until a bucket with so many tokens lets the next message through."""
    return 0.0 if per_second is None or tokens >= 1 else (1 - tokens) / per_second
