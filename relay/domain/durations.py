"""Durations as Prometheus writes them: `90s`, `5m`, `1h30m`.

https://prometheus.io/docs/prometheus/latest/querying/basics/#float-literals-and-time-durations
"""

import re
from datetime import timedelta
from typing import Final

from relay.domain.errors import InvalidInput

_SECONDS: Final = {"w": 604_800.0, "d": 86_400.0, "h": 3_600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
_FORMAT: Final = re.compile(
    r"(?:(?P<w>\d{1,9})w)?(?:(?P<d>\d{1,9})d)?(?:(?P<h>\d{1,9})h)?(?:(?P<m>\d{1,9})m)?"
    r"(?:(?P<s>\d{1,9})s)?(?:(?P<ms>\d{1,9})ms)?",
    re.ASCII,
)


def parse_duration(field: str, text: str, at_most: timedelta) -> timedelta:
    """Parse a duration; `0` is allowed without a unit.

    Raises:
        InvalidInput: it is malformed or too long.
    """
    found = _FORMAT.fullmatch(text)
    if text == "0":
        return timedelta(0)
    if found is None or not text:
        raise InvalidInput(field, "must be a duration such as 90s, 5m or 1h30m")
    seconds = sum(int(number) * _SECONDS[unit] for unit, number in found.groupdict().items() if number is not None)
    if seconds > at_most.total_seconds():
        raise InvalidInput(field, f"must be at most {at_most.days} days")
    return timedelta(seconds=seconds)
