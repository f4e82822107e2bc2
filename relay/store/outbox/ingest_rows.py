"""The rows that ingest reads and writes."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

import msgspec

from relay.domain.repeats import GroupState, SenderState
from relay.domain.series import SenderReport, Series
from relay.store.postgres.statements import JsonRecords, Records

MAX_INDEXED_TEXT: Final = 255
"""Characters of the columns that are searched and indexed; the labels have the whole text."""


MAX_OCCURRENCES: Final = 8
"""Occurrences of a series that a late report may belong to, the last ones."""


class SeriesKey(msgspec.Struct, frozen=True, cache_hash=True, gc=False):
    """What identifies a series."""

    tenant_id: str
    source: str
    identity: bytes


class FreshIds(msgspec.Struct, frozen=True):
    """Ids for alerts and receipts that a later batch adds."""

    alert_ids: tuple[int, ...]
    receipt_ids: tuple[int, ...]


class StoredState(msgspec.Struct):
    """What is stored of the groups and series of a batch, and fresh ids for what the batch adds."""

    groups: list[GroupState]
    series: list[Series]
    alert_ids: list[int]
    receipt_ids: list[int]


class GroupRow(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """The states of a group. `expected` is the version that was read, None for a new group."""

    group_hash: int
    expected: int | None = None
    version: int
    senders: tuple[SenderState, ...]
    updated_at: datetime


class SeriesRow(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """A series. `expected` is the version that was read, None for a new series; only a new one has labels."""

    id: int
    expected: int | None = None
    tenant_id: str
    source: str
    identity: bytes
    labels: dict[str, str] | None = None
    open_alert_id: int | None = None
    reports: tuple[SenderReport, ...]


class AlertRow(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """An occurrence after the batch: a new one has `first_received_at`, a stored one only what changes.

    What is None for a new one has its usual value, which takes no time to transfer: `last_received_at` is that of
    `first_received_at`, and `resolved_group_hashes` is empty. A stored one keeps annotations and generator_url if
    it has no others. It is resolved if it has an `end_reason`. `routed` is None for what is stored, or for true.
    """

    id: int
    series_id: int
    tenant_id: str
    source: str
    fingerprint: str
    starts_at: datetime
    alertname: str
    severity: str | None = None
    category: str | None = None
    annotations: dict[str, str] | None = None
    ends_at: datetime | None = None
    end_reason: str | None = None
    generator_url: str | None = None
    first_received_at: datetime | None = None
    last_received_at: datetime | None = None
    resolved_received_at: datetime | None = None
    resolved_by: int | None = None
    group_hashes: tuple[int, ...]
    resolved_group_hashes: tuple[int, ...] | None = None
    receipt_id: int | None = None
    adopted: bool
    routed: bool | None = None


class UnsourcedRow(msgspec.Struct, frozen=True, gc=False):
    """A series without a named source that was looked up for adoption. `expected` is its version, None if new."""

    tenant_id: str
    source: str
    identity: bytes
    expected: int | None


class ReceiptRow(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """An accepted webhook. `alert_ids` is in the order of the body; `late` has positions."""

    id: int
    group_hash: int
    group_key: str
    receiver: str
    status: str
    received_at: datetime
    body: bytes
    alert_ids: tuple[int, ...]
    source: str
    sender_hash: int
    adopted: bool
    late: tuple[int, ...]
    config_version: int


class DeliveryRow(msgspec.Struct, frozen=True, gc=False):
    """A notification of a receipt for one channel. `positions` is None for all alerts.

    `tenant_id` is the tenant of the channel. `rank` is its place in the queue, 0 for the most urgent.
    """

    receipt_id: int
    channel_id: str
    group_hash: int
    source: str
    tenant_id: str | None
    positions: Sequence[int] | None
    rank: int


class SuppressedRow(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Firing alerts of a receipt that are not sent to a channel; `suppressed_by` has what they wait for.

    `config_version` is that of the configuration that decided it. See `DeliveryRow`.
    """

    receipt_id: int
    channel_id: str
    group_hash: int
    source: str
    tenant_id: str | None
    rank: int
    alert_ids: tuple[int, ...]
    suppressed_by: dict[str, list[int]]
    config_version: int


class RepeatRow(msgspec.Struct, frozen=True, gc=False):
    """How often a batch repeats a receipt: `kind` is duplicate or late."""

    receipt_id: int
    sender_hash: int
    kind: str
    count: int
    received_at: datetime


class SenderRow(msgspec.Struct, frozen=True, gc=False):
    """A sender that was seen."""

    source: str
    hash: int
    external_url: str
    address: str
    seen_at: datetime


class BatchRows(msgspec.Struct, frozen=True, kw_only=True):
    """All that a batch writes, each list in the order in which its rows are locked."""

    groups: list[GroupRow]
    series: list[SeriesRow]
    unsourced: list[UnsourcedRow]
    alerts: list[AlertRow]
    receipts: list[ReceiptRow]
    deliveries: list[DeliveryRow]
    suppressed: list[SuppressedRow]
    repeats: list[RepeatRow]
    senders: list[SenderRow]


KEYS: Final = Records(SeriesKey, tenant_id="text", source="text", identity="bytea")
RECORDS: Final = {
    "groups": JsonRecords(
        GroupRow,
        group_hash="bigint",
        expected="bigint",
        version="bigint",
        senders="json",
        updated_at="timestamptz",
    ),
    "series": JsonRecords(
        SeriesRow,
        id="bigint",
        expected="bigint",
        tenant_id="text",
        source="text",
        identity="text",
        labels="jsonb",
        open_alert_id="bigint",
        reports="json",
    ),
    "alerts": JsonRecords(
        AlertRow,
        id="bigint",
        series_id="bigint",
        tenant_id="text",
        source="text",
        fingerprint="text",
        starts_at="timestamptz",
        alertname="text",
        severity="text",
        category="text",
        annotations="jsonb",
        ends_at="timestamptz",
        end_reason="text",
        generator_url="text",
        first_received_at="timestamptz",
        last_received_at="timestamptz",
        resolved_received_at="timestamptz",
        resolved_by="bigint",
        group_hashes="bigint[]",
        resolved_group_hashes="bigint[]",
        receipt_id="bigint",
        adopted="boolean",
        routed="boolean",
    ),
    "unsourced": Records(UnsourcedRow, tenant_id="text", source="text", identity="bytea", expected="bigint"),
    "receipts": Records(
        ReceiptRow,
        id="bigint",
        group_hash="bigint",
        group_key="text",
        receiver="text",
        status="text",
        received_at="timestamptz",
        body="bytea",
        alert_ids="bigint[]",
        source="text",
        sender_hash="bigint",
        adopted="boolean",
        late="int[]",
        config_version="bigint",
    ),
    "deliveries": Records(
        DeliveryRow,
        receipt_id="bigint",
        channel_id="text",
        group_hash="bigint",
        source="text",
        tenant_id="text",
        positions="int[]",
        rank="int",
    ),
    "suppressed": JsonRecords(
        SuppressedRow,
        receipt_id="bigint",
        channel_id="text",
        group_hash="bigint",
        source="text",
        tenant_id="text",
        rank="int",
        alert_ids="bigint[]",
        suppressed_by="jsonb",
        config_version="bigint",
    ),
    "repeats": Records(
        RepeatRow, receipt_id="bigint", sender_hash="bigint", kind="text", count="int", received_at="timestamptz"
    ),
    "senders": Records(
        SenderRow, source="text", hash="bigint", external_url="text", address="text", seen_at="timestamptz"
    ),
}
"""The lists of `BatchRows` as parameters of a statement."""
