"""The circuit breaker of a channel."""

from typing import Final

from relay.domain.outcomes import Outcome, Reason, Rejected, Retry, Sent

FAILURE_THRESHOLD: Final = 5
"""Consecutive failures that open the breaker."""
MIN_PROBE_DELAY: Final = 1.0
MAX_PROBE_DELAY: Final = 120.0
"""Seconds between probes while the breaker is open; the delay doubles with each failed probe."""
NEUTRAL_REASONS: Final = frozenset({Reason.RATE_LIMITED, Reason.INTERRUPTED, Reason.DESTINATION_GONE})
"""Reasons that do not count as failures of the destination."""


class CircuitBreaker:
    """Opens after consecutive failures; then single probes are sent at growing intervals until one succeeds.

    Times are in seconds of any monotonic clock.
    """

    def __init__(self, failures: int = 0, probes: int = 0, *, is_open: bool = False) -> None:
        """Start in the state of the lane's row."""
        self.failures = failures
        self.probes = probes
        self.is_open = is_open
        self._held_until = 0.0

    def held_for(self, now: float) -> float:
        """Seconds until the next probe may be sent; 0 while the breaker is closed."""
        return max(0.0, self._held_until - now)

    def record(self, outcome: Outcome, now: float, jitter: float, *, probe: bool) -> bool:
        """Record an attempt's outcome; return whether the breaker's state changed.

        `jitter` is a random number in [0, 1). `probe`: the attempt started while the breaker was open.
        """
        before = (self.failures, self.probes, self.is_open, self._held_until)
        match outcome:
            case Sent() | Rejected():
                self._close()
            case Retry(reason=reason) if reason not in NEUTRAL_REASONS:
                self._fail(now, jitter, probe=probe)
        return before != (self.failures, self.probes, self.is_open, self._held_until)

    def _close(self) -> None:
        self.failures, self.probes, self.is_open, self._held_until = 0, 0, False, 0.0

    def _fail(self, now: float, jitter: float, *, probe: bool) -> None:
        if self.is_open and not probe:
            return  # it was in flight when the breaker opened
        self.failures += 1
        if self.is_open:
            self.probes += 1
        elif self.failures >= FAILURE_THRESHOLD:
            self.is_open = True
        if self.is_open:
            delay = min(MAX_PROBE_DELAY, MIN_PROBE_DELAY * 2.0 ** min(self.probes, 32))
            self._held_until = max(self._held_until, now + delay * (0.75 + jitter / 2))
