"""The throttle of a channel: concurrency, pauses and token pacing."""

from typing import Final

from relay.deliver.circuit_breaker import NEUTRAL_REASONS
from relay.domain.outcomes import FIRST_DELAY, Outcome, Reason, Rejected, Retry, Sent

INITIAL_CONCURRENCY: Final = 4
MIN_CONCURRENCY: Final = 2
"""Two, so that one request that hangs does not block the others of its channel."""
MAX_CONCURRENCY: Final = 32
"""Groups of one channel whose messages may be in flight at the same time."""
MAX_PAUSE: Final = 60.0
"""Seconds; the longest pause after a 429 without Retry-After."""


class TokenBucket:
    """Spaces requests at the moment they are sent.

    The bucket in the database bounds what is claimed. Some time passes between a claim and its requests, so
    without this bucket the requests of two claims could be sent at once.
    """

    def __init__(self, per_second: float, burst: int, tokens: float, now: float) -> None:
        """Start with `tokens` in the bucket."""
        self._per_second = per_second
        self._burst = burst
        self._tokens = tokens
        self._updated_at = now

    def level(self, now: float) -> float:
        """The tokens in the bucket; negative while requests wait for theirs."""
        return min(self._burst, self._tokens + (now - self._updated_at) * self._per_second)

    def delay(self, now: float) -> float:
        """Take a token; return the seconds to wait until it is available."""
        self._tokens = self.level(now) - 1
        self._updated_at = now
        return max(0.0, -self._tokens / self._per_second)


class Throttle:
    """Decides how many requests of a channel may be in flight, and when the next one may be sent.

    The concurrency window starts small and grows with each success, like TCP's: a destination that hangs occupies
    few of the process's requests, and one that recovers does not get all waiting deliveries at once. Times are in
    seconds of any monotonic clock.
    """

    def __init__(self) -> None:
        """Start with the initial concurrency, not paused and without a rate limit."""
        self.concurrency = INITIAL_CONCURRENCY
        self.bucket: TokenBucket | None = None
        """Set for a channel with a rate limit."""
        self._paused_until = 0.0
        self._rate_limited = 0
        """Consecutive 429 responses without Retry-After."""

    def paused_for(self, now: float) -> float:
        """Seconds until the platform accepts requests again."""
        return max(0.0, self._paused_until - now)

    def delay(self, now: float) -> float:
        """Take a token for one request; return the seconds to wait before it is sent."""
        return 0.0 if self.bucket is None else self.bucket.delay(now)

    def record(self, outcome: Outcome, now: float) -> bool:
        """Adapt to an attempt's outcome; return whether the pause changed."""
        before = self._paused_until
        match outcome:
            case Sent() | Rejected():
                self.concurrency = min(self.concurrency + 1, MAX_CONCURRENCY)
                self._rate_limited = 0
            case Retry(reason=Reason.RATE_LIMITED):
                self.concurrency = 1
            case Retry(reason=reason) if reason not in NEUTRAL_REASONS:
                self.concurrency = max(MIN_CONCURRENCY, self.concurrency // 2)
        self._pause(outcome, now)
        return before != self._paused_until

    def _pause(self, outcome: Outcome, now: float) -> None:
        if isinstance(outcome, Rejected):
            return
        pause = outcome.after
        if isinstance(outcome, Retry) and outcome.reason is Reason.RATE_LIMITED and not pause:
            pause = min(MAX_PAUSE, FIRST_DELAY * 2.0 ** min(self._rate_limited, 32))
            self._rate_limited += 1
        if pause:
            self._paused_until = max(self._paused_until, now + pause)
