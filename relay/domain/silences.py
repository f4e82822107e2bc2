"""Silences: matchers and a time during which alerts are not sent.

The semantics of matchers, states and changes are Alertmanager's:
https://prometheus.io/docs/alerting/latest/alertmanager/#silences
"""

from datetime import datetime
from enum import StrEnum
from typing import Final

import msgspec

from relay.domain.matchers import Matcher

MAX_SILENCES: Final = 20_000
"""Silences that have not ended."""
MAX_MATCHERS: Final = 100
MAX_BYTES: Final = 16 * 1024
"""Bytes of a silence's fields as JSON."""


class SilenceState(StrEnum):
    """`pending`: it will be active later. `expired`: it will not be active any more."""

    PENDING = "pending"
    ACTIVE = "active"
    EXPIRED = "expired"


class Silence(msgspec.Struct, frozen=True, kw_only=True):
    """A silence as it is stored.

    It applies to the alerts that meet all matchers, for the channels of its tenant if it has one, and for
    `channels` alone if these are given. `starts_at` and `ends_at` bound it; with `rrule` it is active for
    `duration` at each occurrence, in the local time of `time_zone`. Durations are Prometheus's strings.

    `send_resolved`: a channel that got an alert's firing gets its resolve too, while the silence is active.
    """

    id: str
    matchers: tuple[Matcher, ...]
    starts_at: datetime
    ends_at: datetime | None
    created_by: str
    comment: str
    tenant_id: str | None = None
    channels: tuple[str, ...] = ()
    rrule: str | None = None
    duration: str | None = None
    time_zone: str | None = None
    send_resolved: bool = True
    expire_when_resolved: bool = False
    expires_if_unmatched_for: str | None = None
    remind_before: str | None = None
    remind_channel_id: str | None = None
