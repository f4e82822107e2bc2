"""Silences: matchers and a time during which alerts are not sent.

The semantics of matchers, states and changes are Alertmanager's:
https://prometheus.io/docs/alerting/latest/alertmanager/#silences
"""

from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any, Final

import msgspec

from relay.domain.channels import require_id
from relay.domain.durations import parse_duration
from relay.domain.errors import InvalidInput
from relay.domain.fields import field_and_message, require_storable
from relay.domain.matchers import Matcher
from relay.domain.recurring_windows import Windows, windows, zone_of
from relay.domain.silence_matchers import GivenMatchers, shown_matchers, silence_matchers

MAX_SILENCES: Final = 20_000
"""Silences that have not ended."""
MAX_BYTES: Final = 16 * 1024
"""Bytes of a silence's fields as JSON."""
DEFAULT_ZONE: Final = "UTC"
MAX_CHANNELS: Final = 100
MAX_COMMENT: Final = 4_096
MAX_NAME: Final = 255
"""Characters of `created_by` and `tenant_id`."""
MAX_WAIT: Final = timedelta(days=366)
"""The longest `expires_if_unmatched_for` and `remind_before`."""


class SilenceState(StrEnum):
    """`pending`: it will be active later. `expired`: it will not be active any more."""

    PENDING = "pending"
    ACTIVE = "active"
    EXPIRED = "expired"


class SilenceOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What a silence may have, all of it optional."""

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


class Silence(SilenceOptions, frozen=True, kw_only=True):
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


class NewSilence(SilenceOptions, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A silence to create.

    `matchers` are objects or texts such as `team=~"db|infra"`, or one text. `starts_at` is now by default.
    `ends_at` is required without `rrule`, which requires `duration`. `created_by` is the principal by default.
    """

    matchers: GivenMatchers
    starts_at: datetime | None = None
    ends_at: datetime | None = None
    created_by: str | None = None
    comment: str = ""


def new_silence(given: NewSilence, silence_id: str, created_by: str, now: datetime) -> Silence:
    """Validate a silence and return it as it is stored. `created_by` is who creates it unless it says so.

    A start in the past is moved to now, except that of a recurrence, whose times of day it determines.

    Raises:
        InvalidInput: it is invalid; names the field.
    """
    return _silence(given, silence_id, created_by, now, kept_start=None)


def changed_silence(before: Silence, patch: Any, new_id: str, now: datetime) -> Silence:
    """Apply a JSON merge patch (RFC 7396). The result has `new_id` if it must replace the silence.

    Raises:
        InvalidInput: the patch or its result is invalid; names the field.
    """
    if not isinstance(patch, dict):
        raise InvalidInput("", "must be a JSON object")
    fields = silence_fields(before)
    fields = {name: value for name, value in (fields | patch).items() if value is not None}
    if "rrule" not in fields and "time_zone" not in patch:
        fields.pop("time_zone", None)
    given = parse_new_silence(fields)
    after = _silence(given, before.id, before.created_by, now, kept_start=before.starts_at)
    if not replaces(before, after, now):
        return after
    starts_at = after.starts_at if after.rrule is not None else max(after.starts_at, now)
    return msgspec.structs.replace(after, id=new_id, starts_at=starts_at)


def parse_new_silence(data: Any) -> NewSilence:
    """Convert JSON data.

    Raises:
        InvalidInput: a field is unknown, missing or of another type; names it.
    """
    require_storable(data)
    try:
        return msgspec.convert(data, NewSilence)
    except msgspec.ValidationError as error:
        raise InvalidInput(*field_and_message(error)) from None


def silence_fields(silence: Silence) -> dict[str, Any]:
    """The fields of a silence but its id, as JSON data that a request may contain."""
    fields: dict[str, Any] = msgspec.to_builtins(silence)
    del fields["id"]
    return fields | {"matchers": msgspec.to_builtins(shown_matchers(silence.matchers))}


WHOM: Final = ("matchers", "channels", "tenant_id")
"""The fields that determine what a silence applies to."""


def replaces(before: Silence, after: Silence, now: datetime) -> bool:
    """Whether a change needs a new silence, so that the record of the earlier one remains right.

    The comment, the end and a start that has not come can change in place, as in Alertmanager.
    """
    if has_expired(before, now) or any(getattr(before, name) != getattr(after, name) for name in WHOM):
        return True
    return before.starts_at <= now and not _same_second(before.starts_at, after.starts_at)


def has_expired(silence: Silence, at: datetime) -> bool:
    """Whether the silence will not be active at this time or later."""
    if silence.ends_at is not None and silence.ends_at <= at:
        return True
    try:
        return silence.rrule is not None and windows_of(silence).ended(at)
    except InvalidInput:  # stored by a newer release
        return False


def windows_of(silence: Silence) -> Windows:
    """The windows of a silence with an `rrule`.

    Raises:
        InvalidInput: the rule, the duration or the time zone is invalid; names the field.
    """
    assert silence.rrule is not None
    assert silence.duration is not None
    return windows(
        silence.rrule, silence.starts_at, silence.ends_at, silence.duration, silence.time_zone or DEFAULT_ZONE
    )


def _silence(
    given: NewSilence, silence_id: str, created_by: str, now: datetime, kept_start: datetime | None
) -> Silence:
    fields = msgspec.structs.asdict(given)
    require_storable(msgspec.to_builtins(given))
    _check(given)
    starts_at, ends_at = _times(given, now, kept_start)
    author = created_by if given.created_by is None else given.created_by
    silence = Silence(
        **fields
        | {
            "id": silence_id,
            "matchers": silence_matchers(given.matchers),
            "starts_at": starts_at,
            "ends_at": ends_at,
            "created_by": author,
            "time_zone": (given.time_zone or DEFAULT_ZONE) if given.rrule is not None else None,
        }
    )
    if silence.rrule is not None:
        _require_window(silence, now)
    size = len(msgspec.json.encode(silence_fields(silence)))
    if size > MAX_BYTES:
        raise InvalidInput("", f"silence exceeded maximum size: {size} bytes (limit: {MAX_BYTES} bytes)")
    return silence


def _require_window(silence: Silence, now: datetime) -> None:
    if windows_of(silence).ended(now):
        raise InvalidInput("rrule", "does not occur, or not any more")


def _check(given: NewSilence) -> None:
    if len(given.comment) > MAX_COMMENT:
        raise InvalidInput("comment", f"must not be longer than {MAX_COMMENT} characters")
    for field in ("created_by", "tenant_id"):
        text = getattr(given, field)
        if text is not None and len(text) > MAX_NAME:
            raise InvalidInput(field, f"must not be longer than {MAX_NAME} characters")
    if given.tenant_id == "":
        raise InvalidInput("tenant_id", "must not be empty; omit it to silence for all tenants")
    _check_channels(given)
    _check_combinations(given)
    for field in ("expires_if_unmatched_for", "remind_before"):
        text = getattr(given, field)
        if text is not None and not parse_duration(field, text, MAX_WAIT):
            raise InvalidInput(field, "must be more than 0")


def _check_channels(given: NewSilence) -> None:
    if len(given.channels) > MAX_CHANNELS:
        raise InvalidInput("channels", f"must not contain more than {MAX_CHANNELS} ids")
    for at, channel_id in enumerate(given.channels):
        _require_channel(f"channels[{at}]", channel_id)
    if given.remind_channel_id is not None:
        _require_channel("remind_channel_id", given.remind_channel_id)


def _check_combinations(given: NewSilence) -> None:
    for field, other in (("rrule", "duration"), ("remind_before", "remind_channel_id")):
        missing = [name for name in (field, other) if getattr(given, name) is None]
        if len(missing) == 1:
            raise InvalidInput(missing[0], f"is missing; `{field}` and `{other}` require each other")
    if given.time_zone is not None:
        if given.rrule is None:
            raise InvalidInput("time_zone", "requires `rrule`")
        zone_of(given.time_zone)


def _require_channel(field: str, channel_id: str) -> None:
    try:
        require_id(channel_id)
    except InvalidInput as error:
        raise InvalidInput(field, error.message) from None


def _times(given: NewSilence, now: datetime, kept_start: datetime | None) -> tuple[datetime, datetime | None]:
    """The start and the end. A start in the past becomes now, except a kept one and that of a recurrence."""
    starts_at, ends_at = _utc("starts_at", given.starts_at), _utc("ends_at", given.ends_at)
    if ends_at is None and given.rrule is None:
        raise InvalidInput("ends_at", "is missing; it may be omitted only with `rrule`")
    if starts_at is not None and ends_at is not None and starts_at >= ends_at:
        raise InvalidInput("ends_at", "start time must be before end time")
    if ends_at is not None and ends_at < now:
        raise InvalidInput("ends_at", "end time can't be in the past")
    if starts_at is not None and kept_start is not None and _same_second(starts_at, kept_start):
        starts_at = kept_start
    elif given.rrule is not None:
        starts_at = (starts_at or now).replace(microsecond=0)
    elif starts_at is None or starts_at < now:
        starts_at = now
    if ends_at is not None and starts_at >= ends_at:
        raise InvalidInput("ends_at", "start time must be before end time")
    return starts_at, ends_at


def _utc(field: str, time: datetime | None) -> datetime | None:
    if time is None:
        return None
    if time.tzinfo is None:
        raise InvalidInput(field, "must have a time zone, such as 2027-01-31T00:00:00Z")
    return time.astimezone(UTC)


def _same_second(one: datetime, other: datetime) -> bool:
    return one.replace(microsecond=0) == other.replace(microsecond=0)
