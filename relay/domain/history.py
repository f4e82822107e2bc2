"""What does the relay remember of alerts and deliveries, as its API shows it?"""

from datetime import datetime
from enum import StrEnum

import msgspec

from relay.domain.alerts import Status


class State(StrEnum):
    """Where a delivery stands. The last three are ends; one that was delivered or is dead may be sent again."""

    PENDING = "pending"
    SENDING = "sending"
    DELIVERED = "delivered"
    MERGED = "merged"
    DEAD = "dead"


class HistoryItem(msgspec.Struct, frozen=True, kw_only=True):
    """An alert as the history shows it."""

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
    """What a delivery tells: one group, or many that were merged into a digest."""

    GROUP = "group"
    DIGEST = "digest"


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """A row of the outbox as the API shows it. `attempts` counts tries, the one under way included.

    `merged_into` is the delivery that tells this one too; `fallback_of` the one in whose place this one is
    sent; `redelivered_at` when it was last asked for again.
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
    """One try of a delivery. `duration` is in seconds; `status_code` is None when no answer came."""

    number: int
    started_at: datetime
    duration: float
    outcome: str
    reason: str | None
    status_code: int | None
    detail: str | None


class DeliveryDetail(Delivery, frozen=True, kw_only=True):
    """A delivery with its tries and the alerts that it tells."""

    tries: tuple[Attempt, ...]
    alert_ids: tuple[int, ...]


class Receipt(msgspec.Struct, frozen=True, kw_only=True):
    """A webhook in which an alert came, and the deliveries that it called for."""

    id: int
    received_at: datetime
    receiver: str
    group_key: str
    status: Status
    deliveries: tuple[DeliveryDetail, ...]


class HistoryDetail(HistoryItem, frozen=True, kw_only=True):
    """An alert with its timeline, oldest first."""

    timeline: tuple[Receipt, ...]
