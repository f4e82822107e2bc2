"""What did Alertmanager (or anything that posts its webhook, version 4) say?

Format: https://prometheus.io/docs/alerting/latest/configuration/#webhook_config
Unknown fields are ignored: each release of Alertmanager adds some, and Grafana adds its own.
"""

import json
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import msgspec

from relay.domain.alerts import Alert, Group, Status, fingerprint
from relay.domain.errors import InvalidWebhook
from relay.domain.fields import clean, field_and_message

NUL_ESCAPE: Final = b"\\u0000"
MAX_COUNT: Final = 2**31 - 1
MAX_FINGERPRINT: Final = 128
"""Alertmanager's has 16 characters; a longer one than this would not fit an index, and is made anew."""
ZERO_YEAR: Final = 1
"""Go's zero time, 0001-01-01T00:00:00Z, stands for "no time"."""

INSIDE: Final = timedelta(microseconds=1)
FIRST_MOMENT: Final = datetime.min.replace(tzinfo=UTC) + INSIDE
LAST_MOMENT: Final = datetime.max.replace(tzinfo=UTC) - INSIDE
"""Just inside the calendar's edges: the very edges mean minus and plus infinity to the database's driver."""


class _WireAlert(msgspec.Struct, rename="camel"):
    status: str
    labels: dict[str, str]
    starts_at: str
    annotations: dict[str, str] | None = None
    ends_at: str | None = None
    generator_url: str | None = msgspec.field(default=None, name="generatorURL")
    fingerprint: str | None = None


class _WireGroup(msgspec.Struct, rename="camel"):
    alerts: list[_WireAlert]
    group_key: str | None = None
    receiver: str | None = None
    group_labels: dict[str, str] | None = None
    common_labels: dict[str, str] | None = None
    common_annotations: dict[str, str] | None = None
    external_url: str | None = msgspec.field(default=None, name="externalURL")
    truncated_alerts: int | None = None


_decoder = msgspec.json.Decoder(_WireGroup)


def decode_webhook(body: bytes) -> Group:
    """Decode a webhook's body.

    Text that Postgres or UTF-8 can't hold (U+0000, lone surrogates, broken bytes) becomes U+FFFD: an alert
    is worth more than one odd character.

    Raises:
        InvalidWebhook: it is no JSON, or not the shape of a webhook; names the field.
    """
    if not body.strip():
        raise InvalidWebhook("", "the body is empty")
    wire = _decode_wire(body)
    if not wire.alerts:
        raise InvalidWebhook("alerts", "must hold at least one alert")
    alerts = tuple(_alert(alert, f"alerts[{at}]") for at, alert in enumerate(wire.alerts))
    group_labels = wire.group_labels or {}
    return Group(
        group_key=wire.group_key or _made_group_key(group_labels),
        receiver=wire.receiver or "",
        alerts=alerts,
        group_labels=group_labels,
        common_labels=wire.common_labels or {},
        common_annotations=wire.common_annotations or {},
        external_url=wire.external_url or "",
        truncated=min(max(wire.truncated_alerts or 0, 0), MAX_COUNT),
    )


def _decode_wire(body: bytes) -> _WireGroup:
    try:
        if NUL_ESCAPE in body:
            return _decode_unclean(body)
        try:
            return _decoder.decode(body)
        except msgspec.ValidationError:
            raise
        except (msgspec.DecodeError, UnicodeDecodeError):
            # The fast decoder refuses lone surrogates and broken UTF-8; the standard library can be told not to.
            return _decode_unclean(body)
    except msgspec.ValidationError as error:
        field, message = field_and_message(error)
        raise InvalidWebhook(field, message) from error
    except RecursionError as error:
        raise InvalidWebhook("", "the JSON is nested too deeply") from error


def _decode_unclean(body: bytes) -> _WireGroup:
    try:
        raw: Any = json.loads(body.decode("utf-8-sig", errors="replace"))
    except ValueError as error:  # also what the standard library says of a number with thousands of digits
        raise InvalidWebhook("", f"the body is not JSON: {error}") from error
    return msgspec.convert(clean(raw), _WireGroup)


def _alert(wire: _WireAlert, path: str) -> Alert:
    if wire.status not in (Status.FIRING, Status.RESOLVED):
        raise InvalidWebhook(f"{path}.status", "must be `firing` or `resolved`")
    status = Status(wire.status)
    ends_at = _time(wire.ends_at, f"{path}.endsAt") if wire.ends_at else None
    if status is Status.FIRING or (ends_at is not None and ends_at.year <= ZERO_YEAR):
        ends_at = None
    return Alert(
        status=status,
        labels=wire.labels,
        annotations=wire.annotations or {},
        starts_at=_time(wire.starts_at, f"{path}.startsAt"),
        ends_at=ends_at,
        generator_url=wire.generator_url or "",
        fingerprint=_fingerprint(wire),
    )


def _fingerprint(wire: _WireAlert) -> str:
    given = wire.fingerprint or ""
    return given if 0 < len(given) <= MAX_FINGERPRINT else fingerprint(wire.labels)


def _time(text: str, path: str) -> datetime:
    """Parse RFC 3339 into UTC, cut to microseconds; an offset may carry it out of the calendar: then its edge."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise InvalidWebhook(path, "must be an RFC 3339 time, such as 2026-11-23T15:33:27.229Z") from None
    if moment.tzinfo is None:
        raise InvalidWebhook(path, "must carry an offset or `Z`")
    try:
        return min(max(moment.astimezone(UTC), FIRST_MOMENT), LAST_MOMENT)
    except OverflowError:
        return FIRST_MOMENT if moment.year <= ZERO_YEAR else LAST_MOMENT


def _made_group_key(group_labels: dict[str, str]) -> str:
    pairs = ", ".join(f"{name}={json.dumps(value)}" for name, value in sorted(group_labels.items()))
    return f"{{}}:{{{pairs}}}"
