"""Settlement: the outcome of each attempt, recorded in batches."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

import msgspec

from relay.domain.notifications import REFRESH
from relay.store.outbox.overdue import USABLE


class Settlement(msgspec.Struct, frozen=True):
    """How an attempt ended, and what follows: the new state, and for `pending` the seconds to wait.

    With the outcome `unsent` there was no attempt at all: it waits as before. What is dead goes to the
    channel `fallback`. `bucket` is of the duration, None for what says nothing of the channel's health.
    """

    delivery_id: int
    attempt: int
    state: str
    delay: float
    started_at: datetime
    duration: float
    outcome: str
    reason: str | None
    status_code: int | None
    detail: str | None
    bucket: int | None
    fallback: str | None
    progress: str | None


# The id list beside the join keeps the plan on the primary key, whatever the planner thinks of unnest.
# A channel that was deleted during the attempt left the delivery dead; if it arrived all the same, that is told.
# A claim is not waited for on disk: when a crash of Postgres undid it, the row is as before, and the outcome still
# counts. That can't be mistaken for a row that another worker took over: there, the attempt was counted.
SETTLE: Final = f"""
WITH result AS MATERIALIZED (
  SELECT * FROM unnest(
    $1::bigint[], $2::int[], $3::text[], $4::float8[], $5::timestamptz[], $6::float8[], $7::text[], $8::text[],
    $9::int[], $10::text[], $11::int[], $12::text[], $13::text[]
  ) AS t (
    id, attempt, state, delay, started_at, duration, outcome, reason, status_code, detail, bucket, fallback,
    progress
  )
), settled AS (
  UPDATE deliveries d SET
    state = r.state,
    attempt = CASE WHEN r.outcome = 'unsent' THEN r.attempt - 1 ELSE r.attempt END,
    next_attempt_at = CASE WHEN r.state = 'pending' THEN now() + make_interval(secs => r.delay) END,
    delivered_at = CASE WHEN r.state = 'delivered' THEN now() END,
    progress = CASE WHEN r.outcome = 'unsent' THEN d.progress ELSE r.progress END,
    last_reason = CASE WHEN r.outcome = 'unsent' THEN d.last_reason ELSE r.reason END,
    last_error = CASE WHEN r.outcome = 'unsent' THEN d.last_error WHEN r.state <> 'delivered' THEN r.detail END
  FROM result r
  WHERE d.id = ANY ($1) AND d.id = r.id AND (
    (d.attempt = r.attempt AND d.state = 'sending')
    OR (d.attempt = r.attempt AND r.state = 'delivered' AND d.last_reason = 'channelDeleted')
    OR (d.attempt = r.attempt - 1 AND d.state = 'pending')
  )
  RETURNING d.*
), tried AS (
  INSERT INTO attempts (delivery_id, number, started_at, duration, outcome, reason, status_code, detail)
  SELECT id, r.attempt, started_at, duration, outcome, reason, status_code, detail
  FROM result r JOIN settled USING (id) WHERE outcome <> 'unsent'
  ON CONFLICT (delivery_id, number) DO NOTHING
), counted AS (
  INSERT INTO tallies AS t (channel_id, period, outcome, bucket, attempts)
  SELECT channel_id, date_bin('5 minutes', started_at, 'epoch') AS period, outcome, bucket, count(*)
  FROM result JOIN settled USING (id) WHERE bucket IS NOT NULL GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4
  ON CONFLICT (channel_id, period, outcome, bucket) DO UPDATE SET attempts = t.attempts + excluded.attempts
), fallen AS (
  INSERT INTO deliveries (
    receipt_id, channel_id, group_hash, positions, rank, state, created_at, waiting_since, next_attempt_at,
    fallback_of
  )
  SELECT s.receipt_id, f.id, s.group_hash, s.positions, s.rank, 'pending', now(), now(), now(), s.id
  FROM settled s JOIN result r USING (id) JOIN channels f ON f.id = r.fallback AND {USABLE}
  WHERE s.state = 'dead' AND s.rank < {REFRESH} ORDER BY s.id
  RETURNING channel_id
), woken AS (
  UPDATE lanes SET enqueued = enqueued + 1, next_due = least(next_due, greatest(now(), held_until))
  WHERE channel_id = ANY (ARRAY(
    SELECT channel_id FROM lanes WHERE channel_id IN (SELECT channel_id FROM fallen)
    ORDER BY channel_id FOR NO KEY UPDATE
  ))
)
SELECT DISTINCT channel_id FROM fallen
"""


async def settle(driver: Any, settlements: Sequence[Settlement]) -> set[str]:
    """Record how attempts ended. One that another worker took over meanwhile is left as that one has it.

    Returns:
        The channels that have something to send now, because they are fallbacks of others.
    """
    columns = zip(*map(msgspec.structs.astuple, settlements), strict=True)
    return {row["channel_id"] for row in await driver.fetch(SETTLE, *map(list, columns))}
