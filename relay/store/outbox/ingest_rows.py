"""The rows that ingest reads and writes."""

from datetime import datetime
from typing import Final

import msgspec

from relay.domain.repeats import GroupState
from relay.domain.series import Series
from relay.store.postgres.statements import Records

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


class GroupRow(msgspec.Struct, frozen=True, gc=False):
    """The states of a group. `expected` is the version that was read, None for a new group."""

    group_hash: int
    expected: int | None
    version: int
    senders: str
    updated_at: datetime


class SeriesRow(msgspec.Struct, frozen=True, gc=False):
    """A series. `expected` is the version that was read, None for a new series; only a new one has labels."""

    id: int
    expected: int | None
    tenant_id: str
    source: str
    identity: bytes
    labels: str | None
    open_alert_id: int | None
    reports: str


class AlertRow(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """An occurrence after the batch. Without annotations and generator_url, the stored ones stay."""

    id: int
    added: bool
    series_id: int
    tenant_id: str
    source: str
    fingerprint: str
    starts_at: datetime
    status: str
    alertname: str
    severity: str | None
    category: str | None
    annotations: str | None
    ends_at: datetime | None
    end_reason: str | None
    generator_url: str | None
    first_received_at: datetime
    last_received_at: datetime
    resolved_received_at: datetime | None
    resolved_by: int | None
    group_hashes: tuple[int, ...]
    resolved_group_hashes: tuple[int, ...]
    receipt_id: int | None
    adopted: bool


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


class DeliveryRow(msgspec.Struct, frozen=True, gc=False):
    """A notification of a receipt for one channel. `positions` is None for all alerts.

    `rank` is its place in the queue, 0 for the most urgent.
    """

    receipt_id: int
    channel_id: str
    group_hash: int
    source: str
    positions: tuple[int, ...] | None
    rank: int


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
    alerts: list[AlertRow]
    receipts: list[ReceiptRow]
    deliveries: list[DeliveryRow]
    repeats: list[RepeatRow]
    senders: list[SenderRow]


KEYS: Final = Records(SeriesKey, tenant_id="text", source="text", identity="bytea")
RECORDS: Final = {
    "groups": Records(
        GroupRow,
        group_hash="bigint",
        expected="bigint",
        version="bigint",
        senders="text",
        updated_at="timestamptz",
    ),
    "series": Records(
        SeriesRow,
        id="bigint",
        expected="bigint",
        tenant_id="text",
        source="text",
        identity="bytea",
        labels="text",
        open_alert_id="bigint",
        reports="text",
    ),
    "alerts": Records(
        AlertRow,
        id="bigint",
        added="boolean",
        series_id="bigint",
        tenant_id="text",
        source="text",
        fingerprint="text",
        starts_at="timestamptz",
        status="text",
        alertname="text",
        severity="text",
        category="text",
        annotations="text",
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
    ),
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
    ),
    "deliveries": Records(
        DeliveryRow,
        receipt_id="bigint",
        channel_id="text",
        group_hash="bigint",
        source="text",
        positions="int[]",
        rank="int",
    ),
    "repeats": Records(
        RepeatRow, receipt_id="bigint", sender_hash="bigint", kind="text", count="int", received_at="timestamptz"
    ),
    "senders": Records(
        SenderRow, source="text", hash="bigint", external_url="text", address="text", seen_at="timestamptz"
    ),
}
"""The lists of `BatchRows` as parameters of a statement."""
