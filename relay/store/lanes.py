"""Who may send for which channel: claim a lane, claim its deliveries, settle them, give the lane back.

A lane's lease says which worker may send for a channel, so that every limit holds over all replicas.
Within a lane, a group's next delivery is claimed only when the one before it is settled: that keeps order.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

import msgspec

LEASE_SECONDS: Final = 10.0
"""A worker that was killed holds its lanes for so long; one that is only slow must renew within it."""


class Lease(msgspec.Struct, frozen=True):
    """The right to send for a channel until the lease ends. `enqueued` is the lane's counter when last seen."""

    channel_id: str
    epoch: int
    enqueued: int


class Claimed(msgspec.Struct, frozen=True):
    """A delivery to be attempted now; `attempt` is 1 at the first time. `positions` is None for all alerts."""

    id: int
    receipt_id: int
    attempt: int
    created_at: datetime
    positions: tuple[int, ...] | None


class Settlement(msgspec.Struct, frozen=True):
    """How an attempt ended, and what follows: the new state, and for `pending` the seconds to wait."""

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


CLAIM_LANES: Final = """
UPDATE lanes SET owner = $1, lease_until = now() + make_interval(secs => $2), epoch = epoch + 1
WHERE channel_id = ANY (ARRAY(
  SELECT l.channel_id FROM lanes l JOIN channels c ON c.id = l.channel_id
  WHERE c.enabled AND l.next_due <= now()
    AND (l.lease_until IS NULL OR l.lease_until <= now() OR l.owner = $1) AND l.channel_id <> ALL ($5)
    AND ($3::text[] IS NULL OR l.channel_id = ANY ($3))
  ORDER BY l.next_due LIMIT $4 FOR NO KEY UPDATE OF l SKIP LOCKED
))
RETURNING channel_id, epoch, enqueued
"""

RECOVER: Final = """
WITH lost AS (
  UPDATE deliveries SET state = 'pending', next_attempt_at = now(), last_reason = 'interrupted',
    last_error = 'the worker that was sending it stopped; whether the platform got it is not known'
  WHERE channel_id = ANY ($1) AND state = 'sending'
  RETURNING id, attempt
)
INSERT INTO attempts (delivery_id, number, started_at, duration, outcome, reason, detail)
SELECT id, attempt, now(), 0, 'retry', 'interrupted', 'the worker that was sending it stopped' FROM lost
ON CONFLICT DO NOTHING
"""

RENEW: Final = """
UPDATE lanes SET lease_until = now() + make_interval(secs => $3)
WHERE channel_id = ANY ($2) AND owner = $1
RETURNING channel_id, epoch, enqueued
"""

# A sub-select with a limit, not a join or NOT EXISTS: the planner can only look it up for each row, on the index,
# and stops as soon as it has as many rows as asked for. A join would read all that waits, every time.
FIRST_OF_GROUP: Final = """(
      SELECT e.id FROM deliveries e
      WHERE e.channel_id = d.channel_id AND e.group_hash = d.group_hash AND e.state IN ('pending', 'sending')
      ORDER BY e.id LIMIT 1
    )"""

CLAIM_DELIVERIES: Final = f"""
UPDATE deliveries SET state = 'sending', attempt = attempt + 1, next_attempt_at = NULL
WHERE state = 'pending' AND id = ANY (ARRAY(
  SELECT d.id FROM deliveries d
  WHERE d.channel_id = $1 AND d.state = 'pending' AND d.next_attempt_at <= now()
    AND d.id = {FIRST_OF_GROUP}
    AND EXISTS (
      SELECT FROM lanes l JOIN channels c ON c.id = l.channel_id
      WHERE l.channel_id = $1 AND l.owner = $2 AND l.epoch = $3 AND l.lease_until > now() AND c.enabled
    )
  ORDER BY d.next_attempt_at, d.id LIMIT $4
))
RETURNING id, receipt_id, attempt, created_at, positions
"""

# The id list beside the join keeps the plan on the primary key, whatever the planner thinks of unnest.
# A channel that was deleted during the attempt left the delivery dead; if it arrived all the same, that is told.
# A claim is not waited for on disk: when a crash of Postgres undid it, the row is as before, and the outcome still
# counts. That can't be mistaken for a row that another worker took over: there, the attempt was counted.
SETTLE: Final = """
WITH result AS MATERIALIZED (
  SELECT * FROM unnest(
    $1::bigint[], $2::int[], $3::text[], $4::float8[], $5::timestamptz[], $6::float8[], $7::text[], $8::text[],
    $9::int[], $10::text[]
  ) AS t (id, attempt, state, delay, started_at, duration, outcome, reason, status_code, detail)
), settled AS (
  UPDATE deliveries d SET
    state = r.state,
    attempt = r.attempt,
    next_attempt_at = CASE WHEN r.state = 'pending' THEN now() + make_interval(secs => r.delay) END,
    delivered_at = CASE WHEN r.state = 'delivered' THEN now() END,
    last_reason = r.reason,
    last_error = CASE WHEN r.state <> 'delivered' THEN r.detail END
  FROM result r
  WHERE d.id = ANY ($1) AND d.id = r.id AND (
    (d.attempt = r.attempt AND d.state = 'sending')
    OR (d.attempt = r.attempt AND r.state = 'delivered' AND d.last_reason = 'channelDeleted')
    OR (d.attempt = r.attempt - 1 AND d.state = 'pending')
  )
  RETURNING d.id
)
INSERT INTO attempts (delivery_id, number, started_at, duration, outcome, reason, status_code, detail)
SELECT id, attempt, started_at, duration, outcome, reason, status_code, detail
FROM result JOIN settled USING (id)
ON CONFLICT (delivery_id, number) DO NOTHING
"""

# The lane is given back only if nothing was queued since `enqueued` was read; else that would be overlooked.
# What waits behind an earlier delivery of its group does not make the lane due. What is still `sending`, because
# its outcome could not be recorded, makes it due soon: whoever claims the lane then puts it back.
RELEASE: Final = f"""
UPDATE lanes SET owner = NULL, lease_until = NULL, next_due = least((
  SELECT d.next_attempt_at FROM deliveries d
  WHERE d.channel_id = $1 AND d.state = 'pending'
    AND d.id = {FIRST_OF_GROUP}
  ORDER BY d.next_attempt_at LIMIT 1
), (
  SELECT now() + interval '5 seconds' FROM deliveries d WHERE d.channel_id = $1 AND d.state = 'sending' LIMIT 1
))
WHERE channel_id = $1 AND owner = $2 AND epoch = $3 AND enqueued = $4
RETURNING extract(epoch FROM next_due - now())::float8 AS due_in
"""


GIVE_BACK: Final = """
UPDATE lanes SET owner = NULL, lease_until = NULL, next_due = least(next_due, now()) WHERE owner = $1
"""


async def claim_lanes(
    driver: Any, worker: str, limit: int, held: Sequence[str], only: Sequence[str] | None = None
) -> list[Lease]:
    """Take the lease of lanes that are due and free; what a dead worker left half done waits again.

    `held` names the lanes that the worker is busy with; `only` asks for some lanes alone.
    """
    rows = await driver.fetch(CLAIM_LANES, worker, LEASE_SECONDS, only, limit, held)
    if rows:
        # A statement of its own, so that it sees what the lane's former holder did until it lost the lane.
        await driver.execute(RECOVER, [row["channel_id"] for row in rows])
    return [Lease(**row) for row in rows]


async def renew(driver: Any, worker: str, channel_ids: Sequence[str]) -> list[Lease]:
    """Lengthen leases; those that are missing in the answer were lost."""
    return [Lease(**row) for row in await driver.fetch(RENEW, worker, channel_ids, LEASE_SECONDS)]


async def claim_deliveries(driver: Any, worker: str, lease: Lease, limit: int) -> list[Claimed]:
    """Take deliveries that are due, oldest first; none if the lease was lost or the channel is disabled."""
    rows = await driver.fetch(CLAIM_DELIVERIES, lease.channel_id, worker, lease.epoch, limit)
    claimed = [
        Claimed(
            id=row["id"],
            receipt_id=row["receipt_id"],
            attempt=row["attempt"],
            created_at=row["created_at"],
            positions=None if row["positions"] is None else tuple(row["positions"]),
        )
        for row in rows
    ]
    return sorted(claimed, key=lambda delivery: delivery.id)


async def settle(driver: Any, settlements: Sequence[Settlement]) -> None:
    """Record how attempts ended. One that another worker took over meanwhile is left as that one has it."""
    columns = zip(*map(msgspec.structs.astuple, settlements), strict=True)
    await driver.execute(SETTLE, *map(list, columns))


async def release(driver: Any, worker: str, lease: Lease) -> tuple[bool, float | None]:
    """Give a lane back.

    Returns:
        Whether it was given back (not if something was queued meanwhile, or the lease was lost), and in how
        many seconds it is due again, or None when nothing waits.
    """
    row = await driver.fetchrow(RELEASE, lease.channel_id, worker, lease.epoch, lease.enqueued)
    return (False, None) if row is None else (True, row["due_in"])


async def give_back(driver: Any, worker: str) -> None:
    """Give all of a worker's lanes back at once, so that others may go on without waiting for the leases."""
    await driver.execute(GIVE_BACK, worker)


async def load_bodies(driver: Any, receipt_ids: Sequence[int]) -> dict[int, bytes]:
    """The webhooks' bodies of receipts."""
    rows = await driver.fetch("SELECT id, body FROM receipts WHERE id = ANY ($1)", receipt_ids)
    return {row["id"]: row["body"] for row in rows}
