"""Alerts and deliveries as the API shows them."""

from datetime import datetime
from enum import StrEnum
from typing import Final

import msgspec

from relay.domain.acknowledgements import Acknowledgement, PastAcknowledgement
from relay.domain.alerts import Status

MAX_ID: Final = 2**63 - 1
"""Ids are of Postgres's type bigint."""


class State(StrEnum):
    """The state of a delivery. All but the first two are final, but all except merged ones can be redelivered.

    A suppressed one is sent later if what suppresses it ends while its alerts fire.
    """

    PENDING = "pending"
    SENDING = "sending"
    DELIVERED = "delivered"
    MERGED = "merged"
    SUPPRESSED = "suppressed"
    DEAD = "dead"


class HistoryItem(msgspec.Struct, frozen=True, kw_only=True):
    """An alert in the history. `end_reason` is null while it is open: resolved, lost or superseded.

    `routed`: it matched a channel in one of its webhooks. Alerts of earlier releases count as routed.
    `acknowledgement` is the one that holds, null if there is none or the alert is resolved.
    """

    id: int
    fingerprint: str
    status: Status
    alertname: str
    severity: str | None
    category: str | None
    tenant_id: str | None
    source: str
    labels: dict[str, str]
    annotations: dict[str, str]
    starts_at: datetime
    ends_at: datetime | None
    end_reason: str | None
    first_received_at: datetime
    last_received_at: datetime
    generator_url: str
    routed: bool
    acknowledgement: Acknowledgement | None = None


class Kind(StrEnum):
    """What a delivery sends: a notification of one group, a digest of many, or an edit of a group's message.

    A `refresh` edits a message that shows an older state than a digest that was sent after it. A `release` sends
    the alerts of a group that still fire after what suppressed them has ended.
    """

    GROUP = "group"
    DIGEST = "digest"
    REFRESH = "refresh"
    RELEASE = "release"


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """A row of the outbox. `attempt_count` includes an attempt in progress.

    `tenant_id` is the tenant of its channel. `source` is empty for a digest.
    `merged_into` is the delivery that includes this one; `fallback_of` the delivery that this one replaces;
    `redelivered_at` the time of the last request to redeliver it. `suppressed_by` has what suppressed it, such as
    `silence:ID`, each with the ids of its alerts, as of the configuration `config_version`.
    """

    id: int
    channel_id: str
    tenant_id: str | None
    kind: Kind
    group_key: str | None
    source: str
    state: State
    attempt_count: int
    created_at: datetime
    next_attempt_at: datetime | None
    delivered_at: datetime | None
    redelivered_at: datetime | None
    merged_into: int | None
    fallback_of: int | None
    last_reason: str | None
    last_error: str | None
    suppressed_by: dict[str, tuple[int, ...]] | None = None
    config_version: int | None = None


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """An attempt to send a delivery. `duration` is in seconds; `status_code` is null without a response."""

    number: int
    started_at: datetime
    duration: float
    outcome: str
    reason: str | None
    status_code: int | None
    detail: str | None


class DeliveryDetail(Delivery, frozen=True, kw_only=True):
    """A delivery with its attempts and the ids of its alerts."""

    attempts: tuple[Attempt, ...]
    alert_ids: tuple[int, ...]


class Repeat(msgspec.Struct, frozen=True, kw_only=True):
    """Reports of one sender that repeat a webhook, or that are late for an alert of it.

    `sender` is the sender's address or name; `kind` is `duplicate` or `late`.
    """

    sender: str
    external_url: str
    kind: str
    count: int
    first_received_at: datetime
    last_received_at: datetime


class SharedDelivery(msgspec.Struct, frozen=True, kw_only=True):
    """A delivery to a channel of no tenant, as a tenant sees it. `at` is when it was delivered, else created.

    `channel_name` and `channel_type` are null if the channel was deleted or has a tenant now.
    """

    channel_name: str | None
    channel_type: str | None
    state: State
    at: datetime


class Receipt(msgspec.Struct, frozen=True, kw_only=True):
    """A webhook that contained an alert, and the deliveries that resulted from it.

    `sender` is the sender's address or name, null if it is not known. `late`: the alert was late in it, and was
    not delivered. `repeats` counts the duplicate and late reports of it. For principals with tenants, `deliveries`
    has those to channels of the tenants, and `shared_deliveries` those to channels of no tenant.
    """

    id: int
    received_at: datetime
    receiver: str
    group_key: str
    status: Status
    source: str
    sender: str | None
    external_url: str | None
    late: bool
    repeats: tuple[Repeat, ...]
    deliveries: tuple[DeliveryDetail, ...]
    shared_deliveries: tuple[SharedDelivery, ...] = ()


class HistoryDetail(HistoryItem, frozen=True, kw_only=True):
    """An alert with its timeline, oldest receipt first, and all its acknowledgements."""

    timeline: tuple[Receipt, ...]
    acknowledgements: tuple[PastAcknowledgement, ...] = ()
