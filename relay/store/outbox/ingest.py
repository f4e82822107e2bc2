"""How does a batch of webhooks become durable, in one statement?"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final

import msgspec

MAX_INDEXED_TEXT: Final = 255
"""Characters of the columns that are searched and indexed; the labels hold the whole text."""


class AlertRow(msgspec.Struct, frozen=True):
    """An occurrence of an alert, as the batch leaves it. `labels` and `annotations` are JSON text."""

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
    group_hashes: str


class DeliveryRow(msgspec.Struct, frozen=True):
    """What one channel is to be told of one webhook; `positions` is None for all its alerts.

    `rank` is its place in the queue, 0 for the most urgent.
    """

    channel_id: str
    positions: tuple[int, ...] | None
    rank: int


class WebhookRow(msgspec.Struct, frozen=True):
    """One webhook of the batch. `alerts` holds, in the body's order, indices into the batch's alerts.

    `firing` says for each whether this webhook reports it as firing.
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


class Written(msgspec.Struct, frozen=True):
    """What became of one webhook. `late` counts firing reports of alerts that had been resolved before."""

    duplicate: bool
    late: int
    notifications: int


# Everything hangs on `config`: when the version moved on, it is empty and nothing is written. FOR SHARE
# lets no change of the configuration commit between this check and our own commit.
#
# `stored` keeps a resolved alert resolved against a late firing report, one within the window after it was
# resolved; what is late is not delivered. After the window it fires again: Prometheus keeps startsAt when it was
# cut off from Alertmanager for so long that the alert was taken for resolved meanwhile. An alert that was resolved
# before this batch keeps its old resolved_received_at, which tells it from one that this batch resolved.
#
# `accepted` returns a state of a group only if it is news: never seen, or seen longer ago than the window.
#
# Rows are locked in a fixed order everywhere, so that two processes can't deadlock.
INGEST: Final = """
WITH config AS MATERIALIZED (
  SELECT version FROM config_version WHERE version = $1 FOR SHARE
), incoming AS MATERIALIZED (
  SELECT t.* FROM config, unnest(
    $4::text[], $5::text[], $6::timestamptz[], $7::text[], $8::text[], $9::text[], $10::text[], $11::text[],
    $12::text[], $13::timestamptz[], $14::text[], $15::text[]
  ) WITH ORDINALITY AS t (
    tenant_id, fingerprint, starts_at, status, alertname, severity, category, labels,
    annotations, ends_at, generator_url, group_hashes, k
  )
), stored AS (
  INSERT INTO alerts AS a (
    tenant_id, fingerprint, starts_at, status, alertname, severity, category, labels, annotations, ends_at,
    generator_url, first_received_at, last_received_at, resolved_received_at, group_hashes
  )
  SELECT
    tenant_id, fingerprint, starts_at, status, alertname, severity, category, labels::jsonb, annotations::jsonb,
    ends_at, generator_url, $2, $2, CASE WHEN status = 'resolved' THEN $2::timestamptz END, group_hashes::bigint[]
  FROM incoming ORDER BY k
  ON CONFLICT (tenant_id, fingerprint, starts_at) DO UPDATE SET
    status = CASE WHEN a.resolved_received_at > $2 - $3::interval THEN a.status ELSE excluded.status END,
    annotations = CASE WHEN a.resolved_received_at > $2 - $3::interval
      THEN a.annotations ELSE excluded.annotations END,
    ends_at = CASE WHEN a.status = 'resolved' AND (
      excluded.status = 'resolved' OR a.resolved_received_at > $2 - $3::interval
    ) THEN a.ends_at ELSE excluded.ends_at END,
    generator_url = excluded.generator_url,
    first_received_at = least(a.first_received_at, excluded.first_received_at),
    last_received_at = greatest(a.last_received_at, excluded.last_received_at),
    resolved_received_at = CASE WHEN a.resolved_received_at > $2 - $3::interval OR excluded.status = 'resolved'
      THEN coalesce(a.resolved_received_at, excluded.resolved_received_at) END,
    group_hashes = CASE WHEN a.group_hashes @> excluded.group_hashes THEN a.group_hashes
      ELSE ARRAY(SELECT DISTINCT unnest(a.group_hashes || excluded.group_hashes)) END
  RETURNING a.id, a.tenant_id, a.fingerprint, a.starts_at, a.resolved_received_at
), known AS MATERIALIZED (
  SELECT i.k, s.id, s.resolved_received_at <> $2 AND s.resolved_received_at > $2 - $3::interval AS was_resolved
  FROM incoming i JOIN stored s USING (tenant_id, fingerprint, starts_at)
), webhooks AS MATERIALIZED (
  SELECT t.* FROM config, unnest(
    $16::bytea[], $17::bigint[], $18::text[], $19::text[], $20::text[], $21::bytea[]
  ) WITH ORDINALITY AS t (state_hash, group_hash, group_key, receiver, status, body, w)
), accepted AS (
  INSERT INTO group_states AS g (state_hash, accepted_at)
  SELECT state_hash, $2 FROM webhooks ORDER BY state_hash
  ON CONFLICT (state_hash) DO UPDATE SET accepted_at = excluded.accepted_at
  WHERE g.accepted_at <= excluded.accepted_at - $3::interval
  RETURNING state_hash
), contents AS MATERIALIZED (
  SELECT t.w, array_agg(known.id ORDER BY t.position) AS alert_ids,
    coalesce(array_agg(t.position) FILTER (WHERE t.firing AND known.was_resolved), '{}') AS late
  FROM unnest($22::bigint[], $23::int[], $24::bigint[], $25::boolean[]) AS t (w, position, k, firing)
  JOIN known USING (k) GROUP BY t.w
), receipt AS (
  INSERT INTO receipts (state_hash, group_hash, group_key, receiver, status, received_at, body, alert_ids)
  SELECT state_hash, group_hash, group_key, receiver, status, $2, body, alert_ids
  FROM webhooks JOIN accepted USING (state_hash) JOIN contents USING (w) ORDER BY w
  RETURNING id, state_hash
), wanted AS (
  SELECT t.n, t.w, t.channel_id, t.rank, webhooks.group_hash, receipt.id AS receipt_id,
    CASE WHEN contents.late = '{}' THEN t.positions::int[] ELSE ARRAY(
      SELECT position FROM unnest(
        coalesce(t.positions::int[], ARRAY(SELECT generate_series(0, cardinality(contents.alert_ids) - 1)))
      ) AS position WHERE position <> ALL (contents.late)
    ) END AS positions
  FROM unnest($26::bigint[], $27::text[], $28::text[], $29::int[]) WITH ORDINALITY
    AS t (w, channel_id, positions, rank, n)
  JOIN webhooks USING (w) JOIN receipt USING (state_hash) JOIN contents USING (w)
), queued AS (
  INSERT INTO deliveries (
    receipt_id, channel_id, group_hash, positions, rank, state, created_at, waiting_since, next_attempt_at
  )
  SELECT receipt_id, channel_id, group_hash, positions, rank, 'pending', $2, $2, now()
  FROM wanted WHERE positions IS NULL OR positions <> '{}' ORDER BY n
  RETURNING receipt_id, channel_id
), woken AS (
  UPDATE lanes SET enqueued = enqueued + 1, next_due = least(next_due, greatest(now(), held_until))
  WHERE channel_id = ANY (ARRAY(
    SELECT channel_id FROM lanes WHERE channel_id IN (SELECT channel_id FROM queued)
    ORDER BY channel_id FOR NO KEY UPDATE
  ))
)
SELECT
  receipt.id IS NULL AS duplicate,
  coalesce(cardinality(contents.late), 0) AS late,
  (SELECT count(*) FROM queued WHERE queued.receipt_id = receipt.id) AS notifications
FROM webhooks LEFT JOIN contents USING (w) LEFT JOIN receipt USING (state_hash) ORDER BY w
"""


async def write(
    driver: Any,
    version: int,
    received_at: datetime,
    repeat_after: timedelta,
    alerts: Sequence[AlertRow],
    webhooks: Sequence[WebhookRow],
) -> list[Written] | None:
    """Write a batch in one implicit transaction; it is durable when this returns.

    The alerts must be distinct occurrences and the webhooks distinct states. The answer is in the order of
    the webhooks, or None when the configuration is not at `version` any more: then nothing was written.
    """
    rows = await driver.fetch(INGEST, version, received_at, repeat_after, *arguments(alerts, webhooks))
    if not rows:
        return None
    return [Written(row["duplicate"], row["late"], row["notifications"]) for row in rows]


def arguments(alerts: Sequence[AlertRow], webhooks: Sequence[WebhookRow]) -> list[list[Any]]:
    """The statement's arrays, one a column: from $4 on."""
    contents = [
        (w, position, k + 1, firing)
        for w, webhook in enumerate(webhooks, start=1)
        for position, (k, firing) in enumerate(zip(webhook.alerts, webhook.firing, strict=True))
    ]
    deliveries = [
        (w, delivery.channel_id, _array(delivery.positions), delivery.rank)
        for w, webhook in enumerate(webhooks, start=1)
        for delivery in webhook.deliveries
    ]
    heads = [(w.state_hash, w.group_hash, w.group_key, w.receiver, w.status, w.body) for w in webhooks]
    return [
        *_columns(map(msgspec.structs.astuple, alerts), len(AlertRow.__struct_fields__)),
        *_columns(heads, 6),
        *_columns(contents, 4),
        *_columns(deliveries, 4),
    ]


def _columns(rows: Any, width: int) -> list[list[Any]]:
    columns = [list(column) for column in zip(*rows, strict=True)]
    return columns or [[] for _ in range(width)]


def _array(values: tuple[int, ...] | None) -> str | None:
    """A Postgres array literal; arrays of arrays of different lengths can't be bound."""
    return None if values is None else "{" + ",".join(map(str, values)) + "}"


async def purge_group_states(driver: Any, older_than: timedelta) -> None:
    """Forget states of groups that can't make a duplicate any more."""
    await driver.execute("DELETE FROM group_states WHERE accepted_at < now() - $1::interval", older_than)
