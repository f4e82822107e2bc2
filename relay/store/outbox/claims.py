"""Claims: the deliveries that are sent next."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

import msgspec

from relay.domain.history import Kind
from relay.domain.outcomes import Reason
from relay.store.outbox.fragments import (
    IS_HEAD,
    IS_NO_REFRESH,
    MERGED,
    NOT_HELD_BACK,
    PENDING,
    PENDING_DIGEST,
    QUIET,
    SENDING,
    TOKENS,
)
from relay.store.postgres.statements import DriverConnection, Records, Row, Statement, read

MERGED_AT_ONCE: Final = 1000
"""Pending deliveries of one group that a claim merges into the newest; the next claim merges the rest."""
MOST_COUNTED: Final = 100_000
"""Groups; more pending ones than this are too many for any limit."""
MAX_INLINE: Final = 8192
"""Bytes of a webhook's body that a claim returns; larger ones are read once for all channels."""


class ClaimRequest(msgspec.Struct, frozen=True):
    """A lane's request for up to `room` deliveries, within the token bucket of `per_second` (None: no limit).

    `config_version` is that of the settings that the lane holds.
    """

    channel_id: str
    epoch: int
    config_version: Any
    room: int
    per_second: float | None
    burst: int | None


class Claimed(msgspec.Struct, frozen=True):
    """A delivery to be attempted now; `attempt` is 1 at the first time. `positions` is None for all alerts.

    `receipt_id` is None for a digest. `alert_ids` are its alerts where these are not those of positions, and
    `withheld` those that are left out of its message because they are suppressed. `carries`: other deliveries were
    merged into it, now or before; `merged` counts those that this claim merged. `unconfirmed` counts the attempts
    so far that the platform may have accepted. `body` is that of its webhook, if it is small, which saves most
    deliveries a round trip.
    """

    id: int
    channel_id: str
    kind: Kind
    group_hash: int
    receipt_id: int | None
    positions: tuple[int, ...] | None
    attempt: int
    created_at: datetime
    waiting_since: datetime
    redelivered: bool
    fallback_of: int | None
    progress: str | None
    source: str
    unconfirmed: int
    carries: bool
    alert_ids: tuple[int, ...] | None = None
    withheld: tuple[int, ...] = ()
    merged: int = 0
    body: bytes | None = None


class ClaimResult(msgspec.Struct, frozen=True):
    """The deliveries that a lane claimed, and the state of the lane.

    `held`: the worker still has the lease. `usable`: the channel is enabled and not held back. `fresh`: the
    lane's settings are current. `tokens` were in the bucket before. `next_in`: seconds until the bucket lets
    the next delivery through. `crowded`: more groups are pending than the limit lets through, so that a
    digest is due in `digest_in` seconds. `quiet`: nothing can be suppressed.
    """

    held: bool
    usable: bool
    fresh: bool
    enqueued: int
    tokens: float
    next_in: float
    crowded: bool
    digest_in: float
    quiet: bool
    claimed: tuple[Claimed, ...]


class _Lane(msgspec.Struct, frozen=True):
    """The columns that CLAIM returns of a lane, with each delivery that it claimed."""

    lane: str
    held: bool
    usable: bool
    fresh: bool
    enqueued: int
    tokens: float
    per_second: float | None
    crowded: bool
    digest_in: float
    quiet: bool


CLAIMED_COLUMNS: Final = f"""
  id, channel_id, kind, group_hash, receipt_id, positions, attempt, created_at, waiting_since,
  redelivered_at IS NOT NULL AS redelivered, fallback_of, progress, source, alert_ids, withheld,
  CASE WHEN attempt = 1 THEN 0 ELSE (
    SELECT count(*) FROM attempts t
    WHERE t.delivery_id = id AND t.reason = '{Reason.UNEXPECTED_RESPONSE}' AND t.started_at >= waiting_since
  ) END AS unconfirmed
"""
"""The columns of a delivery that make a `Claimed`, but for `carries`."""

_REQUESTED: Final = f"""
  SELECT a.*, l.channel_id IS NOT NULL AS held, c.updated_at = a.config_version AS fresh, l.enqueued,
    c.enabled AND {NOT_HELD_BACK} AS usable,
    CASE WHEN a.per_second IS NULL THEN a.room ELSE {TOKENS} END AS tokens,
    coalesce(greatest(0, extract(epoch FROM l.digested_at - now())::float8 + :digest_after), 0) AS digest_in
  FROM :requests AS a
  LEFT JOIN (lanes l JOIN channels c ON c.id = l.channel_id)
    ON l.channel_id = a.channel_id AND l.owner = :worker AND l.epoch = a.epoch AND l.lease_until > now()
"""

_ALLOWED: Final = f"""
  SELECT l.*, CASE WHEN held AND usable AND fresh THEN floor(least(room, tokens))::int ELSE 0 END AS allowed,
    ({PENDING_DIGEST}) IS NOT NULL AS digest_pending,
    per_second IS NOT NULL AND (
      SELECT count(*) FROM (
        SELECT FROM deliveries d
        WHERE d.channel_id = l.channel_id AND d.state = {PENDING} AND {IS_NO_REFRESH} AND {IS_HEAD}
        LIMIT floor(passes)::int + 1
      ) AS waiting
    ) > floor(passes) AS crowded
  FROM requested l CROSS JOIN LATERAL (
    SELECT greatest(1, least(tokens + per_second * :digest_after, {MOST_COUNTED})) AS passes
  ) AS allowance
"""

_HEADS: Final = f"""
  SELECT h.channel_id, h.group_hash FROM allowed a CROSS JOIN LATERAL (
    SELECT d.channel_id, d.group_hash FROM deliveries d
    WHERE d.channel_id = a.channel_id AND d.state = {PENDING} AND d.next_attempt_at <= now()
      AND NOT a.digest_pending AND (NOT a.crowded OR (d.rank = 0 AND a.digest_in > 0)) AND {IS_HEAD}
    ORDER BY d.rank, d.id LIMIT a.allowed
  ) AS h
"""

_CARRIERS: Final = f"""
  SELECT h.*, (
    SELECT coalesce(
      max(d.id) FILTER (WHERE {IS_NO_REFRESH} AND d.redelivered_at IS NULL),
      max(d.id) FILTER (WHERE {IS_NO_REFRESH}),
      max(d.id)
    ) FROM deliveries d
    WHERE d.channel_id = h.channel_id AND d.group_hash = h.group_hash AND d.state = {PENDING}
  ) AS id
  FROM heads h
"""

_OVERTAKEN: Final = f"""
  SELECT o.id, c.id AS carrier FROM carriers c CROSS JOIN LATERAL (
    SELECT d.id FROM deliveries d
    WHERE d.channel_id = c.channel_id AND d.group_hash = c.group_hash AND d.state = {PENDING} AND d.id <> c.id
    LIMIT {MERGED_AT_ONCE}
  ) AS o
"""

_MOVED: Final = f"""
  UPDATE deliveries d SET
    state = CASE WHEN c.carrier IS NULL THEN {SENDING} ELSE {MERGED} END,
    attempt = CASE WHEN c.carrier IS NULL THEN d.attempt + 1 ELSE d.attempt END,
    merged_into = c.carrier,
    next_attempt_at = NULL
  FROM changes c
  WHERE d.state = {PENDING} AND d.id = ANY (ARRAY(SELECT id FROM changes)) AND d.id = c.id
  RETURNING d.*
"""

_CLAIMED: Final = f"""
  SELECT {CLAIMED_COLUMNS}, (
    SELECT r.body FROM receipts r WHERE r.id = moved.receipt_id AND octet_length(r.body) <= {MAX_INLINE}
  ) AS body, ready.merged, ready.merged > 0 OR (
    SELECT f.id FROM deliveries f WHERE f.merged_into = moved.id AND f.state = {MERGED}
    ORDER BY f.merged_into LIMIT 1
  ) IS NOT NULL AS carries
  FROM moved JOIN ready USING (id) WHERE moved.state = {SENDING}
"""

# Claims do not wait for the disk, except those that merge: if a crash undid a merge after its carrier was sent,
# the older notifications would be sent after the newer one.
CLAIM: Final = Statement(
    f"""
    WITH
    -- The requesting lanes, with the tokens in their buckets and the seconds until a digest may be sent.
    requested AS MATERIALIZED ({_REQUESTED}),
    -- How many deliveries each may claim. When more groups are pending than the limit lets through in
    -- `digest_after` seconds, the lane is crowded: they are gathered into a digest, at most one in that time.
    allowed AS MATERIALIZED ({_ALLOWED}),
    -- The groups to be sent next, the most urgent first. While a digest is pending, nothing else is claimed; while
    -- the lane is crowded, only critical deliveries are.
    heads AS MATERIALIZED ({_HEADS}),
    -- The newest pending delivery of each group carries the others. A refresh carries none but refreshes, because
    -- it may turn out not to be needed. A redelivered one carries no others, because nothing suppresses what it
    -- carries.
    carriers AS MATERIALIZED ({_CARRIERS}),
    -- The older deliveries of the groups, which are merged into their carrier.
    overtaken AS MATERIALIZED ({_OVERTAKEN}),
    -- The carriers of groups of which all is merged now. The others only merge, and are claimed later.
    ready AS MATERIALIZED (
      SELECT c.id, count(o.id) AS merged FROM carriers c LEFT JOIN overtaken o ON o.carrier = c.id
      GROUP BY c.id HAVING count(o.id) < {MERGED_AT_ONCE}
    ),
    changes AS MATERIALIZED (
      SELECT id, NULL::bigint AS carrier FROM ready UNION ALL SELECT id, carrier FROM overtaken
    ),
    moved AS ({_MOVED}),
    claimed AS ({_CLAIMED}),
    -- Take the tokens out of the buckets.
    spent AS (
      UPDATE lanes l SET tokens = a.tokens - s.count, tokens_at = now()
      FROM (SELECT channel_id, count(*) FROM claimed GROUP BY channel_id) s JOIN allowed a USING (channel_id)
      WHERE l.channel_id = s.channel_id AND a.per_second IS NOT NULL
    )
    -- A row for each claimed delivery, and one without for each lane that claimed nothing.
    SELECT a.channel_id AS lane, a.held, coalesce(a.usable, false) AS usable, coalesce(a.fresh, false) AS fresh,
      coalesce(a.enqueued, 0) AS enqueued, coalesce(a.tokens, 0) AS tokens, a.per_second,
      CASE WHEN a.digest_pending THEN 0 ELSE a.digest_in END AS digest_in,
      a.crowded OR a.digest_pending AS crowded, {QUIET} AS quiet,
      (SELECT set_config('synchronous_commit', 'on', true) FROM ready WHERE merged > 0 LIMIT 1) AS durable,
      claimed.*
    FROM allowed a LEFT JOIN claimed USING (channel_id) ORDER BY claimed.id
    """,
    requests=Records(
        ClaimRequest,
        channel_id="text",
        epoch="bigint",
        config_version="timestamptz",
        room="int",
        per_second="float8",
        burst="float8",
    ),
)


async def claim(
    connection: DriverConnection, worker: str, requests: Sequence[ClaimRequest], digest_after: float
) -> dict[str, ClaimResult]:
    """Claim the due deliveries of each lane, the most urgent first, and merge those that they supersede.

    `digest_after` is in seconds. A lane whose lease was lost gets `held=False`.
    """
    rows = await CLAIM.rows(connection, worker=worker, requests=requests, digest_after=digest_after)
    of_lane: dict[str, list[Row]] = {}
    for row in rows:
        of_lane.setdefault(row["lane"], []).append(row)
    return {channel_id: _result(found) for channel_id, found in of_lane.items()}


def _result(rows: Sequence[Row]) -> ClaimResult:
    lane = read(rows[0], _Lane)
    claimed = tuple(read(row, Claimed) for row in rows if row["id"] is not None)
    return ClaimResult(
        held=lane.held,
        usable=lane.usable,
        fresh=lane.fresh,
        enqueued=lane.enqueued,
        tokens=lane.tokens,
        next_in=next_token_in(lane.tokens - len(claimed), lane.per_second),
        crowded=lane.crowded,
        digest_in=lane.digest_in,
        quiet=lane.quiet,
        claimed=claimed,
    )


def next_token_in(tokens: float, per_second: float | None) -> float:
    """Return the seconds until a bucket with so many tokens lets the next message through."""
    return 0.0 if per_second is None or tokens >= 1 else (1 - tokens) / per_second
