"""Recurrence rules of RFC 5545.

https://www.rfc-editor.org/rfc/rfc5545#section-3.3.10
"""

import re
from datetime import datetime, time
from typing import Any, Final

import msgspec
from dateutil import rrule

from relay.domain.errors import InvalidInput

MAX_LENGTH: Final = 500
MAX_INTERVAL: Final = 1_000
MAX_COUNT: Final = 1_000
MAX_DAILY: Final = 24
"""Occurrences on one day."""
FREQUENCIES: Final[dict[str, int]] = {
    "YEARLY": rrule.YEARLY,
    "MONTHLY": rrule.MONTHLY,
    "WEEKLY": rrule.WEEKLY,
    "DAILY": rrule.DAILY,
    "HOURLY": rrule.HOURLY,
}
_WEEKDAYS: Final = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")
_NUMBERS: Final = {
    "BYMONTH": (1, 12),
    "BYMONTHDAY": (-31, 31),
    "BYYEARDAY": (-366, 366),
    "BYWEEKNO": (-53, 53),
    "BYSETPOS": (-366, 366),
    "BYHOUR": (0, 23),
    "BYMINUTE": (0, 59),
    "BYSECOND": (0, 59),
}
"""The parts that are lists of numbers, with the smallest and the largest; negative ones count from the end."""
_EXCLUDED: Final = {
    "BYWEEKNO": ("MONTHLY", "WEEKLY", "DAILY", "HOURLY"),
    "BYYEARDAY": ("MONTHLY", "WEEKLY", "DAILY"),
    "BYMONTHDAY": ("WEEKLY",),
}
"""The frequencies that RFC 5545 excludes for a part."""
_number = re.compile(r"[+-]?\d{1,3}", re.ASCII)
_weekday = re.compile(r"(?P<nth>[+-]?\d{1,2})?(?P<day>MO|TU|WE|TH|FR|SA|SU)", re.ASCII)
_until = re.compile(r"(?P<date>\d{8})(?P<time>T\d{6}Z?)?", re.ASCII)


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """A recurrence rule. `until` without a time zone is local; `options` are dateutil's arguments for the rest."""

    frequency: int
    interval: int
    count: int | None
    until: datetime | None
    options: dict[str, Any]


def parse_rrule(text: str) -> Rule:
    """Parse a rule such as `FREQ=WEEKLY;BYDAY=MO,TU`, also after `RRULE:`.

    Raises:
        InvalidInput: it is malformed, or occurs more than MAX_DAILY times on a day; the field is `rrule`.
    """
    parts = _parts(text)
    frequency = parts.pop("FREQ", None)
    if frequency not in FREQUENCIES:
        raise _invalid(f"FREQ must be one of {', '.join(FREQUENCIES)}")
    if "COUNT" in parts and "UNTIL" in parts:
        raise _invalid("COUNT and UNTIL exclude each other")
    count, until = parts.pop("COUNT", None), parts.pop("UNTIL", None)
    interval = parts.pop("INTERVAL", "1")
    options: dict[str, Any] = {"wkst": _first_day(parts.pop("WKST", "MO"))}
    for name, value in parts.items():
        if frequency in _EXCLUDED.get(name, ()):
            raise _invalid(f"{name} can't be combined with FREQ={frequency}")
        if name == "BYDAY":
            numbered = frequency == "MONTHLY" or (frequency == "YEARLY" and "BYWEEKNO" not in parts)
            options["byweekday"] = [_day(item, numbered) for item in value.split(",")]
        else:
            options[name.lower()] = _numbers(name, value)
    _require_few(FREQUENCIES[frequency], options)
    return Rule(
        frequency=FREQUENCIES[frequency],
        interval=_bounded("INTERVAL", interval, MAX_INTERVAL),
        count=None if count is None else _bounded("COUNT", count, MAX_COUNT),
        until=None if until is None else _end(until),
        options=options,
    )


def _parts(text: str) -> dict[str, str]:
    if len(text) > MAX_LENGTH:
        raise _invalid(f"must not be longer than {MAX_LENGTH} characters")
    rule = text.upper().removeprefix("RRULE:")
    parts: dict[str, str] = {}
    for part in rule.split(";"):
        name, equals, value = part.partition("=")
        if not equals or not value or name not in _KNOWN:
            raise _invalid(f"{part!r} is not a part of a rule such as FREQ=WEEKLY;BYDAY=MO,TU")
        if name in parts:
            raise _invalid(f"{name} must not occur twice")
        parts[name] = value
    return parts


_KNOWN: Final = frozenset({"FREQ", "INTERVAL", "COUNT", "UNTIL", "WKST", "BYDAY", *_NUMBERS})


def _numbers(name: str, text: str) -> list[int]:
    smallest, largest = _NUMBERS[name]
    found = []
    for item in text.split(","):
        number = int(item) if _number.fullmatch(item) else None
        if number is None or not smallest <= number <= largest or (smallest < 0 and number == 0):
            raise _invalid(f"{name} has {item!r}; must be numbers from {smallest} to {largest}")
        found.append(number)
    return sorted(set(found))


def _bounded(name: str, text: str, at_most: int) -> int:
    if not re.fullmatch(r"\d{1,9}", text, re.ASCII) or not 1 <= int(text) <= at_most:
        raise _invalid(f"{name} must be a number from 1 to {at_most}")
    return int(text)


def _first_day(text: str) -> int:
    if text not in _WEEKDAYS:
        raise _invalid(f"WKST must be one of {', '.join(_WEEKDAYS)}")
    return _WEEKDAYS.index(text)


def _day(text: str, numbered: bool) -> Any:
    found = _weekday.fullmatch(text)
    if found is None or (found["nth"] and not 1 <= abs(int(found["nth"])) <= 53):
        raise _invalid(f"BYDAY has {text!r}; must be days such as MO, or -1FR for the last Friday")
    if found["nth"] and not numbered:
        raise _invalid(f"BYDAY has {text!r}; only MONTHLY, and YEARLY without BYWEEKNO, have numbered days")
    return rrule.weekday(_WEEKDAYS.index(found["day"]), int(found["nth"]) if found["nth"] else None)


def _end(text: str) -> datetime:
    """The last time at which an occurrence may start; a date includes the whole day."""
    try:
        if found := _until.fullmatch(text):
            until = datetime.fromisoformat(text)
            return until if found["time"] else datetime.combine(until, time(23, 59, 59))
    except ValueError:
        pass
    raise _invalid("UNTIL must be a time such as 20271231T225959Z, or a date such as 20271231")


def _require_few(frequency: int, options: dict[str, Any]) -> None:
    hours = 24 if frequency == rrule.HOURLY and "byhour" not in options else len(options.get("byhour", (0,)))
    daily = hours * len(options.get("byminute", (0,))) * len(options.get("bysecond", (0,)))
    if daily > MAX_DAILY:
        raise _invalid(f"must not occur more than {MAX_DAILY} times on a day")


def _invalid(message: str) -> InvalidInput:
    return InvalidInput("rrule", message)
