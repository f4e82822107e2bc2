"""The health of channels, from their tallies, their lanes and what is pending for them."""

from collections.abc import Sequence, Set
from datetime import datetime
from typing import Final

import msgspec
from sqlalchemy import ARRAY, Text, bindparam, text
from sqlalchemy.ext.asyncio import AsyncConnection

from relay.domain.caveats import caveats_of_matchers, caveats_of_severities, caveats_of_type
from relay.domain.errors import NotFound
from relay.domain.health import ChannelHealth, quantile, rate, state_of
from relay.domain.outcomes import OutcomeKind
from relay.domain.principals import Tenants, sees
from relay.store.outbox.fragments import PENDING, SENDING
from relay.store.postgres.statements import DriverConnection, Statement, read_row

RECENT_ALERTS: Final = 20_000
"""Alerts in which values of a filter are searched; some milliseconds."""

_ids = bindparam("ids", type_=ARRAY(Text))

CHANNELS: Final = text(
    f"""
    SELECT
      c.id, c.channel_type, c.tenant_id, coalesce(c.config -> 'matchers', '[]') AS matchers,
      coalesce(c.config -> 'severities', '[]') AS severities,
      c.enabled, c.disabled_reason, coalesce(l.failures, 0) AS failures, l.opened_at,
      CASE WHEN l.held_until > now() THEN l.held_until END AS held_until,
      l.last_success_at, l.last_failure_at, l.last_reason, l.last_error,
      coalesce(w.waiting, 0) AS waiting, w.oldest_waiting, now() AS moment
    FROM channels c
    LEFT JOIN lanes l ON l.channel_id = c.id
    LEFT JOIN (
      SELECT channel_id, count(*) AS waiting, min(waiting_since) AS oldest_waiting
      FROM deliveries WHERE channel_id = ANY (:ids) AND state IN ({PENDING}, {SENDING}) GROUP BY channel_id
    ) w ON w.channel_id = c.id
    WHERE c.id = ANY (:ids)
    """
).bindparams(_ids)

TALLIES: Final = text(
    """
    SELECT channel_id, outcome, bucket, sum(attempts)::bigint AS of_day,
      coalesce(sum(attempts) FILTER (WHERE period > now() - interval '1 hour'), 0)::bigint AS of_hour
    FROM tallies WHERE channel_id = ANY (:ids) AND period > now() - interval '24 hours'
    GROUP BY channel_id, outcome, bucket
    """
).bindparams(_ids)

SEEN: Final = text(
    f"""
    SELECT DISTINCT a.tenant_id, lower(coalesce(a.severity, '')) AS severity
    FROM (SELECT tenant_id, severity FROM alerts ORDER BY id DESC LIMIT {RECENT_ALERTS}) AS a
    """
)

PURGE_TALLIES: Final = Statement("DELETE FROM tallies WHERE period < now() - interval '25 hours'")


class _ChannelRow(msgspec.Struct, frozen=True):
    """A channel with its lane and what is pending for it, at `moment`."""

    id: str
    channel_type: str
    tenant_id: str | None
    matchers: tuple[str, ...]
    severities: tuple[str, ...]
    enabled: bool
    disabled_reason: str | None
    failures: int
    opened_at: datetime | None
    held_until: datetime | None
    last_success_at: datetime | None
    last_failure_at: datetime | None
    last_reason: str | None
    last_error: str | None
    waiting: int
    oldest_waiting: datetime | None
    moment: datetime


class _TallyRow(msgspec.Struct, frozen=True):
    """The attempts of a channel with one outcome and duration, in the last hour and the last day."""

    channel_id: str
    outcome: OutcomeKind
    bucket: int
    of_hour: int
    of_day: int


class _Tally(msgspec.Struct):
    """The sums of a channel's tallies. `durations` counts the last hour's successes by bucket."""

    sent_in_hour: int = 0
    sent_in_day: int = 0
    all_in_hour: int = 0
    all_in_day: int = 0
    durations: dict[int, int] = msgspec.field(default_factory=dict)


async def of_channel(connection: AsyncConnection, channel_id: str, tenants: Tenants) -> ChannelHealth:
    """Return the health of one channel of the tenants.

    Raises:
        NotFound: there is none.
    """
    found = await of_channels(connection, [channel_id], tenants)
    if channel_id not in found:
        raise NotFound(f"there is no channel {channel_id!r}")
    return found[channel_id]


async def of_channels(
    connection: AsyncConnection, channel_ids: Sequence[str], tenants: Tenants
) -> dict[str, ChannelHealth]:
    """Return the health of the tenants' channels by id, in at most three statements; unknown ids are omitted."""
    wanted = {"ids": list(channel_ids)}
    read = [read_row(row, _ChannelRow) for row in await connection.execute(CHANNELS, wanted)]
    rows = [row for row in read if sees(tenants, row.tenant_id)]
    tallies: dict[str, _Tally] = {}
    for row in await connection.execute(TALLIES, wanted):
        counted = read_row(row, _TallyRow)
        _count(tallies.setdefault(counted.channel_id, _Tally()), counted)
    filtered = any(channel.severities for channel in rows)
    seen: dict[str | None, set[str]] = {}
    for row in await connection.execute(SEEN) if filtered else ():
        for tenant_id in (None, row.tenant_id):
            seen.setdefault(tenant_id, set()).add(row.severity)
    return {
        channel.id: _health(channel, tallies.get(channel.id, _Tally()), seen.get(channel.tenant_id, frozenset()))
        for channel in rows
    }


def _count(tally: _Tally, counted: _TallyRow) -> None:
    tally.all_in_hour += counted.of_hour
    tally.all_in_day += counted.of_day
    if counted.outcome is OutcomeKind.SENT:
        tally.sent_in_hour += counted.of_hour
        tally.sent_in_day += counted.of_day
        tally.durations[counted.bucket] = counted.of_hour


def _health(channel: _ChannelRow, tally: _Tally, seen: Set[str]) -> ChannelHealth:
    of_hour = rate(tally.sent_in_hour, tally.all_in_hour)
    return ChannelHealth(
        state=state_of(
            enabled=channel.enabled,
            breaker_open=channel.opened_at is not None,
            failures=channel.failures,
            success_rate=of_hour,
            attempts=tally.all_in_hour,
            oldest_age=_age(channel.oldest_waiting, channel.moment),
        ),
        disabled_reason=channel.disabled_reason,
        success_rate_1h=of_hour,
        success_rate_24h=rate(tally.sent_in_day, tally.all_in_day),
        latency_p50=quantile(tally.durations, 0.5),
        latency_p95=quantile(tally.durations, 0.95),
        consecutive_failures=channel.failures,
        open_since=channel.opened_at,
        held_until=channel.held_until,
        last_success_at=channel.last_success_at,
        last_failure_at=channel.last_failure_at,
        last_reason=channel.last_reason,
        last_error=channel.last_error,
        waiting=channel.waiting,
        oldest_waiting=channel.oldest_waiting,
        caveats=(
            *caveats_of_type(channel.channel_type),
            *caveats_of_matchers(channel.matchers),
            *caveats_of_severities(channel.severities, seen),
        ),
    )


def _age(since: datetime | None, moment: datetime) -> float | None:
    return None if since is None else (moment - since).total_seconds()


async def purge_tallies(connection: DriverConnection) -> None:
    """Delete tallies that are too old for any rate."""
    await PURGE_TALLIES.execute(connection)
