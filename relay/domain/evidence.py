"""What is stored about an alert and the channels, from which explanations are derived."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec

from relay.domain.history import Kind, State


class AlertFacts(msgspec.Struct, frozen=True, kw_only=True):
    """An alert."""

    id: int
    tenant_id: str | None
    labels: dict[str, str]
    first_received_at: datetime
    last_received_at: datetime
    resolved_received_at: datetime | None
    group_hashes: tuple[int, ...]


class ReceiptFacts(msgspec.Struct, frozen=True, kw_only=True):
    """An accepted webhook that reported the alert."""

    id: int
    received_at: datetime
    source: str
    sender: str | None
    config_version: int | None
    late: bool


class RepeatFacts(msgspec.Struct, frozen=True, kw_only=True):
    """Duplicates of a receipt from one sender."""

    receipt_id: int
    sender: str | None
    count: int
    last_received_at: datetime


class DeliveryFacts(msgspec.Struct, frozen=True, kw_only=True):
    """A delivery of the alert, or one that such a delivery was merged into.

    `contains`: it was queued for the alert itself. `omits`: its message is without the alert, which was suppressed
    or had been resolved. `suppressed_by` names what suppressed the alert in it.
    """

    id: int
    receipt_id: int | None
    channel_id: str
    tenant_id: str | None
    kind: Kind
    state: State
    attempts: int
    created_at: datetime
    delivered_at: datetime | None
    next_attempt_at: datetime | None
    merged_into: int | None
    fallback_of: int | None
    last_reason: str | None
    last_error: str | None
    suppressed_by: tuple[str, ...]
    config_version: int | None
    contains: bool
    omits: bool


class VersionFacts(msgspec.Struct, frozen=True, kw_only=True):
    """A version of a channel or a silence; `body` is None if it was deleted.

    `held`: the relay disabled the channel, which is routed to all the same.
    """

    object_id: str
    number: int
    at: datetime
    config_version: int | None
    tenant_id: str | None
    body: dict[str, Any] | None
    held: bool | None = None


class AcknowledgementFacts(msgspec.Struct, frozen=True, kw_only=True):
    """An acknowledgement of the alert."""

    author_name: str
    comment: str
    created_at: datetime


class Versions:
    """The versions of one object, which show how it was at a time."""

    def __init__(self, versions: Sequence[VersionFacts]) -> None:
        """`versions` are in the order of their numbers."""
        self.all = versions

    def in_force(self, config_version: int | None, at: datetime) -> VersionFacts | None:
        """The version at a version of the configuration; None if the object did not exist yet.

        What does not record a version of the configuration is compared by its time.
        """

        def is_later(version: VersionFacts) -> bool:
            if config_version is None or version.config_version is None:
                return version.at > at
            return version.config_version > config_version

        return next((version for version in reversed(self.all) if not is_later(version)), None)

    @property
    def name(self) -> str | None:
        """The last name."""
        return next((one.body["name"] for one in reversed(self.all) if one.body and "name" in one.body), None)


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """All that is stored about one alert. Receipts and repeats are in the order of their times.

    `silences` are those that the deliveries name, by their ids.
    """

    alert: AlertFacts
    receipts: Sequence[ReceiptFacts]
    repeats: Sequence[RepeatFacts]
    deliveries: Sequence[DeliveryFacts]
    channels: Mapping[str, Versions]
    silences: Mapping[str, Versions]
    acknowledgements: Sequence[AcknowledgementFacts]
