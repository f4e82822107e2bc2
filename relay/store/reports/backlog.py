"""The numbers of the database that every process exports: pending deliveries, channel states and dead letters."""

from typing import Final

import msgspec

from relay.domain.health import ChannelState, state_of
from relay.domain.outcomes import OutcomeKind, Reason
from relay.store.outbox.fragments import DEAD
from relay.store.postgres.statements import DriverConnection, Query

DEAD_FOR: Final = 86_400.0
"""Seconds for which a dead letter is counted, after the longest time for which it may have been retried."""
MAX_DEAD: Final = 10_000
"""At most this many of the newest dead letters are counted, to bound the cost."""


class ChannelBacklog(msgspec.Struct, frozen=True, kw_only=True):
    """The state of a channel, and what is pending for it.

    `disabled_by_relay`: the relay itself disabled it. `oldest_age` is in seconds, None when nothing is pending.
    """

    channel_type: str
    state: ChannelState
    disabled_by_relay: bool
    waiting: int
    oldest_age: float | None


class _Channel(msgspec.Struct, frozen=True):
    channel_type: str
    enabled: bool
    disabled_by_relay: bool
    breaker_open: bool
    failures: int
    success_rate: float | None
    attempts: int
    waiting: int
    oldest_age: float | None


class _DeadLetters(msgspec.Struct, frozen=True):
    channel_type: str
    dead: int


# What is pending is read once for all channels, from its own partition. The tallies are looked up channel by
# channel: their key starts with the channel, and reading them all would read every day that is kept.
CHANNELS: Final = Query(
    _Channel,
    f"""
    SELECT
      c.channel_type, c.enabled, c.disabled_reason IS NOT NULL AND NOT c.enabled AS disabled_by_relay,
      l.opened_at IS NOT NULL AS breaker_open, coalesce(l.failures, 0) AS failures,
      t.sent::float8 / nullif(t.attempts, 0)::float8 AS success_rate,
      coalesce(t.attempts, 0)::bigint AS attempts,
      coalesce(w.waiting, 0) AS waiting, extract(epoch FROM now() - w.oldest)::float8 AS oldest_age
    FROM channels c
    LEFT JOIN lanes l ON l.channel_id = c.id
    LEFT JOIN (
      SELECT channel_id, count(*) AS waiting, min(waiting_since) AS oldest FROM deliveries_waiting
      GROUP BY channel_id
    ) w ON w.channel_id = c.id
    LEFT JOIN LATERAL (
      SELECT coalesce(sum(attempts) FILTER (WHERE outcome = '{OutcomeKind.SENT}'), 0) AS sent,
        sum(attempts) AS attempts
      FROM tallies WHERE channel_id = c.id AND period > now() - interval '1 hour'
    ) t ON true
    """,
)

# Rows do not have the time at which they became dead: it is within the time of retries, counted from
# `waiting_since`. Deliveries of deleted channels are not counted: the channel was deleted on purpose.
DEAD_LETTERS: Final = Query(
    _DeadLetters,
    f"""
    SELECT c.channel_type, count(*) AS dead FROM (
      SELECT channel_id, waiting_since, last_reason FROM deliveries_finished
      WHERE state = {DEAD} ORDER BY id DESC LIMIT {MAX_DEAD}
    ) d JOIN channels c ON c.id = d.channel_id
    WHERE d.waiting_since > now() - make_interval(secs => :counted_for)
      AND d.last_reason IS DISTINCT FROM '{Reason.CHANNEL_DELETED}'
    GROUP BY c.channel_type
    """,
)


async def of_channels(connection: DriverConnection) -> list[ChannelBacklog]:
    """Return the states of all channels, and what is pending for each; in no order, and without ids."""
    return [
        ChannelBacklog(
            channel_type=row.channel_type,
            state=state_of(
                enabled=row.enabled,
                breaker_open=row.breaker_open,
                failures=row.failures,
                success_rate=row.success_rate,
                attempts=row.attempts,
                oldest_age=row.oldest_age,
            ),
            disabled_by_relay=row.disabled_by_relay,
            waiting=row.waiting,
            oldest_age=row.oldest_age,
        )
        for row in await CHANNELS.fetch(connection)
    ]


async def dead_letters(connection: DriverConnection, give_up_after: float) -> dict[str, int]:
    """Count recent dead letters by channel type; types without any are omitted.

    Those are recent that became pending within `give_up_after` seconds and a day; at most MAX_DEAD in all.
    """
    rows = await DEAD_LETTERS.fetch(connection, counted_for=give_up_after + DEAD_FOR)
    return {row.channel_type: row.dead for row in rows}
