"""Acknowledgements: who takes care of an alert. Its repeats are suppressed until it ends."""

from datetime import datetime, timedelta
from typing import Final

import msgspec

from relay.domain.errors import InvalidInput
from relay.domain.fields import require_storable

MAX_COMMENT: Final = 1000
"""Characters."""
LONGEST: Final = timedelta(days=366)


class Acknowledgement(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Who acknowledged an alert. `by` is an identity; `until` is null if it ends with the alert."""

    by: str
    by_name: str
    since: datetime
    until: datetime | None
    comment: str


class PastAcknowledgement(Acknowledgement, frozen=True, kw_only=True, gc=False):
    """An acknowledgement in a timeline. `ended_at` is null while it holds.

    `ended_by` is who withdrew or replaced it; null if it ended with the alert or at `until`.
    """

    ended_at: datetime | None
    ended_by: str | None
    ended_by_name: str | None


class NewAcknowledgement(msgspec.Struct, frozen=True, kw_only=True):
    """What a caller gives of an acknowledgement."""

    comment: str
    until: datetime | None


class GroupOfAlerts(msgspec.Struct, frozen=True, kw_only=True):
    """Which alerts to acknowledge: those of a group that fire, of one source and tenant or of all."""

    group_key: str
    source: str | None = None
    tenant_id: str | None = None


def new_acknowledgement(comment: str, until: datetime | None, now: datetime) -> NewAcknowledgement:
    """Check what a caller gives; `until` is in UTC.

    Raises:
        InvalidInput: names the field.
    """
    require_storable(comment, "comment")
    if len(comment) > MAX_COMMENT:
        raise InvalidInput("comment", f"must have at most {MAX_COMMENT} characters")
    if until is not None and until <= now:
        raise InvalidInput("until", "must be in the future")
    if until is not None and until > now + LONGEST:
        raise InvalidInput("until", f"must be at most {LONGEST.days} days from now")
    return NewAcknowledgement(comment=comment, until=until)
