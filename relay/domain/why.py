"""Why a channel was, or was not, sent an alert, as the API shows it."""

from datetime import datetime
from enum import StrEnum
from typing import Literal

import msgspec

from relay.domain.history import HistoryDetail, State


class Verdict(StrEnum):
    """What became of an alert for a channel.

    The first six are the states of a delivery. `absent`: the channel did not exist at that time. `unknown`: it is
    not recorded.
    """

    SENT = "sent"
    MERGED = "merged"
    PENDING = "pending"
    SENDING = "sending"
    SUPPRESSED = "suppressed"
    DEAD = "dead"
    NOT_MATCHED = "not_matched"
    DISABLED = "disabled"
    DUPLICATE = "duplicate"
    LATE = "late"
    ABSENT = "absent"
    UNKNOWN = "unknown"


class Suppressor(msgspec.Struct, frozen=True, kw_only=True):
    """A silence or an acknowledgement that suppressed an alert, as it was then.

    `id` is that of the silence, or of the acknowledged alert. `since` is when the silence became active, or the
    alert was acknowledged. `comment` and `created_by` are null for a silence that is not visible to the principal.
    """

    kind: Literal["silence", "acknowledgement"]
    id: str
    comment: str | None
    created_by: str | None
    since: datetime | None


class Explanation(msgspec.Struct, frozen=True, kw_only=True):
    """What became of an alert for a channel, and why; `detail` is one sentence.

    `receipt_id` is the webhook that it is about, received at `received_at` and routed with the configuration
    `config_version`; for a suppressed delivery that is the version that suppressed it. `filter` is the field of
    the channel that excluded the alert. `message_id` is the delivery in whose message the alert is or will be:
    `delivery_id`, or the one it was merged into, with its `message_state` and `attempts`. `at` is when it was
    delivered, or when the suppressed delivery was created. `duplicate_of` is the receipt that had the same alert
    before.
    """

    verdict: Verdict
    detail: str
    receipt_id: int | None = None
    received_at: datetime | None = None
    config_version: int | None = None
    filter: str | None = None
    delivery_id: int | None = None
    message_id: int | None = None
    message_state: State | None = None
    attempts: int | None = None
    at: datetime | None = None
    fallback_of: int | None = None
    suppressed_by: tuple[Suppressor, ...] = ()
    duplicate_of: int | None = None


class ChannelExplanation(Explanation, frozen=True, kw_only=True):
    """The explanation for one channel: of its last message with the alert, or else of the last webhook."""

    channel_id: str
    channel_name: str


class WebhookExplanation(Explanation, frozen=True, kw_only=True):
    """The explanation for one webhook that reported the alert.

    `count` is more than 1 for duplicates of the same sender; `received_at` is then the time of the last one.
    """

    firing: bool
    sender: str | None = None
    count: int = 1


class Why(ChannelExplanation, frozen=True, kw_only=True):
    """The explanation for one channel, and for each webhook that reported the alert, oldest first."""

    alert_id: int
    webhooks: tuple[WebhookExplanation, ...]


class ExplainedAlert(HistoryDetail, frozen=True, kw_only=True):
    """An alert with its timeline, and what became of it for each channel that could get it.

    Channels of the alert's tenant or of no tenant that existed since it was first received; those that did not
    match come last, and `channels_omitted` counts the ones that are not listed.
    """

    channels: tuple[ChannelExplanation, ...]
    channels_omitted: int
