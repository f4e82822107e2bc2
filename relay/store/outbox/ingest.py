"""Ingest: a batch of webhooks, written in one statement."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final

import msgspec

from relay.store.outbox.fragments import PENDING, RESOLVED, wake_lanes
from relay.store.postgres.statements import DriverConnection, Query, Records, Statement

MAX_INDEXED_TEXT: Final = 255
"""Characters of the columns that are searched and indexed; the labels have the whole text."""


class AlertRow(msgspec.Struct, frozen=True):
    """An occurrence of an alert, in its state after the batch. `labels` and `annotations` are JSON text."""

    tenant_id: str
    fingerprint: str
    starts_at: datetime
    status: str
    alertname: str
    severity: str | None
    category: str | None
    labels: str
    annotations: str
    ends_at: datetime | None
    generator_url: str
    group_hashes: tuple[int, ...]


class DeliveryRow(msgspec.Struct, frozen=True):
    """A notification of one webhook for one channel. `positions` is None for all alerts.

    `rank` is its place in the queue, 0 for the most urgent.
    """

    channel_id: str
    positions: tuple[int, ...] | None
    rank: int


class WebhookRow(msgspec.Struct, frozen=True):
    """One webhook of the batch. `alerts` has, in the body's order, indices into the batch's alerts.

    `firing` has for each of them whether this webhook reports it as firing.
    """

    state_hash: bytes
    group_hash: int
    group_key: str
    receiver: str
    status: str
    body: bytes
    alerts: tuple[int, ...]
    firing: tuple[bool, ...]
    deliveries: tuple[DeliveryRow, ...]


class IngestResult(msgspec.Struct, frozen=True):
    """The result for one webhook. `late` counts firing reports of alerts that had been resolved before."""

    duplicate: bool
    late: int
    notifications: int


class _ReportRow(msgspec.Struct, frozen=True):
    """An alert at a position of a webhook. Webhooks and alerts are counted from 1, as ORDINALITY does."""

    webhook: int
    position: int
    alert: int
    firing: bool


class _RoutedRow(msgspec.Struct, frozen=True):
    """A delivery and the number of its webhook, counted from 1."""

    webhook: int
    channel_id: str
    positions: tuple[int, ...] | None
    rank: int


_RESOLVED_RECENTLY: Final = "a.resolved_received_at > :received_at - :window::interval"
"""Whether the stored alert `a` was resolved within the window."""

# A resolved alert stays resolved when a report that it fires comes within the window after that: the report is
# late, and is not delivered. After the window the alert fires again: Prometheus keeps startsAt when it was cut off
# from Alertmanager for so long that the alert was considered resolved meanwhile.
_STORED: Final = f"""
  INSERT INTO alerts AS a (
    tenant_id, fingerprint, starts_at, status, alertname, severity, category, labels, annotations, ends_at,
    generator_url, first_received_at, last_received_at, resolved_received_at, group_hashes
  )
  SELECT
    tenant_id, fingerprint, starts_at, status, alertname, severity, category, labels::jsonb, annotations::jsonb,
    ends_at, generator_url, :received_at, :received_at,
    CASE WHEN status = {RESOLVED} THEN :received_at::timestamptz END, group_hashes::bigint[]
  FROM incoming ORDER BY ordinality
  ON CONFLICT (tenant_id, fingerprint, starts_at) DO UPDATE SET
    status = CASE WHEN {_RESOLVED_RECENTLY} THEN a.status ELSE excluded.status END,
    annotations = CASE WHEN {_RESOLVED_RECENTLY} THEN a.annotations ELSE excluded.annotations END,
    ends_at = CASE WHEN a.status = {RESOLVED} AND (
      excluded.status = {RESOLVED} OR {_RESOLVED_RECENTLY}
    ) THEN a.ends_at ELSE excluded.ends_at END,
    generator_url = excluded.generator_url,
    first_received_at = least(a.first_received_at, excluded.first_received_at),
    last_received_at = greatest(a.last_received_at, excluded.last_received_at),
    resolved_received_at = CASE WHEN {_RESOLVED_RECENTLY} OR excluded.status = {RESOLVED}
      THEN coalesce(a.resolved_received_at, excluded.resolved_received_at) END,
    group_hashes = CASE WHEN a.group_hashes @> excluded.group_hashes THEN a.group_hashes
      ELSE ARRAY(SELECT DISTINCT unnest(a.group_hashes || excluded.group_hashes)) END
  RETURNING a.id, a.tenant_id, a.fingerprint, a.starts_at,
    a.resolved_received_at <> :received_at AND {_RESOLVED_RECENTLY} AS was_resolved
"""

_ACCEPTED: Final = """
  INSERT INTO group_states AS g (state_hash, accepted_at)
  SELECT state_hash, :received_at FROM webhooks ORDER BY state_hash
  ON CONFLICT (state_hash) DO UPDATE SET accepted_at = excluded.accepted_at
  WHERE g.accepted_at <= excluded.accepted_at - :window::interval
  RETURNING state_hash
"""

_CONTENTS: Final = """
  SELECT r.webhook, array_agg(known.id ORDER BY r.position) AS alert_ids,
    coalesce(array_agg(r.position) FILTER (WHERE r.firing AND known.was_resolved), '{}') AS late
  FROM :reports AS r JOIN known USING (alert) GROUP BY r.webhook
"""

_RECEIPTS: Final = """
  INSERT INTO receipts (state_hash, group_hash, group_key, receiver, status, received_at, body, alert_ids)
  SELECT state_hash, group_hash, group_key, receiver, status, :received_at, body, alert_ids
  FROM webhooks JOIN accepted USING (state_hash) JOIN contents USING (webhook) ORDER BY webhook
  RETURNING id, state_hash
"""

_ROUTED: Final = """
  SELECT r.ordinality, r.channel_id, r.rank, webhooks.group_hash, receipts_added.id AS receipt_id,
    CASE WHEN contents.late = '{}' THEN r.positions::int[] ELSE ARRAY(
      SELECT position FROM unnest(
        coalesce(r.positions::int[], ARRAY(SELECT generate_series(0, cardinality(contents.alert_ids) - 1)))
      ) AS position WHERE position <> ALL (contents.late)
    ) END AS positions
  FROM :deliveries WITH ORDINALITY AS r
  JOIN webhooks USING (webhook) JOIN receipts_added USING (state_hash) JOIN contents USING (webhook)
"""

_QUEUED: Final = f"""
  INSERT INTO deliveries (
    receipt_id, channel_id, group_hash, positions, rank, state, created_at, waiting_since, next_attempt_at
  )
  SELECT receipt_id, channel_id, group_hash, positions, rank, {PENDING}, :received_at, :received_at, now()
  FROM routed WHERE positions IS NULL OR positions <> '{{}}' ORDER BY ordinality
  RETURNING receipt_id, channel_id
"""

# Rows are locked in a fixed order everywhere, so that two processes can't deadlock.
INGEST: Final = Query(
    IngestResult,
    f"""
    WITH
    -- Everything depends on this row: when the configuration has another version by now, there is none, and
    -- nothing is written. FOR SHARE lets no change of the configuration be committed before this statement is.
    config AS MATERIALIZED (SELECT version FROM config_version WHERE version = :version FOR SHARE),
    -- Store the alerts. One that was resolved before this batch has an older resolved_received_at.
    incoming AS MATERIALIZED (SELECT i.* FROM config, :alerts WITH ORDINALITY AS i),
    stored AS ({_STORED}),
    known AS MATERIALIZED (
      SELECT incoming.ordinality AS alert, stored.id, stored.was_resolved
      FROM incoming JOIN stored USING (tenant_id, fingerprint, starts_at)
    ),
    -- Accept the webhooks whose group has a new state: one never seen, or seen longer ago than the window.
    webhooks AS MATERIALIZED (
      SELECT w.*, w.ordinality AS webhook FROM config, :webhooks WITH ORDINALITY AS w
    ),
    accepted AS ({_ACCEPTED}),
    -- The alerts of each webhook, and the positions of reports that are late.
    contents AS MATERIALIZED ({_CONTENTS}),
    receipts_added AS ({_RECEIPTS}),
    -- Queue the deliveries of the accepted webhooks, without late reports, and wake their lanes.
    routed AS ({_ROUTED}),
    queued AS ({_QUEUED}),
    woken AS ({wake_lanes("SELECT channel_id FROM queued")})
    SELECT
      receipts_added.id IS NULL AS duplicate,
      coalesce(cardinality(contents.late), 0) AS late,
      (SELECT count(*) FROM queued WHERE queued.receipt_id = receipts_added.id) AS notifications
    FROM webhooks LEFT JOIN contents USING (webhook) LEFT JOIN receipts_added USING (state_hash)
    ORDER BY webhook
    """,
    alerts=Records(
        AlertRow,
        tenant_id="text",
        fingerprint="text",
        starts_at="timestamptz",
        status="text",
        alertname="text",
        severity="text",
        category="text",
        labels="text",
        annotations="text",
        ends_at="timestamptz",
        generator_url="text",
        group_hashes="bigint[]",
    ),
    webhooks=Records(
        WebhookRow,
        state_hash="bytea",
        group_hash="bigint",
        group_key="text",
        receiver="text",
        status="text",
        body="bytea",
    ),
    reports=Records(_ReportRow, webhook="bigint", position="int", alert="bigint", firing="boolean"),
    deliveries=Records(_RoutedRow, webhook="bigint", channel_id="text", positions="int[]", rank="int"),
)

PURGE_GROUP_STATES: Final = Statement("DELETE FROM group_states WHERE accepted_at < now() - :older_than::interval")


async def write(
    connection: DriverConnection,
    version: int,
    received_at: datetime,
    window: timedelta,
    alerts: Sequence[AlertRow],
    webhooks: Sequence[WebhookRow],
) -> list[IngestResult] | None:
    """Write a batch in one implicit transaction; it is durable when this returns.

    The alerts must be distinct occurrences and the webhooks distinct states. The same state within the `window`
    is a duplicate. The results are in the order of the webhooks, or None when the configuration is no longer at
    `version`: then nothing was written.
    """
    values = parameters(alerts, webhooks)
    return (
        await INGEST.fetch(connection, version=version, received_at=received_at, window=window, **values) or None
    )


def parameters(alerts: Sequence[AlertRow], webhooks: Sequence[WebhookRow]) -> dict[str, Any]:
    """Return the statement's records."""
    return {
        "alerts": alerts,
        "webhooks": webhooks,
        "reports": [
            _ReportRow(webhook=number, position=position, alert=alert + 1, firing=firing)
            for number, webhook in enumerate(webhooks, start=1)
            for position, (alert, firing) in enumerate(zip(webhook.alerts, webhook.firing, strict=True))
        ],
        "deliveries": [
            _RoutedRow(
                webhook=number,
                channel_id=delivery.channel_id,
                positions=delivery.positions,
                rank=delivery.rank,
            )
            for number, webhook in enumerate(webhooks, start=1)
            for delivery in webhook.deliveries
        ],
    }


async def purge_group_states(connection: DriverConnection, older_than: timedelta) -> None:
    """Delete states of groups that are too old for anything to be their duplicate."""
    await PURGE_GROUP_STATES.execute(connection, older_than=older_than)
