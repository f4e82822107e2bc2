"""Which values may a label take, so that no client can make ever more series?"""

import threading
from typing import Final

OTHER: Final = "other"
"""What a label says instead of one value too many."""
UNKNOWN: Final = "unknown"
"""The tenant of a request that names none, and whatever else nobody named."""
UNMATCHED: Final = "unmatched"
"""The endpoint of a request that no route took."""
METHODS: Final = frozenset(
    ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "QUERY")
)
LONGEST: Final = 200
"""Characters. Longer is no name, but somebody trying things."""


def named(value: object) -> str:
    """What a label says of any value."""
    return UNKNOWN if value is None or value == "" else str(value)


class Bound:
    """Lets the first `most` values of a label through as they are; each later one becomes `other`."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._known = {OTHER, UNKNOWN, UNMATCHED}
        self._most_known = most + len(self._known)
        # Reentrant: a signal or the collector of garbage may have the same thread count in between.
        self._lock = threading.RLock()

    def __call__(self, value: str) -> str:
        """The value, or `other`."""
        if value in self._known:
            return value
        if len(value) > LONGEST or not _can_be_shown(value):
            return OTHER
        with self._lock:
            if value not in self._known and len(self._known) >= self._most_known:
                return OTHER
            self._known.add(value)
        return value


def method(value: str) -> str:
    """One of HTTP's methods, or `OTHER`."""
    return value if value in METHODS else "OTHER"


def status_code(value: str) -> str:
    """A status that HTTP can have, or `other`."""
    return value if len(value) == 3 and "100" <= value <= "599" and value.isdecimal() else OTHER


def _can_be_shown(value: str) -> bool:
    # One lone surrogate in one label, and the whole page of metrics can't be encoded any more.
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True
