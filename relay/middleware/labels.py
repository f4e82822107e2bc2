"""Limits on label values, so that clients can't create an unlimited number of series."""

import threading
from typing import Final

OTHER: Final = "other"
"""The label value that replaces values beyond the limit."""
UNKNOWN: Final = "unknown"
"""The label value for an absent tenant or other absent value."""
UNMATCHED: Final = "unmatched"
"""The endpoint of a request that matched no route."""
METHODS: Final = frozenset(
    ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "QUERY")
)
MAX_LENGTH: Final = 200
"""Characters; longer values are replaced."""


def label_text(value: object) -> str:
    """Convert any value to a label value."""
    return UNKNOWN if value is None or value == "" else str(value)


class LabelLimit:
    """Accepts the first `limit` values of a label; each later one becomes `other`."""

    def __init__(self, limit: int) -> None:
        self._known = {OTHER, UNKNOWN, UNMATCHED}
        self._max_known = limit + len(self._known)
        # Reentrant: a signal handler or the garbage collector may count in the same thread meanwhile.
        self._lock = threading.RLock()

    def __call__(self, value: str) -> str:
        """Return the value, or `other`."""
        if value in self._known:
            return value
        if len(value) > MAX_LENGTH or not _is_encodable(value):
            return OTHER
        with self._lock:
            if value not in self._known and len(self._known) >= self._max_known:
                return OTHER
            self._known.add(value)
        return value


def method(value: str) -> str:
    """Return the value if it is an HTTP method, or `OTHER`."""
    return value if value in METHODS else "OTHER"


def status_code(value: str) -> str:
    """Return the value if it is a valid HTTP status, or `other`."""
    return value if len(value) == 3 and "100" <= value <= "599" and value.isdecimal() else OTHER


def _is_encodable(value: str) -> bool:
    # A lone surrogate in one label would make the whole metrics page impossible to encode.
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True
