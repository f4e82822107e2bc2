"""Settlement: the outcome of each attempt, recorded in batches."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

import msgspec

from relay.domain.history import State
from relay.domain.outcomes import OutcomeKind, Reason
from relay.store.outbox.fragments import (
    DEAD,
    DELIVERED,
    PENDING,
    SENDING,
    USABLE_FALLBACK,
    insert_fallbacks,
    wake_lanes,
)
from relay.store.postgres.statements import DriverConnection, Query, Records


class Settlement(msgspec.Struct, frozen=True):
    """How an attempt ended, and the delivery's new state; `delay` is in seconds, until a pending one is retried.

    Without an `outcome` there was no attempt: the delivery is pending as before. A delivery that is dead goes to
    the channel `fallback`. `bucket` is that of the duration, None when the attempt does not count for the
    channel's health.
    """

    delivery_id: int
    attempt: int
    state: State
    delay: float
    started_at: datetime
    duration: float
    outcome: OutcomeKind | None
    reason: Reason | None
    status_code: int | None
    detail: str | None
    bucket: int | None
    fallback: str | None
    progress: str | None


class _Fallback(msgspec.Struct, frozen=True):
    channel_id: str


# The list of ids beside the join keeps the plan on the primary key, whatever the planner expects of unnest.
#
# A delivery is settled when it is still in the attempt that ended, and in these cases: its channel was deleted
# during the attempt, which nevertheless delivered it; or a crash of Postgres undid the claim, which does not wait
# for the disk. The latter can't be mistaken for a delivery that another worker took over: there, the attempt was
# counted.
_SETTLED: Final = f"""
  UPDATE deliveries d SET
    state = r.state,
    attempt = CASE WHEN r.outcome IS NULL THEN r.attempt - 1 ELSE r.attempt END,
    next_attempt_at = CASE WHEN r.state = {PENDING} THEN now() + make_interval(secs => r.delay) END,
    delivered_at = CASE WHEN r.state = {DELIVERED} THEN now() END,
    progress = CASE WHEN r.outcome IS NULL THEN d.progress ELSE r.progress END,
    last_reason = CASE WHEN r.outcome IS NULL THEN d.last_reason ELSE r.reason END,
    last_error = CASE WHEN r.outcome IS NULL THEN d.last_error WHEN r.state <> {DELIVERED} THEN r.detail END
  FROM result r
  WHERE d.id = ANY (ARRAY(SELECT delivery_id FROM result)) AND d.id = r.delivery_id
  AND d.state IN ({PENDING}, {SENDING}, {DEAD}) AND (
    (d.attempt = r.attempt AND d.state = {SENDING})
    OR (d.attempt = r.attempt AND r.state = {DELIVERED} AND d.last_reason = '{Reason.CHANNEL_DELETED}')
    OR (d.attempt = r.attempt - 1 AND d.state = {PENDING})
  )
  RETURNING d.*
"""

_ATTEMPTED: Final = """
  INSERT INTO attempts (delivery_id, number, started_at, duration, outcome, reason, status_code, detail)
  SELECT delivery_id, r.attempt, started_at, duration, outcome, reason, status_code, detail
  FROM result r JOIN settled s ON s.id = r.delivery_id WHERE outcome IS NOT NULL
  ON CONFLICT (delivery_id, number) DO NOTHING
"""

_COUNTED: Final = """
  INSERT INTO tallies AS t (channel_id, period, outcome, bucket, attempts)
  SELECT channel_id, date_bin('5 minutes', started_at, 'epoch') AS period, outcome, bucket, count(*)
  FROM result r JOIN settled s ON s.id = r.delivery_id
  WHERE bucket IS NOT NULL GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4
  ON CONFLICT (channel_id, period, outcome, bucket) DO UPDATE SET attempts = t.attempts + excluded.attempts
"""

SETTLE: Final = Query(
    _Fallback,
    f"""
    WITH
    result AS MATERIALIZED (SELECT * FROM :settlements AS r),
    -- Write the new states. An attempt that another worker has taken over meanwhile is not settled.
    settled AS ({_SETTLED}),
    -- Record the attempts, and count them for the channels' health.
    attempted AS ({_ATTEMPTED}),
    counted AS ({_COUNTED}),
    -- Send what is dead to the fallback channels.
    dead AS (
      SELECT s.*, f.id AS fallback FROM settled s JOIN result r ON r.delivery_id = s.id
      JOIN channels f ON f.id = r.fallback AND {USABLE_FALLBACK}
      WHERE s.state = {DEAD}
    ),
    added AS ({insert_fallbacks("dead")}),
    woken AS ({wake_lanes("SELECT channel_id FROM added")})
    SELECT DISTINCT channel_id FROM added
    """,
    settlements=Records(
        Settlement,
        delivery_id="bigint",
        attempt="int",
        state="text",
        delay="float8",
        started_at="timestamptz",
        duration="float8",
        outcome="text",
        reason="text",
        status_code="int",
        detail="text",
        bucket="int",
        fallback="text",
        progress="text",
    ),
)


async def settle(connection: DriverConnection, settlements: Sequence[Settlement]) -> set[str]:
    """Record how attempts ended. An attempt that another worker has taken over meanwhile is ignored.

    Returns:
        The fallback channels that have something to send now.
    """
    return {fallback.channel_id for fallback in await SETTLE.fetch(connection, settlements=settlements)}
