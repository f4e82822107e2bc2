"""Alerts, deliveries and attempts as the API returns them."""

from datetime import datetime
from enum import StrEnum

import msgspec

from relay.domain.alerts import Status


class State(StrEnum):
    """The state of a delivery. The last three are final; a delivered or dead delivery can be redelivered."""

    PENDING = "pending"
    SENDING = "sending"
    DELIVERED = "delivered"
    MERGED = "merged"
    DEAD = "dead"


class HistoryItem(msgspec.Struct, frozen=True, kw_only=True):
    """An alert in the history."""

    id: int
    fingerprint: str
    status: Status
    alertname: str
    severity: str | None
    category: str | None
    tenant_id: str | None
    labels: dict[str, str]
    annotations: dict[str, str]
    starts_at: datetime
    ends_at: datetime | None
    first_received_at: datetime
    last_received_at: datetime
    generator_url: str


class Kind(StrEnum):
    """What a delivery contains: one group, or many groups merged into a digest."""

    GROUP = "group"
    DIGEST = "digest"


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """A row of the outbox. `attempts` is the number of attempts, including one in progress.

    `merged_into` is the delivery that includes this one, `fallback_of` the delivery that this one replaces, and
    `redelivered_at` the time of the last request for redelivery.
    """

    id: int
    channel_id: str
    kind: Kind
    group_key: str | None
    state: State
    attempts: int
    created_at: datetime
    next_attempt_at: datetime | None
    delivered_at: datetime | None
    redelivered_at: datetime | None
    merged_into: int | None
    fallback_of: int | None
    last_reason: str | None
    last_error: str | None


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """One attempt of a delivery. `duration` is in seconds; `status_code` is None without a response."""

    number: int
    started_at: datetime
    duration: float
    outcome: str
    reason: str | None
    status_code: int | None
    detail: str | None


class DeliveryDetail(Delivery, frozen=True, kw_only=True):
    """A delivery with its attempts and alerts."""

    tries: tuple[Attempt, ...]
    alert_ids: tuple[int, ...]


class Receipt(msgspec.Struct, frozen=True, kw_only=True):
    """A webhook that contained an alert, and the deliveries that it created."""

    id: int
    received_at: datetime
    receiver: str
    group_key: str
    status: Status
    deliveries: tuple[DeliveryDetail, ...]


class HistoryDetail(HistoryItem, frozen=True, kw_only=True):
    """An alert with its timeline, oldest first."""

    timeline: tuple[Receipt, ...]
