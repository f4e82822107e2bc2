"""The token bucket that spaces a channel's messages."""


class Pacer:
    """Spaces messages by a token bucket at the very moment when they go out.

    The database's bucket bounds what is claimed; between a claim and its sending some time passes, which must not
    let two handfuls meet.
    """

    def __init__(self, per_second: float, burst: int, tokens: float, now: float) -> None:
        """A bucket that holds `tokens` now."""
        self._per_second = per_second
        self._burst = burst
        self._tokens = tokens
        self._at = now

    def delay(self, now: float) -> float:
        """Take a token; seconds to wait until it is there."""
        self._tokens = min(self._burst, self._tokens + (now - self._at) * self._per_second) - 1
        self._at = now
        return max(0.0, -self._tokens / self._per_second)
