"""Limits on the webhooks of ingest keys: one tenant must not keep the relay from serving another."""

import math
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from relay.domain.errors import Unavailable
from relay.domain.principals import Principal, Role

BURST_SECONDS: Final = 5.0
"""The burst, in seconds of the rate."""
TOKEN_BYTES: Final = 64 * 1024
"""Each begun 64 KiB of a body counts as one webhook."""
MAX_KEYS: Final = 10_000


class KeyLimits:
    """A token bucket for each ingest key of the database, in this process."""

    def __init__(self, per_second: float, now: Callable[[], float] = time.monotonic) -> None:
        """Allow each key `per_second` webhooks."""
        self._per_second = per_second
        self._burst = max(1.0, per_second * BURST_SECONDS)
        self._now = now
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def require_room(self, principal: Principal) -> None:
        """Take a token for a webhook.

        Raises:
            Unavailable: the key has none; states after how many seconds it has.
        """
        if not _is_limited(principal):
            return
        tokens = self._tokens(principal.subject)
        if tokens < 1:
            wait = max(1, math.ceil((1 - tokens) / self._per_second))
            raise Unavailable(f"the key {principal.name!r} posts more than {self._per_second:g} webhooks/s", wait)
        self._keep(principal.subject, tokens - 1)

    def count_size(self, principal: Principal, size: int) -> None:
        """Take the tokens of a large body, which the next webhooks wait for."""
        if _is_limited(principal) and size > TOKEN_BYTES:
            self._keep(principal.subject, self._tokens(principal.subject) - (size - 1) // TOKEN_BYTES)

    def _tokens(self, subject: str) -> float:
        now = self._now()
        tokens, at = self._buckets.get(subject, (self._burst, now))
        return min(self._burst, tokens + (now - at) * self._per_second)

    def _keep(self, subject: str, tokens: float) -> None:
        self._buckets[subject] = (tokens, self._now())
        self._buckets.move_to_end(subject)
        if len(self._buckets) > MAX_KEYS:
            self._buckets.popitem(last=False)


def _is_limited(principal: Principal) -> bool:
    return principal.kind == "key" and principal.issuer == "relay" and principal.role is Role.INGEST
