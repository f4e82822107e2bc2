"""Decoding of Alertmanager's webhook (version 4), from Alertmanager or a compatible client.

Format: https://prometheus.io/docs/alerting/latest/configuration/#webhook_config
Unknown fields are ignored: releases of Alertmanager add fields, and Grafana adds its own.
"""

import json
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import msgspec

from relay.domain.alerts import Alert, Group, Status, fingerprint
from relay.domain.errors import InvalidWebhook
from relay.domain.fields import field_and_message, replace_unstorable

NUL_ESCAPE: Final = b"\\u0000"
MAX_COUNT: Final = 2**31 - 1
MAX_FINGERPRINT: Final = 128
"""Alertmanager's fingerprint has 16 characters. A longer one than this does not fit an index and is recomputed."""
ZERO_YEAR: Final = 1
"""Year of Go's zero time, 0001-01-01T00:00:00Z, which means "not set"."""

MIN_TIME: Final = datetime.min.replace(tzinfo=UTC) + timedelta(microseconds=1)
MAX_TIME: Final = datetime.max.replace(tzinfo=UTC) - timedelta(microseconds=1)
"""One microsecond inside the limits of `datetime`, which asyncpg converts to minus and plus infinity."""


_STATUSES: Final = {status.value: status for status in (Status.FIRING, Status.RESOLVED)}


class _WireAlert(msgspec.Struct, rename="camel", gc=False):
    status: str
    labels: dict[str, str]
    starts_at: str
    annotations: dict[str, str] | None = None
    ends_at: str | None = None
    generator_url: str | None = msgspec.field(default=None, name="generatorURL")
    fingerprint: str | None = None


class _WireGroup(msgspec.Struct, rename="camel", gc=False):
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

    Text that Postgres or UTF-8 can't store (U+0000, lone surrogates, invalid bytes) becomes U+FFFD, so that one
    invalid character does not reject an alert.

    Raises:
        InvalidWebhook: the body is not JSON or not a webhook; names the field.
    """
    if not body.strip():
        raise InvalidWebhook("", "the body is empty")
    wire = _decode_wire(body)
    if not wire.alerts:
        raise InvalidWebhook("alerts", "must contain at least one alert")
    alerts = tuple([_alert(alert, at) for at, alert in enumerate(wire.alerts)])
    group_labels = wire.group_labels or {}
    return Group(
        group_key=wire.group_key or _default_group_key(group_labels),
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
            return _decode_replacing(body)
        try:
            return _decoder.decode(body)
        except msgspec.ValidationError:
            raise
        except (msgspec.DecodeError, UnicodeDecodeError):
            # msgspec rejects lone surrogates and invalid UTF-8; the standard library can replace them.
            return _decode_replacing(body)
    except msgspec.ValidationError as error:
        field, message = field_and_message(error)
        raise InvalidWebhook(field, message) from error
    except RecursionError as error:
        raise InvalidWebhook("", "the JSON is nested too deeply") from error


def _decode_replacing(body: bytes) -> _WireGroup:
    try:
        raw: Any = json.loads(body.decode("utf-8-sig", errors="replace"))
    except ValueError as error:  # also raised for a number with thousands of digits
        raise InvalidWebhook("", f"the body is not JSON: {error}") from error
    return msgspec.convert(replace_unstorable(raw), _WireGroup)


def _alert(wire: _WireAlert, position: int) -> Alert:
    status = _STATUSES.get(wire.status)
    if status is None:
        raise InvalidWebhook(f"alerts[{position}].status", "must be `firing` or `resolved`")
    ends_at = _time(wire.ends_at, position, "endsAt") if wire.ends_at else None
    if status is Status.FIRING or (ends_at is not None and ends_at.year <= ZERO_YEAR):
        ends_at = None
    return Alert(
        status=status,
        labels=wire.labels,
        annotations=wire.annotations or {},
        starts_at=_time(wire.starts_at, position, "startsAt"),
        ends_at=ends_at,
        generator_url=wire.generator_url or "",
        fingerprint=_fingerprint(wire),
    )


def _fingerprint(wire: _WireAlert) -> str:
    given = wire.fingerprint or ""
    return given if 0 < len(given) <= MAX_FINGERPRINT else fingerprint(wire.labels)


def _time(text: str, position: int, field: str) -> datetime:
    """Parse RFC 3339 into UTC with microseconds, clamped to MIN_TIME and MAX_TIME."""
    try:
        parsed = datetime.fromisoformat(text)
    except ValueError:
        message = "must be an RFC 3339 time, such as 2026-11-23T15:33:27.229Z"
        raise InvalidWebhook(f"alerts[{position}].{field}", message) from None
    if parsed.tzinfo is UTC and MIN_TIME <= parsed <= MAX_TIME:
        return parsed
    if parsed.tzinfo is None:
        raise InvalidWebhook(f"alerts[{position}].{field}", "must have a UTC offset or `Z`")
    try:
        return min(max(parsed.astimezone(UTC), MIN_TIME), MAX_TIME)
    except OverflowError:
        return MIN_TIME if parsed.year <= ZERO_YEAR else MAX_TIME


def _default_group_key(group_labels: dict[str, str]) -> str:
    pairs = ", ".join(f"{name}={json.dumps(value)}" for name, value in sorted(group_labels.items()))
    return f"{{}}:{{{pairs}}}"
