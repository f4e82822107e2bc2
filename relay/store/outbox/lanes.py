"""Lanes: which worker sends for which channel.

A lane's lease gives one worker at a time the right to send for a channel, so that every limit holds over all
replicas. The lane's row also keeps the state that the replicas share: the token bucket, until when the channel is
held back, and the circuit breaker.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

import msgspec

from relay.domain.channel_types import Channel
from relay.domain.outcomes import OutcomeKind, Reason
from relay.domain.templates.message_templates import MessageTemplate
from relay.store.configuration import channels, message_templates
from relay.store.configuration.seal import Seal
from relay.store.outbox.fragments import IS_HEAD, NOT_HELD_BACK, NOT_LEASED, PENDING, SENDING
from relay.store.postgres.statements import DriverConnection, Query, Records, Statement

LEASE_SECONDS: Final = 10.0
"""How long a killed worker keeps its lanes; a slow one must renew its leases within this time."""


class Lease(msgspec.Struct, frozen=True):
    """The right to send for a channel until the lease ends.

    `failures`, `probes` and `is_open` are the circuit breaker as the row has it. `channel` is None when its
    settings can't be read, for the reason `unreadable`. `config_version` changes with the channel's settings.
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


class Release(msgspec.Struct, frozen=True):
    """A lane to be released. `enqueued` is its counter at the last claim; `hold_for` is in seconds.

    `tokens`: what is left in the bucket after every request that was sent; a claim takes one for each delivery,
    which may have needed several requests. None: there is no limit.
    """

    channel_id: str
    epoch: int
    enqueued: int
    hold_for: float
    tokens: float | None = None


class _LeaseRow(msgspec.Struct, frozen=True):
    """A lane with the sealed settings of its channel and their message template."""

    channel_id: str
    epoch: int
    failures: int
    probes: int
    is_open: bool
    config_version: datetime
    channel_type: str
    config: dict[str, Any]
    sealed: bytes
    template_id: str | None
    template_version: int | None
    template_body: dict[str, Any] | None
    template_updated_at: datetime | None
    interrupted: bool = False
    """Whether the lane's former holder left deliveries in the state `sending`."""


class _Renewed(msgspec.Struct, frozen=True):
    channel_id: str
    epoch: int


class _Released(msgspec.Struct, frozen=True):
    channel_id: str
    due_in: float | None


_LEASE: Final = """
  l.channel_id, l.epoch, l.failures, l.probes, l.opened_at IS NOT NULL AS is_open,
  c.updated_at AS config_version, c.channel_type, c.config, c.sealed,
  t.id AS template_id, t.version AS template_version, t.body AS template_body, t.updated_at AS template_updated_at
"""
_OF_CHANNEL: Final = "channels c LEFT JOIN message_templates t ON t.id = c.config ->> 'template'"

CLAIM_LANES: Final = Query(
    _LeaseRow,
    f"""
    WITH due AS MATERIALIZED (
      SELECT l.channel_id FROM lanes l JOIN channels c ON c.id = l.channel_id
      WHERE c.enabled AND l.next_due <= now() AND {NOT_HELD_BACK}
        AND ({NOT_LEASED} OR l.owner = :worker) AND l.channel_id <> ALL (:held)
        AND (:only::text[] IS NULL OR l.channel_id = ANY (:only))
      ORDER BY l.next_due LIMIT :limit FOR NO KEY UPDATE OF l SKIP LOCKED
    )
    UPDATE lanes l SET
      owner = :worker, lease_until = now() + make_interval(secs => {LEASE_SECONDS}), epoch = epoch + 1
    FROM {_OF_CHANNEL}
    WHERE l.channel_id = ANY (ARRAY(SELECT channel_id FROM due)) AND c.id = l.channel_id
    RETURNING {_LEASE}, EXISTS (
      SELECT FROM deliveries d WHERE d.channel_id = l.channel_id AND d.state = {SENDING}
    ) AS interrupted
    """,
)

READ_LEASE: Final = Query(
    _LeaseRow,
    f"""
    SELECT {_LEASE} FROM lanes l, {_OF_CHANNEL}
    WHERE c.id = l.channel_id AND l.channel_id = :channel_id AND l.owner = :worker AND l.epoch = :epoch
      AND l.lease_until > now()
    """,
)

RECOVER: Final = Statement(
    f"""
    WITH interrupted AS (
      UPDATE deliveries SET state = {PENDING}, next_attempt_at = now(), last_reason = '{Reason.INTERRUPTED}',
        last_error = 'the worker stopped during the attempt; it is not known whether the message was delivered'
      WHERE channel_id = ANY (:channel_ids) AND state = {SENDING}
      RETURNING id, attempt
    )
    INSERT INTO attempts (delivery_id, number, started_at, duration, outcome, reason, detail)
    SELECT id, attempt, now(), 0, '{OutcomeKind.RETRY}', '{Reason.INTERRUPTED}',
      'the worker stopped during the attempt'
    FROM interrupted
    ON CONFLICT DO NOTHING
    """
)

RENEW: Final = Query(
    _Renewed,
    f"""
    UPDATE lanes SET lease_until = now() + make_interval(secs => {LEASE_SECONDS})
    WHERE channel_id = ANY (:channel_ids) AND owner = :worker
    RETURNING channel_id, epoch
    """,
)

# When something in the lane `l` is due: now, if a group's head is; else when the first of them will be. A delivery
# that waits behind another one of its group does not make the lane due. One that is still `sending`, because its
# outcome could not be recorded, makes it due soon: the next holder of the lane then recovers it.
_NEXT_DUE: Final = f"""
  SELECT coalesce((
    SELECT now() FROM deliveries d
    WHERE d.channel_id = l.channel_id AND d.state = {PENDING} AND d.next_attempt_at <= now() AND {IS_HEAD}
    ORDER BY d.rank, d.id LIMIT 1
  ), least((
    SELECT d.next_attempt_at FROM deliveries d
    WHERE d.channel_id = l.channel_id AND d.state = {PENDING} AND {IS_HEAD} ORDER BY d.next_attempt_at LIMIT 1
  ), (
    SELECT now() + interval '5 seconds' FROM deliveries d
    WHERE d.channel_id = l.channel_id AND d.state = {SENDING} ORDER BY d.group_hash LIMIT 1
  )))
"""

# A lane is released only if nothing was queued since `enqueued` was read; else that would be missed.
RELEASE: Final = Query(
    _Released,
    f"""
    WITH released AS (
      UPDATE lanes l SET owner = NULL, lease_until = NULL,
        held_until = greatest(l.held_until, now() + make_interval(secs => nullif(r.hold_for, 0))),
        tokens = coalesce(r.tokens, l.tokens),
        tokens_at = CASE WHEN r.tokens IS NULL THEN l.tokens_at ELSE now() END,
        next_due = ({_NEXT_DUE})
      FROM :releases AS r
      WHERE l.channel_id = r.channel_id AND l.owner = :worker AND l.epoch = r.epoch AND l.enqueued = r.enqueued
      RETURNING l.channel_id, l.next_due, l.held_until
    )
    SELECT channel_id, CASE WHEN next_due IS NOT NULL
      THEN extract(epoch FROM greatest(next_due, held_until) - now())::float8 END AS due_in
    FROM released
    """,
    releases=Records(
        Release, channel_id="text", epoch="bigint", enqueued="bigint", hold_for="float8", tokens="float8"
    ),
)

RELEASE_ALL: Final = Statement(
    """
    UPDATE lanes SET owner = NULL, lease_until = NULL, next_due = least(next_due, now()) WHERE owner = :worker
    """
)


async def claim_lanes(
    connection: DriverConnection,
    worker: str,
    seal: Seal,
    limit: int,
    held: Sequence[str],
    only: Sequence[str] | None = None,
) -> list[Lease]:
    """Lease lanes that are due and free; deliveries that a dead worker was sending become pending.

    `held` names the lanes that the worker has already; `only` restricts the claim to some lanes.
    """
    rows = await CLAIM_LANES.fetch(connection, worker=worker, held=held, only=only, limit=limit)
    if interrupted := [row.channel_id for row in rows if row.interrupted]:
        # A separate statement, so that it reads what the lane's former holder wrote until it lost the lane.
        await RECOVER.execute(connection, channel_ids=interrupted)
    return [_lease(row, seal) for row in rows]


async def read_lease(
    connection: DriverConnection, worker: str, seal: Seal, channel_id: str, epoch: int
) -> Lease | None:
    """Return the lease with the channel's current settings; None when it was lost."""
    row = await READ_LEASE.fetch_one(connection, worker=worker, channel_id=channel_id, epoch=epoch)
    return None if row is None else _lease(row, seal)


async def renew(connection: DriverConnection, worker: str, channel_ids: Sequence[str]) -> dict[str, int]:
    """Renew leases and return their epochs. A lane that is missing in the result was lost."""
    renewed = await RENEW.fetch(connection, worker=worker, channel_ids=channel_ids)
    return {lane.channel_id: lane.epoch for lane in renewed}


async def release(connection: DriverConnection, worker: str, lanes: Sequence[Release]) -> dict[str, float | None]:
    """Release lanes.

    Returns:
        For each lane that was released (not if something was queued meanwhile, or the lease was lost): in how
        many seconds it is due again, or None when nothing is pending.
    """
    released = await RELEASE.fetch(connection, worker=worker, releases=lanes)
    return {lane.channel_id: lane.due_in for lane in released}


async def release_all(connection: DriverConnection, worker: str) -> None:
    """Release all lanes of a worker, so that others can claim them without waiting for the leases to end."""
    await RELEASE_ALL.execute(connection, worker=worker)


def _lease(row: _LeaseRow, seal: Seal) -> Lease:
    channel, unreadable = channels.open_channel(row.channel_id, row.channel_type, row.config, row.sealed, seal)
    return Lease(
        channel_id=row.channel_id,
        epoch=row.epoch,
        failures=row.failures,
        probes=row.probes,
        is_open=row.is_open,
        config_version=row.config_version,
        channel=channel,
        unreadable=unreadable,
        template=message_templates.from_lease(
            row.template_id, row.template_version, row.template_body, row.template_updated_at
        ),
    )
