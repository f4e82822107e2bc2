"""Suppression of deliveries: the alerts of a message as they are now, and what is held back of it."""

from collections.abc import Collection, Sequence
from typing import Final

import msgspec

from relay.domain.history import Kind
from relay.domain.suppression import Judged
from relay.store.outbox.fragments import (
    ALERTS_OF_NODE,
    HOLDS,
    IS_NO_REFRESH,
    PENDING,
    QUIET,
    RESOLVED,
    SENDING,
    SUPPRESSED,
    content_tree,
)
from relay.store.postgres.statements import DriverConnection, JsonRecords, Query, Statement

SETTINGS: Final = {"enable_seqscan": "off"}
"""Every look-up has its index: a plan that was made while a table was empty would scan it when it is large."""
SCREENED_AT_ONCE: Final = 500
"""Pending deliveries that are looked at together."""

ACKNOWLEDGED_NOW: Final = f"""EXISTS (
  SELECT FROM acknowledgements k
  WHERE k.alert_id = a.id AND {HOLDS} AND a.status <> {RESOLVED}
)"""
"""Whether an acknowledgement of the alert `a` holds."""

# The channels in whose place the message contains a node.
_VIA: Final = """
  WITH RECURSIVE replaced AS (
    SELECT o.id, o.channel_id, o.fallback_of FROM deliveries o WHERE o.id = t.in_place_of
    UNION SELECT o.id, o.channel_id, o.fallback_of FROM replaced p JOIN deliveries o ON o.id = p.fallback_of
  ) SELECT coalesce(array_agg(DISTINCT channel_id), '{}') FROM replaced
"""


class _Row(Judged, frozen=True, kw_only=True):
    """An alert of a message, with the version of the configuration."""

    config_version: int


JUDGE: Final = Query(
    _Row,
    f"""
    WITH RECURSIVE {content_tree("deliveries d WHERE d.id = ANY (:delivery_ids)")},
    listed AS (
      SELECT t.root, listed.id AS alert_id, d.group_hash, max(t.receipt_id) AS receipt_id, max(d.source) AS source,
        bool_or(t.redelivered) AS redelivered, array_agg(DISTINCT via.channel_id) AS via,
        bool_or(t.in_place_of IS NULL) AS is_own, max(t.in_place_of) AS in_place_of
      FROM content t JOIN receipts r ON r.id = t.receipt_id JOIN deliveries d ON d.id = t.id
      CROSS JOIN LATERAL unnest({ALERTS_OF_NODE}) AS listed (id)
      LEFT JOIN LATERAL unnest(({_VIA})) AS via (channel_id) ON true
      WHERE listed.id <> ALL (t.withheld)
      GROUP BY 1, 2, 3
    )
    SELECT l.root AS delivery_id, l.alert_id, d.channel_id, l.group_hash, l.receipt_id, l.source, s.labels,
      a.status = {RESOLVED} AS resolved, {ACKNOWLEDGED_NOW} AS acknowledged, l.redelivered,
      CASE WHEN l.is_own THEN '{{}}' ELSE array_remove(l.via, NULL) END AS via,
      CASE WHEN NOT l.is_own THEN l.in_place_of END AS in_place_of,
      ARRAY(
        SELECT DISTINCT k FROM deliveries h CROSS JOIN LATERAL jsonb_object_keys(h.suppressed_by) AS k
        WHERE h.channel_id = ANY (d.channel_id || array_remove(l.via, NULL))
          AND h.group_hash = ANY (a.group_hashes)
          AND h.alert_ids @> ARRAY[a.id] AND h.suppressed_by IS NOT NULL AND h.id <> d.id
          AND a.status = {RESOLVED}
      ) AS held_by,
      (SELECT version FROM config_version) AS config_version
    FROM listed l JOIN deliveries d ON d.id = l.root JOIN alerts a ON a.id = l.alert_id
    JOIN series s ON s.id = a.series_id
    ORDER BY l.root, l.alert_id
    """,
)


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """What is held back of a delivery. `attempt` is its number, so that another worker's is not changed.

    `whole`: nothing is left of it. Then it is suppressed itself; if `is_held`, what still fires is sent when that
    ends. A digest is suppressed without being held: its groups are.
    """

    delivery_id: int
    attempt: int
    whole: bool
    is_held: bool
    alert_ids: tuple[int, ...]
    suppressed_by: dict[str, list[int]]


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """A delivery that is added for what is held back of the delivery `delivery_id`: alerts of one group."""

    delivery_id: int
    receipt_id: int
    group_hash: int
    source: str
    fallback_of: int | None
    is_held: bool
    alert_ids: tuple[int, ...]
    suppressed_by: dict[str, list[int]]


class _Changed(msgspec.Struct, frozen=True):
    id: int


_CHANGED: Final = f"""
  UPDATE deliveries d SET
    state = CASE WHEN c.whole THEN {SUPPRESSED} ELSE d.state END,
    attempt = CASE WHEN c.whole AND d.state = {SENDING} THEN d.attempt - 1 ELSE d.attempt END,
    next_attempt_at = CASE WHEN c.whole THEN NULL ELSE d.next_attempt_at END,
    withheld = CASE WHEN c.whole THEN d.withheld ELSE d.withheld || c.alert_ids END,
    alert_ids = CASE WHEN c.whole THEN c.alert_ids ELSE d.alert_ids END,
    suppressed_by = CASE WHEN c.whole THEN c.suppressed_by ELSE d.suppressed_by END,
    config_version = CASE WHEN c.whole THEN :config_version::bigint ELSE d.config_version END
  FROM changes c
  WHERE d.id = ANY (ARRAY(SELECT delivery_id FROM changes)) AND d.id = c.delivery_id
    AND d.state IN ({PENDING}, {SENDING}) AND d.attempt = c.attempt
  RETURNING d.*, c.whole, c.is_held, c.attempt AS attempt_before
"""

HOLD: Final = Query(
    _Changed,
    f"""
    WITH changes AS MATERIALIZED (SELECT c.* FROM :changes AS c),
    parts AS MATERIALIZED (SELECT nextval('deliveries_id_seq') AS id, p.* FROM :parts AS p),
    changed AS ({_CHANGED}),
    added AS (
      INSERT INTO deliveries (
        id, receipt_id, channel_id, group_hash, source, tenant_id, rank, state, created_at, waiting_since,
        fallback_of, alert_ids, suppressed_by, config_version
      )
      SELECT p.id, p.receipt_id, d.channel_id, p.group_hash, p.source, d.tenant_id, d.rank, {SUPPRESSED}, now(),
        d.waiting_since, p.fallback_of, p.alert_ids, p.suppressed_by, :config_version::bigint
      FROM parts p JOIN changed d ON d.id = p.delivery_id
    ),
    held AS (
      INSERT INTO held_deliveries (suppressor, channel_id, group_hash, delivery_id)
      SELECT k, d.channel_id, p.group_hash, p.id
      FROM parts p JOIN changed d ON d.id = p.delivery_id
      CROSS JOIN LATERAL jsonb_object_keys(p.suppressed_by) AS k
      WHERE p.is_held
      UNION ALL
      SELECT k, d.channel_id, d.group_hash, d.id
      FROM changed d CROSS JOIN LATERAL jsonb_object_keys(d.suppressed_by) AS k WHERE d.whole AND d.is_held
    ),
    -- The claim took a token for each.
    refunded AS (
      UPDATE lanes l SET tokens = l.tokens + w.count
      FROM (
        SELECT channel_id, count(*) FROM changed WHERE whole AND attempt < attempt_before GROUP BY 1
      ) AS w
      WHERE l.channel_id = w.channel_id AND l.tokens IS NOT NULL
    )
    SELECT id FROM changed
    """,
    changes=JsonRecords(
        Change,
        delivery_id="bigint",
        attempt="int",
        whole="boolean",
        is_held="boolean",
        alert_ids="bigint[]",
        suppressed_by="jsonb",
    ),
    parts=JsonRecords(
        Part,
        delivery_id="bigint",
        receipt_id="bigint",
        group_hash="bigint",
        source="text",
        fallback_of="bigint",
        is_held="boolean",
        alert_ids="bigint[]",
        suppressed_by="jsonb",
    ),
)


IS_QUIET: Final = Statement(f"SELECT {QUIET} AS quiet")


class Waiting(msgspec.Struct, frozen=True):
    """A pending delivery."""

    id: int
    kind: Kind
    attempt: int
    rank: int


WAITING: Final = Query(
    Waiting,
    f"""
    SELECT id, kind, attempt, rank FROM deliveries d
    WHERE d.channel_id = :channel_id AND d.state = {PENDING} AND {IS_NO_REFRESH}
      AND (d.rank, d.id) > (:rank::int, :after::bigint)
    ORDER BY d.rank, d.id LIMIT {SCREENED_AT_ONCE}
    """,
)

CHANNEL_TENANTS: Final = Statement("SELECT id, tenant_id FROM channels WHERE id = ANY (:channel_ids)")


async def judged(connection: DriverConnection, delivery_ids: Sequence[int]) -> tuple[list[Judged], int]:
    """Return the alerts that the messages of deliveries contain, and the version of the configuration.

    An alert that a message contains for several groups is listed for each.
    """
    rows = await JUDGE.fetch(connection, delivery_ids=delivery_ids)
    return list(rows), max((row.config_version for row in rows), default=0)


async def hold(
    connection: DriverConnection, config_version: int, changes: Sequence[Change], parts: Sequence[Part]
) -> frozenset[int]:
    """Hold back what is suppressed, and return the deliveries that were changed: others have another state now."""
    rows = await HOLD.fetch(connection, changes=changes, parts=parts, config_version=config_version)
    return frozenset(row.id for row in rows)


async def tenants_of(connection: DriverConnection, channel_ids: Collection[str]) -> dict[str, str | None]:
    """Return the tenants of channels; a deleted one is missing."""
    rows = await CHANNEL_TENANTS.rows(connection, channel_ids=sorted(channel_ids))
    return {row["id"]: row["tenant_id"] for row in rows}


async def is_quiet(connection: DriverConnection) -> bool:
    """Whether nothing can be suppressed now."""
    [row] = await IS_QUIET.rows(connection)
    return bool(row["quiet"])


async def waiting(connection: DriverConnection, channel_id: str, after: Waiting | None) -> list[Waiting]:
    """Return pending deliveries of a channel in the order of their rank, starting after `after`."""
    rank, last = (-1, 0) if after is None else (after.rank, after.id)
    return await WAITING.fetch(connection, channel_id=channel_id, rank=rank, after=last)
