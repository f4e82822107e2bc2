"""Release of what was held back: deliveries of what still fires after its suppression has ended."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

import msgspec

from relay.store.outbox.fragments import HOLDS, MERGED, PENDING, RELEASE, RESOLVED, SUPPRESSED, wake_lanes
from relay.store.postgres.statements import DriverConnection, JsonRecords, Query, Records, Statement

LOCK: Final = 0x52454C53
"""The advisory lock of the replica that releases: "RELS" in ASCII."""
GROUPS_AT_ONCE: Final = 500
"""Groups that one transaction releases: some hundred milliseconds."""


class _Name(msgspec.Struct, frozen=True):
    suppressor: str | None
    config_version: int


# The next name each time, on the index: there are few, however many deliveries they hold.
HOLDING: Final = Query(
    _Name,
    """
    WITH RECURSIVE held AS (
      (SELECT suppressor FROM held_deliveries ORDER BY suppressor LIMIT 1)
      UNION ALL
      SELECT (
        SELECT n.suppressor FROM held_deliveries n WHERE n.suppressor > held.suppressor
        ORDER BY n.suppressor LIMIT 1
      )
      FROM held WHERE held.suppressor IS NOT NULL
    )
    SELECT held.suppressor, v.version AS config_version FROM config_version v LEFT JOIN held ON true
    """,
)

ACKNOWLEDGED: Final = Statement(
    f"""
    SELECT k.alert_id FROM acknowledgements k JOIN alerts a ON a.id = k.alert_id
    WHERE k.alert_id = ANY (:alert_ids) AND {HOLDS} AND a.status <> {RESOLVED}
    """
)

CLOSE: Final = Statement(
    f"""
    UPDATE acknowledgements k SET ended_at = least(k.until, coalesce(a.resolved_received_at, a.ends_at, now()))
    FROM alerts a WHERE a.id = k.alert_id AND k.ended_at IS NULL AND a.status = {RESOLVED}
    """
)

TRY_LOCK: Final = Statement(f"SELECT pg_try_advisory_xact_lock({LOCK}) AS locked")


class Held(msgspec.Struct, frozen=True, kw_only=True):
    """A suppressed delivery whose alerts are to be sent. `target` is the channel that it was meant for."""

    id: int
    channel_id: str
    group_hash: int
    receipt_id: int
    source: str
    rank: int
    created_at: datetime
    target: str


# A fallback's delivery was meant for the first channel of the chain that still exists.
LOCK_HELD: Final = Query(
    Held,
    f"""
    WITH groups AS MATERIALIZED (
      SELECT DISTINCT channel_id, group_hash FROM held_deliveries WHERE suppressor = ANY (:ended)
      ORDER BY channel_id, group_hash LIMIT {GROUPS_AT_ONCE}
    ),
    held AS MATERIALIZED (
      SELECT DISTINCT h.delivery_id FROM groups g JOIN held_deliveries h USING (channel_id, group_hash)
    )
    SELECT d.id, d.channel_id, d.group_hash, d.receipt_id, d.source, d.rank, d.created_at, coalesce((
      WITH RECURSIVE replaced AS (
        SELECT o.channel_id, o.fallback_of, 1 AS depth FROM deliveries o WHERE o.id = d.fallback_of
        UNION SELECT o.channel_id, o.fallback_of, p.depth + 1
        FROM replaced p JOIN deliveries o ON o.id = p.fallback_of
      )
      SELECT p.channel_id FROM replaced p JOIN channels c ON c.id = p.channel_id ORDER BY p.depth DESC LIMIT 1
    ), d.channel_id) AS target
    FROM deliveries d
    WHERE d.state = {SUPPRESSED} AND d.id = ANY (ARRAY(SELECT delivery_id FROM held))
    ORDER BY d.id FOR UPDATE OF d
    """,
)


class Release(msgspec.Struct, frozen=True, kw_only=True):
    """A delivery to be added, of alerts of a group; `merged` are the suppressed deliveries that it replaces."""

    channel_id: str
    group_hash: int
    receipt_id: int
    source: str
    rank: int
    alert_ids: tuple[int, ...]
    merged: tuple[int, ...]


class Handled(msgspec.Struct, frozen=True):
    """A suppressed delivery that is no longer held, or is held by others now."""

    channel_id: str
    group_hash: int
    delivery_id: int
    suppressors: tuple[str, ...] = ()


class _Woken(msgspec.Struct, frozen=True):
    channel_id: str


ADD: Final = Query(
    _Woken,
    f"""
    WITH releases AS MATERIALIZED (SELECT nextval('deliveries_id_seq') AS id, r.* FROM :releases AS r),
    handled AS MATERIALIZED (SELECT h.* FROM :handled AS h),
    -- A channel may have been deleted meanwhile.
    woken AS ({wake_lanes("SELECT channel_id FROM releases")} RETURNING channel_id),
    merged AS (
      UPDATE deliveries d SET state = {MERGED}, merged_into = m.id
      FROM (SELECT r.id, unnest(r.merged) AS member FROM releases r JOIN woken USING (channel_id)) AS m
      WHERE d.state = {SUPPRESSED} AND d.id = ANY (ARRAY(SELECT unnest(merged) FROM releases)) AND d.id = m.member
    ),
    added AS (
      INSERT INTO deliveries (
        id, receipt_id, channel_id, kind, group_hash, source, tenant_id, rank, state, created_at, waiting_since,
        next_attempt_at, alert_ids
      )
      SELECT r.id, r.receipt_id, r.channel_id, {RELEASE}, r.group_hash, r.source, c.tenant_id, r.rank, {PENDING},
        now(), now(), now(), r.alert_ids
      FROM releases r JOIN woken USING (channel_id) JOIN channels c ON c.id = r.channel_id
      RETURNING channel_id
    ),
    let_go AS (
      DELETE FROM held_deliveries d USING handled h
      WHERE d.channel_id = h.channel_id AND d.group_hash = h.group_hash AND d.delivery_id = h.delivery_id
        AND (h.suppressors::text[] = '{{}}' OR d.suppressor = ANY (:ended))
        AND d.suppressor <> ALL (h.suppressors::text[])
    ),
    held_on AS (
      INSERT INTO held_deliveries (suppressor, channel_id, group_hash, delivery_id)
      SELECT k, h.channel_id, h.group_hash, h.delivery_id
      FROM handled h CROSS JOIN LATERAL unnest(h.suppressors::text[]) AS k
      ON CONFLICT DO NOTHING
    )
    SELECT DISTINCT channel_id FROM added
    """,
    releases=JsonRecords(
        Release,
        channel_id="text",
        group_hash="bigint",
        receipt_id="bigint",
        source="text",
        rank="int",
        alert_ids="bigint[]",
        merged="bigint[]",
    ),
    handled=Records(Handled, channel_id="text", group_hash="bigint", delivery_id="bigint", suppressors="text[]"),
)


async def holding(connection: DriverConnection) -> tuple[list[str], int]:
    """Return the names of all that holds deliveries back, and the version of the configuration."""
    rows = await HOLDING.fetch(connection)
    return [row.suppressor for row in rows if row.suppressor is not None], rows[0].config_version


async def acknowledged(connection: DriverConnection, alert_ids: Sequence[int]) -> frozenset[int]:
    """Return the alerts among these whose acknowledgement holds."""
    return frozenset(row["alert_id"] for row in await ACKNOWLEDGED.rows(connection, alert_ids=alert_ids))


async def lock_held(connection: DriverConnection, ended: Sequence[str]) -> list[Held]:
    """Lock what some groups hold back that one of the suppressors `ended` holds, in the caller's transaction.

    The result is empty if another replica releases now.
    """
    [row] = await TRY_LOCK.rows(connection)
    return await LOCK_HELD.fetch(connection, ended=ended) if row["locked"] else []


async def add(
    connection: DriverConnection, ended: Sequence[str], releases: Sequence[Release], handled: Sequence[Handled]
) -> set[str]:
    """Add deliveries in place of suppressed ones, and return the channels that have something to send."""
    rows = await ADD.fetch(connection, ended=ended, releases=releases, handled=handled)
    return {row.channel_id for row in rows}


async def close_acknowledgements(connection: DriverConnection) -> None:
    """End the acknowledgements of alerts that have ended."""
    await CLOSE.execute(connection)
