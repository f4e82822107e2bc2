"""Storage of what upkeep needs to know of silences: what they matched, and which end a reminder announced."""

from collections.abc import Collection
from datetime import datetime
from typing import Final

import msgspec

from relay.domain.history import Kind
from relay.domain.identity import RESERVED_SOURCE, series_identity
from relay.domain.notifications import rank_of
from relay.domain.series import EndReason
from relay.domain.silence_reminders import Reminder
from relay.domain.silences import Silence
from relay.store.configuration.silences import NOT_ENDED, silence_of
from relay.store.outbox.fragments import FIRING, PENDING, RESOLVED, wake_lanes
from relay.store.postgres.listen import WAKE_CHANNEL
from relay.store.postgres.statements import DriverConnection, Records, Statement

LOCK: Final = 0x53494C45
"""The advisory lock of the process that looks after the silences: "SILE" in ASCII."""


class Kept(msgspec.Struct, frozen=True):
    """A silence that has begun and needs upkeep.

    `matched_at` is when it last matched a firing alert, and `reminded_for` the end that its reminder announced.
    """

    silence: Silence
    matched_at: datetime | None
    reminded_for: datetime | None


class Announced(msgspec.Struct, frozen=True):
    """A silence whose end, which its reminder announced, has come or was changed."""

    id: str
    group_hash: int


TRY_LOCK: Final = Statement("SELECT pg_try_advisory_lock(:lock) AS taken")
UNLOCK: Final = Statement("SELECT pg_advisory_unlock(:lock)")

LOAD: Final = Statement(
    f"""
    SELECT s.id, s.body, s.matched_at, s.reminded_for FROM silences s
    WHERE s.starts_at <= :now AND {NOT_ENDED} AND (
      s.body ->> 'rrule' IS NOT NULL OR s.body ->> 'expires_if_unmatched_for' IS NOT NULL
      OR s.body ->> 'remind_before' IS NOT NULL OR s.body -> 'expire_when_resolved' = 'true'
    )
    """
)

# These columns are no part of the configuration: its version stays.
MATCHED: Final = Statement("UPDATE silences SET matched_at = :now WHERE id = ANY (:ids::text[])")

# The alert of a reminder is routed to one channel, and ignores silences, as a redelivery does.
REMIND: Final = Statement(
    f"""
    WITH
    reminded AS MATERIALIZED (
      UPDATE silences s SET reminded_for = :ends_at
      WHERE s.id = :silence_id AND s.reminded_for IS DISTINCT FROM :ends_at AND {NOT_ENDED}
      RETURNING s.id
    ),
    channel AS MATERIALIZED (
      SELECT c.id, c.tenant_id FROM channels c, reminded
      WHERE c.id = :channel_id AND (:tenant_id::text IS NULL OR c.tenant_id = :tenant_id)
    ),
    ids AS MATERIALIZED (
      SELECT nextval('alerts_id_seq') AS alert, nextval('receipts_id_seq') AS receipt FROM channel
    ),
    series_added AS (
      INSERT INTO series AS s (id, tenant_id, source, identity, labels, open_alert_id, reports, version)
      SELECT i.alert, coalesce(:tenant_id, ''), '{RESERVED_SOURCE}', :identity, :labels, i.alert, '[]', 1
      FROM ids i
      ON CONFLICT (identity, tenant_id, source) DO UPDATE
      SET open_alert_id = excluded.open_alert_id, version = s.version + 1
      RETURNING s.id
    ),
    alerts_added AS (
      INSERT INTO alerts (
        id, series_id, tenant_id, source, fingerprint, starts_at, status, alertname, severity, annotations,
        generator_url, first_received_at, last_received_at, group_hashes, receipt_id
      )
      OVERRIDING SYSTEM VALUE
      SELECT i.alert, s.id, coalesce(:tenant_id, ''), '{RESERVED_SOURCE}', :fingerprint, :now, {FIRING},
        :alertname, :severity, :annotations, '', :now, :now, ARRAY[:group_hash::bigint], i.receipt
      FROM ids i, series_added s
    ),
    receipts_added AS (
      INSERT INTO receipts (id, group_hash, group_key, receiver, status, received_at, body, alert_ids, source)
      OVERRIDING SYSTEM VALUE
      SELECT i.receipt, :group_hash::bigint, :group_key, '', {FIRING}, :now, :body, ARRAY[i.alert],
        '{RESERVED_SOURCE}'
      FROM ids i
    ),
    queued AS (
      INSERT INTO deliveries (
        receipt_id, channel_id, kind, group_hash, rank, state, created_at, waiting_since, next_attempt_at,
        redelivered_at, source, tenant_id
      )
      SELECT i.receipt, c.id, '{Kind.GROUP}', :group_hash::bigint, :rank::int, {PENDING}, now(), now(), now(),
        now(), '{RESERVED_SOURCE}', c.tenant_id
      FROM ids i, channel c
      RETURNING channel_id
    ),
    woken AS ({wake_lanes("SELECT channel_id FROM queued")} RETURNING channel_id)
    SELECT (SELECT count(*) FROM reminded) AS reminded, count(*) AS queued, pg_notify('{WAKE_CHANNEL}', '')
    FROM woken
    """
)

ANNOUNCED: Final = Statement(
    """
    SELECT id, reminded_for FROM silences
    WHERE reminded_for IS NOT NULL AND (ends_at <= now() OR ends_at <> reminded_for)
    """
)

RESOLVE: Final = Statement(
    f"""
    WITH
    announced AS MATERIALIZED (SELECT * FROM :announced AS t),
    resolved AS (
      UPDATE alerts a SET status = {RESOLVED}, end_reason = '{EndReason.RESOLVED}', ends_at = :now,
        resolved_received_at = :now, resolved_group_hashes = a.group_hashes
      WHERE a.end_reason IS NULL AND a.id = ANY (ARRAY(
        SELECT unnest(r.alert_ids) FROM announced t JOIN receipts r ON r.group_hash = t.group_hash
      ))
      RETURNING a.id, a.series_id
    ),
    closed AS (
      UPDATE series s SET open_alert_id = NULL, version = s.version + 1 FROM resolved r
      WHERE s.id = r.series_id AND s.open_alert_id = r.id
    )
    UPDATE silences s SET reminded_for = NULL FROM announced t WHERE s.id = t.id
    """,
    announced=Records(Announced, id="text", group_hash="bigint"),
)


async def try_lock(connection: DriverConnection) -> bool:
    """Take the lock that only one process has, until `unlock` or the end of the connection."""
    [row] = await TRY_LOCK.rows(connection, lock=LOCK)
    return bool(row["taken"])


async def unlock(connection: DriverConnection) -> None:
    """Release the lock."""
    await UNLOCK.rows(connection, lock=LOCK)


async def load(connection: DriverConnection, now: datetime) -> list[Kept]:
    """Return the silences that need upkeep."""
    rows = await LOAD.rows(connection, now=now)
    return [Kept(silence_of(row["id"], row["body"]), row["matched_at"], row["reminded_for"]) for row in rows]


async def matched(connection: DriverConnection, ids: Collection[str], now: datetime) -> None:
    """Store that silences match firing alerts now."""
    await MATCHED.execute(connection, ids=sorted(ids), now=now)


async def remind(
    connection: DriverConnection, silence: Silence, ends_at: datetime, reminder: Reminder, now: datetime
) -> tuple[bool, bool]:
    """Queue the reminder of an end, once.

    Returns:
        Whether this is the first one of the end, and whether it was queued: not if the channel was deleted, or has
        another tenant since.
    """
    alert = reminder.alert
    [row] = await REMIND.rows(
        connection,
        silence_id=silence.id,
        ends_at=ends_at,
        channel_id=silence.remind_channel_id,
        tenant_id=silence.tenant_id,
        identity=series_identity(alert),
        labels=_json(alert.labels),
        annotations=_json(alert.annotations),
        fingerprint=alert.fingerprint,
        alertname=alert.name,
        severity=alert.severity,
        group_hash=reminder.group_hash,
        group_key=reminder.group_key,
        body=reminder.body,
        rank=rank_of([alert]),
        now=now,
    )
    return bool(row["reminded"]), bool(row["queued"])


async def announced(connection: DriverConnection) -> list[tuple[str, datetime]]:
    """Return the silences whose end, which a reminder announced, has come or was changed, with that end."""
    return [(row["id"], row["reminded_for"]) for row in await ANNOUNCED.rows(connection)]


async def resolve(connection: DriverConnection, announced: list[Announced], now: datetime) -> None:
    """Resolve the alerts of reminders, so that there may be another one of a later end."""
    await RESOLVE.execute(connection, announced=announced, now=now)


def _json(texts: dict[str, str]) -> str:
    return msgspec.json.encode(texts).decode()
