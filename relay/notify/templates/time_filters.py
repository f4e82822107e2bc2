"""Template filters for times and durations."""

import contextlib
import math
import zoneinfo
from datetime import UTC, datetime, tzinfo
from typing import Any, Final

from relay.notify.templates.numbers import go_number, is_number
from relay.notify.text.plain_text import format_duration

FORMAT: Final = "%Y-%m-%d %H:%M:%S %Z"
MAX_FORMAT: Final = 200


def date(value: Any, form: str = FORMAT, zone: str = "UTC") -> str:
    """A time in a format of `strftime` and in a time zone; empty for null. Takes RFC 3339 or seconds since 1970.

    https://docs.python.org/3/library/datetime.html#format-codes

    Raises:
        ValueError: the value is not a time, or the zone or the format is invalid.
    """
    if value in (None, ""):
        return ""
    if len(form) > MAX_FORMAT:
        raise ValueError(f"the format is longer than {MAX_FORMAT} characters")
    time = _parse(value)
    with contextlib.suppress(OverflowError):  # the zero time, in a zone that is behind UTC
        time = time.astimezone(_zone(zone))
    return time.strftime(form)


def tz(value: Any, zone: str) -> str:
    """A time in a time zone, such as `Europe/Vienna`: `2026-11-23 16:33:27 CET`. See `date`."""
    return date(value, FORMAT, zone)


def duration(value: Any, until: Any = None) -> str:
    """A duration in its two largest units: `7m 12s`. Takes seconds, or a start time and an end (default: now).

    Raises:
        ValueError: the value is neither a number nor a time.
    """
    if isinstance(value, str) and not is_number(value):
        end = datetime.now(UTC) if until is None else _parse(until)
        seconds = (end - _parse(value)).total_seconds()
    else:
        seconds = float(value)
    if not math.isfinite(seconds):
        return go_number(seconds)
    sign, length = "-" if seconds < 0 else "", abs(seconds)
    return sign + (f"{round(length * 1000)}ms" if 0 < length < 1 else format_duration(length))


def _parse(value: Any) -> datetime:
    if is_number(value):
        try:
            return datetime.fromtimestamp(float(value), UTC)
        except OverflowError:
            raise ValueError(f"{value!r} is not a time") from None
    time = datetime.fromisoformat(str(value))
    return time if time.tzinfo is not None else time.replace(tzinfo=UTC)


def _zone(name: str) -> tzinfo:
    try:
        return zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(f"{name!r} is not a time zone, such as Europe/Vienna") from None
