"""Decoding of Alertmanager's webhook (version 4), from Alertmanager or a compatible client.

Format: https://prometheus.io/docs/alerting/latest/configuration/#webhook_config
Unknown fields are ignored: releases of Alertmanager add fields, and Grafana adds its own.
"""

import json
import re
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final

import msgspec

from relay.domain.alerts import NO_TIME, Alert, Group, Status, fingerprint
from relay.domain.bounds import MAX_ANNOTATION, MAX_LABEL, MAX_PAIRS
from relay.domain.deviations import normalize, parse_deviating
from relay.domain.errors import InvalidWebhook
from relay.domain.fields import field_and_message
from relay.domain.grafana import grafana_fields

NUL_ESCAPE: Final = b"\\u0000"
MAX_COUNT: Final = 2**31 - 1
MAX_FINGERPRINT: Final = 128
"""Alertmanager's fingerprint has 16 characters. A longer one than this does not fit an index and is recomputed."""
ZERO_YEAR: Final = 1
"""Year of Go's zero time, 0001-01-01T00:00:00Z, which means "not set"."""

MIN_TIME: Final = datetime.min.replace(tzinfo=UTC) + timedelta(microseconds=1)
MAX_TIME: Final = datetime.max.replace(tzinfo=UTC) - timedelta(microseconds=1)
"""One microsecond inside the limits of `datetime`, which asyncpg converts to minus and plus infinity."""


LEAP_SECOND: Final = timedelta(seconds=1)

_STATUSES: Final = {status.value: status for status in (Status.FIRING, Status.RESOLVED)}
_leap_second: Final = re.compile(r"(?P<minute>\d{4}-\d\d-\d\d[T ]\d\d:\d\d):60(?P<rest>\D.*)?")
_go_time: Final = re.compile(r"(?P<time>.*) (?P<offset>[+-]\d{4}) \S+( M=\S+)?")
"""A time as Go prints it in a template: `2026-11-23 15:33:27.2 +0000 UTC`."""


class _WireAlert(msgspec.Struct, rename="camel", gc=False):
    # A null is as good as a missing field. `start_at` and `active_at` are names of other senders for the start.
    labels: dict[str, str] | None
    status: str | None = None
    starts_at: str | None = None
    annotations: dict[str, str] | None = None
    ends_at: str | None = None
    generator_url: str | None = msgspec.field(default=None, name="generatorURL")
    fingerprint: str | None = None
    start_at: Any = None
    active_at: Any = None
    dashboard_url: Any = msgspec.field(default=msgspec.UNSET, name="dashboardURL")
    panel_url: Any = msgspec.field(default=msgspec.UNSET, name="panelURL")
    silence_url: Any = msgspec.field(default=msgspec.UNSET, name="silenceURL")
    values: Any = msgspec.UNSET
    value_string: Any = msgspec.UNSET


class _WireGroup(msgspec.Struct, rename="camel", gc=False):
    alerts: list[_WireAlert]
    status: Any = None
    group_key: str | None = None
    receiver: str | None = None
    group_labels: dict[str, str] | None = None
    common_labels: dict[str, str] | None = None
    common_annotations: dict[str, str] | None = None
    external_url: str | None = msgspec.field(default=None, name="externalURL")
    truncated_alerts: int | None = None


# What exceeds the bounds fails here and is decoded again without them, which costs most webhooks nothing.
_Label = Annotated[str, msgspec.Meta(max_length=MAX_LABEL)]
_Annotation = Annotated[str, msgspec.Meta(max_length=MAX_ANNOTATION)]
_Labels = Annotated[dict[_Label, _Label], msgspec.Meta(max_length=MAX_PAIRS)]
_Annotations = Annotated[dict[_Label, _Annotation], msgspec.Meta(max_length=MAX_PAIRS)]


class _BoundedAlert(_WireAlert, rename="camel", gc=False):
    labels: _Labels | None
    annotations: _Annotations | None = None
    generator_url: _Annotation | None = msgspec.field(default=None, name="generatorURL")


class _BoundedGroup(_WireGroup, rename="camel", gc=False):
    alerts: list[_BoundedAlert]  # type: ignore[assignment]  # a list that nothing is added to
    group_labels: _Labels | None = None
    common_labels: _Labels | None = None
    common_annotations: _Annotations | None = None


_decoder = msgspec.json.Decoder(_BoundedGroup)


def decode_webhook(body: bytes, now: datetime | None = None) -> Group:
    """Decode a webhook's body, whatever its texts' lengths; see `decode_with_bounds`."""
    return decode_with_bounds(body, now)[0]


def decode_with_bounds(body: bytes, now: datetime | None = None) -> tuple[Group, bool]:
    """Decode a webhook's body, and say whether its labels and annotations are known to be within the bounds.

    Text that Postgres or UTF-8 can't store (U+0000, lone surrogates, invalid bytes) becomes U+FFFD, so that one
    invalid character does not reject an alert. Values of another JSON type than Alertmanager's are converted.

    An alert without a status is resolved if its endsAt has passed, and firing if that is in the future; without
    an endsAt it has the status of the group. `now` is the clock for that, by default the current time.

    Raises:
        InvalidWebhook: the body is not JSON or not a webhook; names the field.
    """
    if not body.strip():
        raise InvalidWebhook("", "the body is empty")
    wire, within = _decode_wire(body)
    if not wire.alerts:
        raise InvalidWebhook("alerts", "must contain at least one alert")
    group_status = _known_status(wire.status) or Status.FIRING
    alerts = tuple([_alert(alert, at, group_status, now) for at, alert in enumerate(wire.alerts)])
    group_labels = wire.group_labels or {}
    group = Group(
        group_key=wire.group_key or _default_group_key(group_labels),
        receiver=wire.receiver or "",
        alerts=alerts,
        group_labels=group_labels,
        common_labels=wire.common_labels or {},
        common_annotations=wire.common_annotations or {},
        external_url=wire.external_url or "",
        truncated=min(max(wire.truncated_alerts or 0, 0), MAX_COUNT),
    )
    return group, within


def _decode_wire(body: bytes) -> tuple[_WireGroup, bool]:
    try:
        if NUL_ESCAPE not in body:
            try:
                return _decoder.decode(body), True
            except (msgspec.MsgspecError, UnicodeDecodeError):
                pass  # msgspec also rejects lone surrogates and invalid UTF-8, which are replaced below
        return msgspec.convert(normalize(parse_deviating(body)), _WireGroup), False
    except msgspec.ValidationError as error:
        field, message = field_and_message(error)
        raise InvalidWebhook(field, message) from error
    except RecursionError as error:
        raise InvalidWebhook("", "the JSON is nested too deeply") from error
    except ValueError as error:
        raise InvalidWebhook("", f"the body is not JSON: {error}") from error


def _alert(wire: _WireAlert, position: int, group_status: Status, now: datetime | None) -> Alert:
    labels = wire.labels or {}
    ends_at = _time(wire.ends_at, position, "endsAt") if wire.ends_at else None
    if ends_at is not None and ends_at <= NO_TIME:
        ends_at = None
    if wire.status:
        status = _known_status(wire.status)
        if status is None:
            raise InvalidWebhook(f"alerts[{position}].status", "must be `firing` or `resolved`")
    elif ends_at is None:
        status = group_status
    else:
        status = Status.FIRING if ends_at > (now or datetime.now(UTC)) else Status.RESOLVED
    return Alert(
        status=status,
        labels=labels,
        annotations=wire.annotations or {},
        starts_at=_start(wire, position),
        ends_at=None if status is Status.FIRING else ends_at,
        generator_url=wire.generator_url or "",
        fingerprint=_fingerprint(wire.fingerprint or "", labels),
        grafana=grafana_fields(
            wire.dashboard_url, wire.panel_url, wire.silence_url, wire.values, wire.value_string
        ),
    )


def _known_status(text: Any) -> Status | None:
    """The status that a sender names, in any case; None if it is another one."""
    if not isinstance(text, str):
        return None
    return _STATUSES.get(text) or _STATUSES.get(text.strip().lower())


def _start(wire: _WireAlert, position: int) -> datetime:
    """The start of an alert; `MIN_TIME`, as for Go's zero time, if an alert with labels has none."""
    if wire.starts_at:
        return _time(wire.starts_at, position, "startsAt")
    for other in (wire.start_at, wire.active_at):
        if isinstance(other, str) and other:
            return _time(other, position, "startsAt")
    if wire.labels:
        return MIN_TIME
    raise InvalidWebhook(f"alerts[{position}].startsAt", "is missing, and the alert has no labels")


def _fingerprint(given: str, labels: dict[str, str]) -> str:
    return given if 0 < len(given) <= MAX_FINGERPRINT else fingerprint(labels)


def _time(text: str, position: int, field: str) -> datetime:
    """Parse RFC 3339 into UTC with microseconds, clamped to MIN_TIME and MAX_TIME."""
    try:
        parsed = datetime.fromisoformat(text)
    except ValueError:
        return _deviating_time(text, position, field)
    if parsed.tzinfo is UTC and MIN_TIME <= parsed <= MAX_TIME:
        return parsed
    if parsed.tzinfo is None:
        parsed = parsed.replace(tzinfo=UTC)
    try:
        return min(max(parsed.astimezone(UTC), MIN_TIME), MAX_TIME)
    except OverflowError:
        return MIN_TIME if parsed.year <= ZERO_YEAR else MAX_TIME


def _deviating_time(text: str, position: int, field: str) -> datetime:
    """Parse a time with a leap second, in lower case, with blanks around it, or as Go prints it."""
    plain = text.strip().upper()
    if found := _go_time.fullmatch(plain):
        plain = found["time"] + found["offset"]
    if found := _leap_second.fullmatch(plain):
        before = _time(f"{found['minute']}:59{found['rest'] or ''}", position, field)
        return min(before, MAX_TIME - LEAP_SECOND) + LEAP_SECOND
    if plain != text:
        return _time(plain, position, field)
    message = "must be an RFC 3339 time, such as 2026-11-23T15:33:27.229Z"
    raise InvalidWebhook(f"alerts[{position}].{field}", message)


def _default_group_key(group_labels: dict[str, str]) -> str:
    pairs = ", ".join(f"{name}={json.dumps(value)}" for name, value in sorted(group_labels.items()))
    return f"{{}}:{{{pairs}}}"
