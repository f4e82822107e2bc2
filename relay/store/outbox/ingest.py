"""Ingest: one statement reads what is stored of a batch's groups and series, and one writes the batch.

No lock is held in between. The write checks that all that was read is still current; otherwise nothing is written,
and the batch is decided again.
"""

from collections.abc import Sequence
from typing import Final

import msgspec

from relay.store.outbox.fragments import FIRING, PENDING, RESOLVED, SUPPRESSED, wake_lanes
from relay.store.outbox.ingest_rows import (
    KEYS,
    MAX_OCCURRENCES,
    RECORDS,
    BatchRows,
    FreshIds,
    SeriesKey,
    StoredState,
)
from relay.store.postgres.statements import DriverConnection, Query, Statement

SENDER_SEEN_EVERY: Final = "1 minute"
"""How often the time when a sender was last seen is stored."""

_decoder: Final = msgspec.json.Decoder(StoredState)

_OCCURRENCE: Final = """
  SELECT a.id, a.series_id, a.source, a.starts_at, a.first_received_at, a.last_received_at, a.ends_at,
    a.end_reason, a.resolved_received_at, a.resolved_by, a.resolved_group_hashes AS resolved_groups,
    a.group_hashes AS groups, a.receipt_id, a.adopted
  FROM alerts a
"""

# The open occurrence, whenever it began, and the last ones that have ended.
_OCCURRENCES: Final = f"""
  {_OCCURRENCE} WHERE a.id = s.open_alert_id
  UNION ALL (
    {_OCCURRENCE} WHERE a.series_id = s.id AND a.end_reason IS NOT NULL
    ORDER BY a.starts_at DESC, a.id DESC LIMIT {MAX_OCCURRENCES}
  )
"""

# A sub-select with a limit is looked up in the index for each key, also when the planner expects a small table.
LOAD: Final = Statement(
    f"""
    SELECT json_build_object(
      'groups', (
        SELECT coalesce(json_agg(json_build_object(
          'group_hash', group_hash, 'seq', version, 'version', version, 'senders', senders
        )), '[]') FROM group_states WHERE group_hash = ANY (:group_hashes::bigint[])
      ),
      'series', (
        SELECT coalesce(json_agg(json_build_object(
          'id', s.id, 'tenant_id', s.tenant_id, 'source', s.source, 'identity', encode(s.identity, 'base64'),
          'version', s.version, 'reports', s.reports,
          'occurrences', (SELECT coalesce(json_agg(o), '[]') FROM ({_OCCURRENCES}) AS o)
        )), '[]')
        FROM :keys AS k CROSS JOIN LATERAL (
          SELECT * FROM series s
          WHERE s.tenant_id = k.tenant_id AND s.source = k.source AND s.identity = k.identity LIMIT 1
        ) AS s
      ),
      'alert_ids', ARRAY(SELECT nextval('alerts_id_seq') FROM generate_series(1, :alerts::int)),
      'receipt_ids', ARRAY(SELECT nextval('receipts_id_seq') FROM generate_series(1, :receipts::int))
    )::text AS state
    """,
    keys=KEYS,
)

_CURRENT_GROUPS: Final = """
  SELECT s.group_hash FROM group_rows r CROSS JOIN LATERAL (
    SELECT * FROM group_states g WHERE g.group_hash = r.group_hash AND g.version = r.expected FOR NO KEY UPDATE
  ) AS s WHERE r.expected IS NOT NULL
"""

_CURRENT_SERIES: Final = """
  SELECT s.id FROM series_rows r CROSS JOIN LATERAL (
    SELECT * FROM series s WHERE s.id = r.id AND s.version = r.expected FOR NO KEY UPDATE
  ) AS s WHERE r.expected IS NOT NULL
"""

_KNOWN_GROUPS: Final = """
  SELECT FROM group_rows r CROSS JOIN LATERAL (
    SELECT FROM group_states g WHERE g.group_hash = r.group_hash LIMIT 1
  ) AS known WHERE r.expected IS NULL
"""

_KNOWN_SERIES: Final = """
  SELECT FROM series_rows r CROSS JOIN LATERAL (
    SELECT FROM series s
    WHERE s.identity = decode(r.identity, 'base64') AND s.tenant_id = r.tenant_id AND s.source = r.source LIMIT 1
  ) AS known WHERE r.expected IS NULL
"""

# Series that were looked up for adoption and are not written.
_CHANGED_UNSOURCED: Final = """
  SELECT FROM :unsourced AS r WHERE r.expected IS DISTINCT FROM (
    SELECT s.version FROM series s
    WHERE s.identity = r.identity AND s.tenant_id = r.tenant_id AND s.source = r.source LIMIT 1
  )
"""

_ADD_SERIES: Final = """
  INSERT INTO series (id, tenant_id, source, identity, labels, open_alert_id, reports, version)
  SELECT r.id, r.tenant_id, r.source, decode(r.identity, 'base64'), r.labels, r.open_alert_id, r.reports, 1
  FROM series_rows r CROSS JOIN current WHERE r.expected IS NULL
"""

_CHANGE_SERIES: Final = """
  UPDATE series s SET open_alert_id = r.open_alert_id, reports = r.reports, version = s.version + 1
  FROM series_rows r CROSS JOIN current
  WHERE s.id = r.id AND s.id = ANY (ARRAY(SELECT id FROM series_rows WHERE expected IS NOT NULL))
"""

_STATUS: Final = f"CASE WHEN r.end_reason IS NULL THEN {FIRING} ELSE {RESOLVED} END"
_HASHES: Final = "r.group_hashes, coalesce(r.resolved_group_hashes, '{}')"

_ADD_ALERTS: Final = f"""
  INSERT INTO alerts (
    id, series_id, tenant_id, source, fingerprint, starts_at, status, alertname, severity, category, annotations,
    ends_at, end_reason, generator_url, first_received_at, last_received_at, resolved_received_at, resolved_by,
    group_hashes, resolved_group_hashes, receipt_id, adopted, routed
  )
  OVERRIDING SYSTEM VALUE
  SELECT r.id, r.series_id, r.tenant_id, r.source, r.fingerprint, r.starts_at, {_STATUS}, r.alertname, r.severity,
    r.category, r.annotations, r.ends_at, r.end_reason, r.generator_url, r.first_received_at,
    coalesce(r.last_received_at, r.first_received_at), r.resolved_received_at, r.resolved_by, {_HASHES},
    r.receipt_id, r.adopted, coalesce(r.routed, true)
  FROM alert_rows r CROSS JOIN current WHERE r.first_received_at IS NOT NULL
"""

_CHANGE_ALERTS: Final = f"""
  UPDATE alerts a SET
    series_id = r.series_id, source = r.source, starts_at = r.starts_at, status = {_STATUS},
    annotations = coalesce(r.annotations, a.annotations), ends_at = r.ends_at, end_reason = r.end_reason,
    generator_url = coalesce(r.generator_url, a.generator_url), last_received_at = r.last_received_at,
    resolved_received_at = r.resolved_received_at, resolved_by = r.resolved_by,
    (group_hashes, resolved_group_hashes) = ROW ({_HASHES}), receipt_id = r.receipt_id, adopted = r.adopted,
    routed = coalesce(r.routed, a.routed)
  FROM alert_rows r CROSS JOIN current
  WHERE a.id = r.id AND a.id = ANY (ARRAY(SELECT id FROM alert_rows WHERE first_received_at IS NULL))
"""

_ADD_GROUPS: Final = """
  INSERT INTO group_states (group_hash, version, senders, updated_at)
  SELECT r.group_hash, r.version, r.senders, r.updated_at
  FROM group_rows r CROSS JOIN current WHERE r.expected IS NULL
"""

_CHANGE_GROUPS: Final = """
  UPDATE group_states g SET version = r.version, senders = r.senders, updated_at = r.updated_at
  FROM group_rows r CROSS JOIN current
  WHERE g.group_hash = r.group_hash
    AND g.group_hash = ANY (ARRAY(SELECT group_hash FROM group_rows WHERE expected IS NOT NULL))
"""

_ADD_RECEIPTS: Final = """
  INSERT INTO receipts (
    id, group_hash, group_key, receiver, status, received_at, body, alert_ids, source, sender_hash, adopted, late,
    config_version
  )
  OVERRIDING SYSTEM VALUE
  SELECT r.id, r.group_hash, r.group_key, r.receiver, r.status, r.received_at, r.body, r.alert_ids::bigint[],
    r.source, r.sender_hash, r.adopted, r.late::int[], r.config_version
  FROM :receipts AS r CROSS JOIN current
"""

_QUEUE: Final = f"""
  INSERT INTO deliveries (
    receipt_id, channel_id, group_hash, source, tenant_id, positions, rank, state, created_at, waiting_since,
    next_attempt_at
  )
  SELECT r.receipt_id, r.channel_id, r.group_hash, r.source, r.tenant_id, r.positions::int[], r.rank, {PENDING},
    now(), now(), now()
  FROM :deliveries WITH ORDINALITY AS r CROSS JOIN current ORDER BY r.ordinality
  RETURNING channel_id
"""

_SUPPRESS: Final = f"""
  INSERT INTO deliveries (
    id, receipt_id, channel_id, group_hash, source, tenant_id, rank, state, created_at, waiting_since, alert_ids,
    suppressed_by, config_version
  )
  SELECT r.id, r.receipt_id, r.channel_id, r.group_hash, r.source, r.tenant_id, r.rank, {SUPPRESSED}, now(), now(),
    r.alert_ids, r.suppressed_by, r.config_version
  FROM suppressed_rows r CROSS JOIN current
"""

_HOLD: Final = """
  INSERT INTO held_deliveries (suppressor, channel_id, group_hash, delivery_id)
  SELECT k, r.channel_id, r.group_hash, r.id
  FROM suppressed_rows r CROSS JOIN current CROSS JOIN LATERAL jsonb_object_keys(r.suppressed_by) AS k
"""

_COUNT_REPEATS: Final = """
  INSERT INTO repeats AS p (receipt_id, sender_hash, kind, count, first_received_at, last_received_at)
  SELECT r.receipt_id, r.sender_hash, r.kind, r.count, r.received_at, r.received_at
  FROM :repeats WITH ORDINALITY AS r CROSS JOIN current ORDER BY r.ordinality
  ON CONFLICT (receipt_id, sender_hash, kind) DO UPDATE SET
    count = p.count + excluded.count, last_received_at = excluded.last_received_at
"""

_SEE_SENDERS: Final = f"""
  INSERT INTO senders AS s (source, hash, external_url, address, first_seen_at, last_seen_at)
  SELECT r.source, r.hash, r.external_url, r.address, r.seen_at, r.seen_at
  FROM :senders WITH ORDINALITY AS r CROSS JOIN current
  WHERE NOT EXISTS (
    SELECT FROM senders s WHERE s.source = r.source AND s.hash = r.hash
      AND s.last_seen_at > r.seen_at - interval '{SENDER_SEEN_EVERY}'
  )
  ORDER BY r.ordinality
  ON CONFLICT (source, hash) DO UPDATE SET last_seen_at = greatest(s.last_seen_at, excluded.last_seen_at)
"""

# Rows are locked in a fixed order everywhere, so that two processes can't deadlock. A new group or series that
# another process has added meanwhile violates a unique constraint, which undoes the statement.
_INGEST: Final = f"""
    group_rows AS MATERIALIZED (SELECT r.* FROM config, :groups AS r),
    series_rows AS MATERIALIZED (SELECT r.* FROM config, :series AS r),
    alert_rows AS MATERIALIZED (SELECT r.* FROM config, :alerts AS r),
    -- Lock what the batch builds on. Everything depends on this row: there is none if anything has another version
    -- by now, or if anything exists that the batch takes for new.
    current_groups AS MATERIALIZED ({_CURRENT_GROUPS}),
    current_series AS MATERIALIZED ({_CURRENT_SERIES}),
    current AS MATERIALIZED (
      SELECT 1 AS written FROM config
      WHERE (SELECT count(*) FROM current_groups) = (SELECT count(expected) FROM group_rows)
        AND (SELECT count(*) FROM current_series) = (SELECT count(expected) FROM series_rows)
        AND NOT EXISTS ({_KNOWN_GROUPS}) AND NOT EXISTS ({_KNOWN_SERIES})
        AND NOT EXISTS ({_CHANGED_UNSOURCED})
    ),
    groups_added AS ({_ADD_GROUPS}),
    groups_changed AS ({_CHANGE_GROUPS}),
    series_added AS ({_ADD_SERIES}),
    series_changed AS ({_CHANGE_SERIES}),
    alerts_added AS ({_ADD_ALERTS}),
    alerts_changed AS ({_CHANGE_ALERTS}),
    receipts_added AS ({_ADD_RECEIPTS}),
    repeats_counted AS ({_COUNT_REPEATS}),
    senders_seen AS ({_SEE_SENDERS}),
    -- Queue the deliveries, and wake their lanes.
    queued AS ({_QUEUE}),
    woken AS ({wake_lanes("SELECT channel_id FROM queued")}),
    -- Store what is suppressed, and what it waits for.
    suppressed_rows AS MATERIALIZED (
      SELECT nextval('deliveries_id_seq') AS id, r.* FROM config, :suppressed AS r
    ),
    suppressed AS ({_SUPPRESS}),
    held AS ({_HOLD})
    SELECT
      ARRAY(SELECT nextval('alerts_id_seq') FROM generate_series(1, :next_alerts::int)) AS alert_ids,
      ARRAY(SELECT nextval('receipts_id_seq') FROM generate_series(1, :next_receipts::int)) AS receipt_ids
    FROM current
"""
# FOR SHARE lets no change of the configuration be committed before this statement is.
INGEST: Final = Query(
    FreshIds,
    "WITH config AS MATERIALIZED (SELECT version FROM config_version WHERE version = :version FOR SHARE),"
    + _INGEST,
    **RECORDS,
)
INGEST_PART: Final = Query(FreshIds, "WITH config AS MATERIALIZED (SELECT)," + _INGEST, **RECORDS)


async def load(
    connection: DriverConnection,
    group_hashes: Sequence[int],
    keys: Sequence[SeriesKey],
    alerts: int,
    webhooks: int,
) -> StoredState:
    """What is stored of groups and series, and ids for so many new alerts and webhooks."""
    [row] = await LOAD.rows(connection, group_hashes=group_hashes, keys=keys, alerts=alerts, receipts=webhooks)
    return _decoder.decode(row["state"])


async def write(
    connection: DriverConnection, version: int | None, batch: BatchRows, alerts: int = 0, webhooks: int = 0
) -> FreshIds | None:
    """Write a batch, by itself in one implicit transaction; it is durable when this returns.

    Without `version`, it is a part that is not routed, in a transaction of the caller.

    Returns:
        Ids for so many alerts and webhooks of a later batch; or None, if the configuration is no longer at
        `version`, or what the batch builds on has changed: then nothing was written.

    Raises:
        UniqueViolationError: another process has added one of the groups or series; nothing was written.
    """
    rows = {name: getattr(batch, name) for name in batch.__struct_fields__}
    ids = {"next_alerts": alerts, "next_receipts": webhooks}
    if version is None:
        return await INGEST_PART.fetch_one(connection, **ids, **rows)
    return await INGEST.fetch_one(connection, version=version, **ids, **rows)
