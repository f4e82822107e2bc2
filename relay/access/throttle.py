"""Throttling of failed logins, by address and by the start of the credential."""

import ipaddress
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Final

from relay.domain.errors import TooManyRequests

FAILURES: Final = 20
"""The failure within a window from which on the response is 429."""
WINDOW: Final = 60.0
"""Seconds."""
MAX_TRACKED: Final = 10_000
PREFIX: Final = 14
"""Characters of a credential that are tracked: `relay_` and eight of its random ones."""
SUBNET: Final = 64
"""Bits of an IPv6 address that are tracked: one client usually has all addresses of a /64."""


class Throttle:
    """Counts failures. A valid credential is never refused, so that nobody can lock out its owner."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        """No failures."""
        self._now = now
        self._windows: OrderedDict[str, tuple[float, int]] = OrderedDict()

    def failed(self, address: str, credential: str) -> None:
        """Count a failed login.

        Raises:
            TooManyRequests: there were too many from the address, or with credentials that start like this one.
        """
        waits = [self._count(key) for key in _keys(address, credential)]
        if wait := max(waits):
            raise TooManyRequests("too many failed logins; retry later with a valid credential", wait)

    def _count(self, key: str) -> int:
        """Count a failure; return the seconds until the window ends, or 0 while there are few in it."""
        now = self._now()
        began, count = self._windows.pop(key, (now, 0))
        if now - began >= WINDOW:
            began, count = now, 0
        self._windows[key] = (began, count + 1)
        if len(self._windows) > MAX_TRACKED:
            self._windows.popitem(last=False)
        return max(1, round(began + WINDOW - now)) if count + 1 >= FAILURES else 0


def _keys(address: str, credential: str) -> Sequence[str]:
    return (f"address {_subnet(address)}", f"credential {credential[:PREFIX]}")


def _subnet(address: str) -> str:
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    if parsed.version == 4:
        return address
    return str(ipaddress.ip_network((parsed, SUBNET), strict=False))
