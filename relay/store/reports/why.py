"""What is stored about an alert and the channels that it could have been sent to."""

from collections.abc import Sequence
from itertools import groupby
from typing import Final

from relay.domain.channel_types import Filters
from relay.domain.errors import NotFound
from relay.domain.evidence import (
    AcknowledgementFacts,
    AlertFacts,
    DeliveryFacts,
    Evidence,
    ReceiptFacts,
    RepeatFacts,
    VersionFacts,
    Versions,
)
from relay.domain.principals import Tenants, sees
from relay.domain.suppression import SILENCE
from relay.domain.versions import Action, ObjectKind
from relay.store.postgres.statements import DriverConnection, Query
from relay.store.reports.history import MAX_TIMELINE

FIELDS: Final = [*Filters.__struct_fields__, "name"]
"""The fields of a channel that are read."""

ALERT: Final = Query(
    AlertFacts,
    """
    SELECT a.id, nullif(a.tenant_id, '') AS tenant_id, s.labels, a.first_received_at, a.last_received_at,
      a.resolved_received_at, a.group_hashes
    FROM alerts a JOIN series s ON s.id = a.series_id WHERE a.id = :alert_id
    """,
)

RECEIPTS: Final = Query(
    ReceiptFacts,
    f"""
    SELECT r.id, r.received_at, r.source, s.address AS sender, r.config_version,
      array_position(r.alert_ids, :alert_id::bigint) - 1 = ANY (r.late) AS late
    FROM receipts r LEFT JOIN senders s ON s.source = r.source AND s.hash = r.sender_hash
    WHERE r.group_hash = ANY (:group_hashes) AND r.received_at BETWEEN :first AND :last
      AND r.alert_ids @> ARRAY[:alert_id::bigint]
    ORDER BY r.received_at DESC, r.id DESC LIMIT {MAX_TIMELINE}
    """,
)

REPEATS: Final = Query(
    RepeatFacts,
    """
    SELECT p.receipt_id, s.address AS sender, p.count, p.last_received_at
    FROM repeats p JOIN receipts r ON r.id = p.receipt_id
    LEFT JOIN senders s ON s.source = r.source AND s.hash = p.sender_hash
    WHERE p.receipt_id = ANY (:receipt_ids) AND p.kind = 'duplicate'
    ORDER BY p.last_received_at, p.receipt_id, p.sender_hash
    """,
)

# What has alert_ids is about these; anything else about the alerts at its positions.
DELIVERIES: Final = Query(
    DeliveryFacts,
    """
    WITH RECURSIVE carried (id, merged_into, contains) AS (
      SELECT d.id, d.merged_into, true FROM deliveries d JOIN receipts r ON r.id = d.receipt_id
      WHERE d.receipt_id = ANY (:receipt_ids) AND (:channel_id::text IS NULL OR d.channel_id = :channel_id)
        AND CASE WHEN d.alert_ids IS NOT NULL THEN :alert_id::bigint = ANY (d.alert_ids)
          ELSE d.positions IS NULL OR array_position(r.alert_ids, :alert_id::bigint) - 1 = ANY (d.positions) END
      UNION
      SELECT d.id, d.merged_into, false FROM carried c JOIN deliveries d ON d.id = c.merged_into
    )
    SELECT d.id, d.receipt_id, d.channel_id, d.tenant_id, d.kind, d.state, d.attempt AS attempts, d.created_at,
      d.delivered_at, d.next_attempt_at, d.merged_into, d.fallback_of, d.last_reason, d.last_error,
      ARRAY(
        SELECT key FROM jsonb_each(d.suppressed_by) WHERE value @> to_jsonb(:alert_id::bigint) ORDER BY key
      ) AS suppressed_by,
      d.config_version, c.contains,
      :alert_id::bigint = ANY (d.withheld) OR coalesce(:alert_id::bigint <> ALL (d.alert_ids), false) AS omits
    FROM (SELECT id, bool_or(contains) AS contains FROM carried GROUP BY id) AS c
    JOIN deliveries d ON d.id = c.id ORDER BY d.id
    """,
)


def _is_later(version: str, at: str) -> str:
    """Whether the version `v` is later than a version of the configuration, or a time; see `Versions`."""
    return (
        f"(CASE WHEN v.config_version IS NULL OR {version}::bigint IS NULL THEN v.at > {at} "
        f"ELSE v.config_version > {version} END)"
    )


# The versions that were in force from the first to the last receipt, and the next one. The relay has disabled a
# channel if that is its last change of `enabled`.
CHANNELS: Final = Query(
    VersionFacts,
    f"""
    WITH bounds AS (
      SELECT v.object_id, max(v.number) FILTER (WHERE NOT {_is_later(":first_version", ":first_at")}) AS first,
        min(v.number) FILTER (WHERE {_is_later(":last_version", ":last_at")}) AS following
      FROM versions v
      WHERE v.kind = '{ObjectKind.CHANNEL}' AND (:channel_id::text IS NULL OR v.object_id = :channel_id)
      GROUP BY v.object_id
    )
    SELECT v.object_id, v.number, v.at, v.config_version, v.tenant_id,
      (SELECT jsonb_object_agg(key, value) FROM jsonb_each(v.body) WHERE key = ANY (:fields)) AS body,
      v.body ->> 'enabled' = 'false' AND (
        SELECT w.action = '{Action.DISABLED}' FROM versions w
        WHERE w.kind = v.kind AND w.object_id = v.object_id AND w.number <= v.number
          AND (w.action = '{Action.DISABLED}' OR w.changes ? 'enabled')
        ORDER BY w.number DESC LIMIT 1
      ) AS held
    FROM bounds b JOIN versions v ON v.kind = '{ObjectKind.CHANNEL}' AND v.object_id = b.object_id
      AND v.number >= coalesce(b.first, 0) AND (b.following IS NULL OR v.number <= greatest(b.first, b.following))
    ORDER BY v.object_id, v.number
    """,
)

SILENCES: Final = Query(
    VersionFacts,
    f"""
    SELECT v.object_id, v.number, v.at, v.config_version, v.tenant_id, v.body FROM versions v
    WHERE v.kind = '{ObjectKind.SILENCE}' AND v.object_id = ANY (:ids) ORDER BY v.object_id, v.number
    """,
)

ACKNOWLEDGEMENTS: Final = Query(
    AcknowledgementFacts,
    """
    SELECT author_name, comment, created_at FROM acknowledgements WHERE alert_id = :alert_id ORDER BY id
    """,
)


async def load(
    connection: DriverConnection, alert_id: int, tenants: Tenants, channel_id: str | None = None
) -> Evidence:
    """Return what is stored about an alert of the tenants, for one channel or for all.

    Raises:
        NotFound: there is no such alert.
    """
    alert = await ALERT.fetch_one(connection, alert_id=alert_id)
    if alert is None or not sees(tenants, alert.tenant_id):
        raise NotFound(f"there is no alert {alert_id} in the history")
    receipts = await RECEIPTS.fetch(
        connection,
        alert_id=alert_id,
        group_hashes=alert.group_hashes,
        first=alert.first_received_at,
        last=alert.last_received_at,
    )
    receipts.reverse()
    receipt_ids = [receipt.id for receipt in receipts]
    deliveries = await DELIVERIES.fetch(
        connection, alert_id=alert_id, receipt_ids=receipt_ids, channel_id=channel_id
    )
    named = {name for delivery in deliveries for name in delivery.suppressed_by if name.startswith(SILENCE)}
    return Evidence(
        alert=alert,
        receipts=receipts,
        repeats=await REPEATS.fetch(connection, receipt_ids=receipt_ids),
        deliveries=deliveries,
        channels=await _channels(connection, alert, receipts, channel_id),
        silences=_by_object(await SILENCES.fetch(connection, ids=[name.removeprefix(SILENCE) for name in named])),
        acknowledgements=await ACKNOWLEDGEMENTS.fetch(connection, alert_id=alert_id),
    )


async def _channels(
    connection: DriverConnection, alert: AlertFacts, receipts: Sequence[ReceiptFacts], channel_id: str | None
) -> dict[str, Versions]:
    """The versions of channels that were in force from the first to the last receipt."""
    return _by_object(
        await CHANNELS.fetch(
            connection,
            first_version=receipts[0].config_version if receipts else None,
            first_at=receipts[0].received_at if receipts else alert.first_received_at,
            last_version=receipts[-1].config_version if receipts else None,
            last_at=receipts[-1].received_at if receipts else alert.last_received_at,
            channel_id=channel_id,
            fields=FIELDS,
        )
    )


def _by_object(versions: Sequence[VersionFacts]) -> dict[str, Versions]:
    return {name: Versions(list(found)) for name, found in groupby(versions, key=lambda one: one.object_id)}
