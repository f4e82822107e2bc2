"""Alerts and groups of alerts."""

from collections.abc import Iterable
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final

import msgspec

from relay.domain.acknowledgements import Acknowledgement
from relay.domain.grafana import GrafanaFields

FNV_OFFSET: Final = 14695981039346656037
FNV_PRIME: Final = 1099511628211
LABEL_SEPARATOR: Final = 0xFF
NO_TIME: Final = datetime(1970, 1, 1, tzinfo=UTC)
"""A time that is not later is not set: senders write 0, or Go's zero time, which is in the year 1."""


class Status(StrEnum):
    """The state of an alert: firing, then resolved. A stored one is stale when no report mentions it for long."""

    FIRING = "firing"
    STALE = "stale"
    RESOLVED = "resolved"


class Suppressed(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """That an alert was held back until a time; `acknowledged`: because somebody had taken care of it."""

    until: datetime
    acknowledged: bool


class Alert(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One alert as reported by one webhook. Times are aware and in UTC; `ends_at` is None while it fires.

    `key_source` is the source that enters its keys on platforms; see `relay.domain.identity.key_source`.
    In an edited message, `unreported_since` is set if it has not ended and the group's webhooks omit it, and
    `acknowledgement` if one holds. `grafana` is set if Grafana sent it; it is not stored beside the webhook.
    `was_suppressed` is set if it is sent because it is no longer suppressed.
    """

    status: Status
    labels: dict[str, str]
    annotations: dict[str, str]
    starts_at: datetime
    ends_at: datetime | None
    generator_url: str
    fingerprint: str
    key_source: str = ""
    unreported_since: datetime | None = None
    acknowledgement: Acknowledgement | None = None
    grafana: GrafanaFields | None = None
    was_suppressed: Suppressed | None = None

    @property
    def name(self) -> str:
        """The label `alertname`, or an empty string."""
        return self.labels.get("alertname", "")

    @property
    def severity(self) -> str:
        """The label `severity`, or an empty string."""
        return self.labels.get("severity", "")

    @property
    def has_start(self) -> bool:
        """Whether its start is known."""
        return self.starts_at > NO_TIME

    @property
    def shown_name(self) -> str:
        """The label `alertname`, or else one of a similar name, such as `alert_name`; it may be empty."""
        if name := self.name:
            return name
        similar = (label for label in sorted(self.labels) if _is_similar(label))
        return next((self.labels[label] for label in similar), "")

    @property
    def firing(self) -> bool:
        """Whether the alert is firing in this report."""
        return self.status is Status.FIRING


class Group(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What Alertmanager sends in one webhook. `truncated` counts the alerts that it omitted."""

    group_key: str
    receiver: str
    alerts: tuple[Alert, ...]
    group_labels: dict[str, str]
    common_labels: dict[str, str]
    common_annotations: dict[str, str]
    external_url: str
    truncated: int


def _is_similar(label: str) -> bool:
    """Whether a label's name says that it is the alert's name, as in other senders than Alertmanager."""
    return label.replace("_", "").lower().endswith("alertname")


def status_of(alerts: Iterable[Alert]) -> Status:
    """Return FIRING if any of the alerts is firing."""
    return Status.FIRING if any(alert.firing for alert in alerts) else Status.RESOLVED


def fingerprint(labels: dict[str, str]) -> str:
    """Compute Alertmanager's fingerprint of a label set: 64-bit FNV-1a over the sorted names and values, in hex.

    Source: prometheus/common, model.LabelSet.Fingerprint.
    """
    digest = FNV_OFFSET
    for name in sorted(labels):
        for text in (name, labels[name]):
            for byte in (*text.encode(), LABEL_SEPARATOR):
                digest = ((digest ^ byte) * FNV_PRIME) & 0xFFFFFFFFFFFFFFFF
    return f"{digest:016x}"
