"""Who may send for which channel: claim lanes, keep them, give them back.

A lane's lease says which worker may send for a channel, so that every limit holds over all replicas. Beside it
the lane's row keeps what the replicas must agree on: the token bucket, until when the channel is held, and the
circuit breaker.
"""

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from relay.domain.channel_types import Channel
from relay.domain.templates.message_templates import MessageTemplate
from relay.store.configuration import channels, message_templates
from relay.store.configuration.seal import Seal

LEASE_SECONDS: Final = 10.0
"""A worker that was killed holds its lanes for so long; one that is only slow must renew within it."""


class Lease(msgspec.Struct, frozen=True):
    """The right to send for a channel until the lease ends.

    `failures`, `probes` and `is_open` are the circuit breaker as the row has it. `channel` is None when its
    settings can't be opened, and `unreadable` says why. `stamp` changes with the channel's settings, and with the
    message template that they name.
    """

    channel_id: str
    epoch: int
    failures: int
    probes: int
    is_open: bool
    config_version: Any
    channel: Channel | None
    unreadable: str
    template: MessageTemplate | None


class LaneState(msgspec.Struct, frozen=True):
    """What a lane's row is to say of its channel. `held_for` is in seconds, 0 for not at all."""

    channel_id: str
    epoch: int
    failures: int
    probes: int
    is_open: bool
    held_for: float
    succeeded: bool
    failed: bool
    reason: str | None
    error: str | None


class Release(msgspec.Struct, frozen=True):
    """A lane to be given back. `enqueued` is its counter at the last claim; it is held for some seconds more."""

    channel_id: str
    epoch: int
    enqueued: int
    hold_for: float


_LEASE: Final = """
  l.channel_id, l.epoch, l.failures, l.probes, l.opened_at IS NOT NULL AS is_open,
  c.updated_at AS stamp, c.channel_type, c.config, c.sealed,
  t.id AS template_id, t.version AS template_version, t.body AS template_body, t.updated_at AS template_updated_at
"""
_OF_CHANNEL: Final = "channels c LEFT JOIN message_templates t ON t.id = c.config ->> 'template'"

CLAIM_LANES: Final = f"""
WITH due AS MATERIALIZED (
  SELECT l.channel_id FROM lanes l JOIN channels c ON c.id = l.channel_id
  WHERE c.enabled AND l.next_due <= now() AND (l.held_until IS NULL OR l.held_until <= now())
    AND (l.lease_until IS NULL OR l.lease_until <= now() OR l.owner = $1) AND l.channel_id <> ALL ($5)
    AND ($3::text[] IS NULL OR l.channel_id = ANY ($3))
  ORDER BY l.next_due LIMIT $4 FOR NO KEY UPDATE OF l SKIP LOCKED
)
UPDATE lanes l SET owner = $1, lease_until = now() + make_interval(secs => $2), epoch = epoch + 1
FROM {_OF_CHANNEL}
WHERE l.channel_id = ANY (ARRAY(SELECT channel_id FROM due)) AND c.id = l.channel_id
RETURNING {_LEASE}, EXISTS (
  SELECT FROM deliveries d WHERE d.channel_id = l.channel_id AND d.state = 'sending'
) AS half_done
"""

READ_LEASE: Final = f"""
SELECT {_LEASE} FROM lanes l, {_OF_CHANNEL}
WHERE c.id = l.channel_id AND l.channel_id = $1 AND l.owner = $2 AND l.epoch = $3 AND l.lease_until > now()
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
RETURNING channel_id, epoch
"""

WRITE_STATES: Final = """
UPDATE lanes l SET
  failures = s.failures,
  probes = s.probes,
  opened_at = CASE WHEN s.is_open THEN coalesce(l.opened_at, now()) END,
  held_until = CASE WHEN s.held_for > 0 THEN now() + make_interval(secs => s.held_for) END,
  last_success_at = CASE WHEN s.succeeded THEN now() ELSE l.last_success_at END,
  last_failure_at = CASE WHEN s.failed THEN now() ELSE l.last_failure_at END,
  last_reason = CASE WHEN s.failed THEN s.reason ELSE l.last_reason END,
  last_error = CASE WHEN s.failed THEN s.error ELSE l.last_error END
FROM unnest(
  $2::text[], $3::bigint[], $4::int[], $5::int[], $6::boolean[], $7::float8[], $8::boolean[], $9::boolean[],
  $10::text[], $11::text[]
) AS s (channel_id, epoch, failures, probes, is_open, held_for, succeeded, failed, reason, error)
WHERE l.channel_id = s.channel_id AND l.owner = $1 AND l.epoch = s.epoch
"""

# A sub-select with a limit, not a join or NOT EXISTS: the planner can only look it up for each row, on the index,
# and stops as soon as it has as many rows as asked for. A join would read all that waits, every time.
IS_HEAD: Final = """(d.id = (
      SELECT e.id FROM deliveries e
      WHERE e.channel_id = d.channel_id AND e.group_hash = d.group_hash AND e.state = 'pending'
      ORDER BY e.rank, e.id LIMIT 1
    ) AND (
      SELECT s.id FROM deliveries s
      WHERE s.channel_id = d.channel_id AND s.group_hash = d.group_hash AND s.state = 'sending'
      ORDER BY s.group_hash LIMIT 1
    ) IS NULL)"""
"""Whether the delivery `d` stands for its group: the most urgent one that waits, while none is on its way."""

# ORDER BY before LIMIT 1 keeps such look-ups on their index: without it the planner may hope to meet a row soon.
#
# A lane is given back only if nothing was queued since `enqueued` was read; else that would be overlooked.
# What waits behind another delivery of its group does not make the lane due. What is still `sending`, because
# its outcome could not be recorded, makes it due soon: whoever claims the lane then puts it back.
RELEASE: Final = f"""
WITH released AS (
  UPDATE lanes l SET owner = NULL, lease_until = NULL,
    held_until = greatest(l.held_until, now() + make_interval(secs => nullif(r.hold_for, 0))),
    next_due = (
      SELECT coalesce((
        SELECT now() FROM deliveries d
        WHERE d.channel_id = l.channel_id AND d.state = 'pending' AND d.next_attempt_at <= now() AND {IS_HEAD}
        ORDER BY d.rank, d.id LIMIT 1
      ), least((
        SELECT d.next_attempt_at FROM deliveries d
        WHERE d.channel_id = l.channel_id AND d.state = 'pending' AND {IS_HEAD} ORDER BY d.next_attempt_at LIMIT 1
      ), (
        SELECT now() + interval '5 seconds' FROM deliveries d
        WHERE d.channel_id = l.channel_id AND d.state = 'sending' ORDER BY d.group_hash LIMIT 1
      )))
    )
  FROM unnest($2::text[], $3::bigint[], $4::bigint[], $5::float8[]) AS r (channel_id, epoch, enqueued, hold_for)
  WHERE l.channel_id = r.channel_id AND l.owner = $1 AND l.epoch = r.epoch AND l.enqueued = r.enqueued
  RETURNING l.channel_id, l.next_due, l.held_until
)
SELECT channel_id,
  CASE WHEN next_due IS NOT NULL
    THEN extract(epoch FROM greatest(next_due, held_until) - now())::float8 END AS due_in
FROM released
"""

GIVE_BACK: Final = """
UPDATE lanes SET owner = NULL, lease_until = NULL, next_due = least(next_due, now()) WHERE owner = $1
"""

# Only if the channel is still as it was when the platform said so: people may have mended it meanwhile.
DISABLE: Final = """
UPDATE channels SET config = jsonb_set(config, '{enabled}', 'false'), disabled_reason = $3, updated_at = now()
WHERE id = $1 AND updated_at = $2 AND enabled
"""


async def claim_lanes(
    driver: Any, worker: str, seal: Seal, limit: int, held: Sequence[str], only: Sequence[str] | None = None
) -> list[Lease]:
    """Take the lease of lanes that are due and free; what a dead worker left half done waits again.

    `held` names the lanes that the worker is busy with; `only` asks for some lanes alone.
    """
    rows = await driver.fetch(CLAIM_LANES, worker, LEASE_SECONDS, only, limit, held)
    if half_done := [row["channel_id"] for row in rows if row["half_done"]]:
        # A statement of its own, so that it sees what the lane's former holder did until it lost the lane.
        await driver.execute(RECOVER, half_done)
    return [_lease(row, seal) for row in rows]


async def read_lease(driver: Any, worker: str, seal: Seal, channel_id: str, epoch: int) -> Lease | None:
    """The lease as it is now, with the channel's present settings; None when it was lost."""
    row = await driver.fetchrow(READ_LEASE, channel_id, worker, epoch)
    return None if row is None else _lease(row, seal)


async def renew(driver: Any, worker: str, channel_ids: Sequence[str]) -> dict[str, int]:
    """Lengthen leases; their epochs. Those that are missing in the answer were lost."""
    rows = await driver.fetch(RENEW, worker, channel_ids, LEASE_SECONDS)
    return {row["channel_id"]: row["epoch"] for row in rows}


async def write_states(driver: Any, worker: str, states: Sequence[LaneState]) -> None:
    """Write what lanes say of their channels; one lane only once. Lanes that were lost are left alone."""
    columns = zip(*map(msgspec.structs.astuple, states), strict=True)
    await driver.execute(WRITE_STATES, worker, *map(list, columns))


async def release(driver: Any, worker: str, lanes: Sequence[Release]) -> dict[str, float | None]:
    """Give lanes back.

    Returns:
        For each lane that was given back (not if something was queued meanwhile, or the lease was lost): in how
        many seconds it is due again, or None when nothing waits.
    """
    columns = zip(*map(msgspec.structs.astuple, lanes), strict=True)
    rows = await driver.fetch(RELEASE, worker, *map(list, columns))
    return {row["channel_id"]: row["due_in"] for row in rows}


async def give_back(driver: Any, worker: str) -> None:
    """Give all of a worker's lanes back at once, so that others may go on without waiting for the leases."""
    await driver.execute(GIVE_BACK, worker)


async def disable(driver: Any, channel_id: str, config_version: Any, reason: str) -> None:
    """Disable a channel whose destination is gone, unless its settings changed since `stamp`."""
    await driver.execute(DISABLE, channel_id, config_version, reason)


def _lease(row: Any, seal: Seal) -> Lease:
    channel, unreadable = channels.open_channel(
        row["channel_id"], row["channel_type"], row["config"], row["sealed"], seal
    )
    return Lease(
        channel_id=row["channel_id"],
        epoch=row["epoch"],
        failures=row["failures"],
        probes=row["probes"],
        is_open=row["is_open"],
        config_version=row["stamp"],
        channel=channel,
        unreadable=unreadable,
        template=message_templates.from_lease(row),
    )
