"""A channel's circuit breaker, its pauses, and its concurrency."""

from typing import Final

from relay.domain.outcomes import FIRST_DELAY, Outcome, Reason, Rejected, Retry, Sent

OPENS_AFTER: Final = 5
"""Failures, one after the other, that speak of the destination."""
FIRST_PROBE: Final = 1.0
LAST_PROBE: Final = 120.0
"""Seconds between probes of a destination that fails: each wait twice the one before, up to this."""
MAX_REST: Final = 60.0
"""Seconds; the longest wait after a 429 that does not say how long."""
FIRST_WIDTH: Final = 4
LEAST_WIDTH: Final = 2
"""So that one request that hangs does not hold up the others of its channel."""
MAX_WIDTH: Final = 32
"""Different groups of one channel that may be on their way at the same time."""
SAYS_NOTHING: Final = frozenset({Reason.RATE_LIMITED, Reason.INTERRUPTED, Reason.DESTINATION_GONE})
"""Reasons that do not count as failures of the destination."""


class Flow:
    """What a lane has learned of its destination. Times are of any monotonic clock, in seconds.

    The width begins small and grows with each success, as TCP's window does: a destination that hangs takes few
    of the process's requests, and one that comes back is not met by all that waits at once.
    """

    def __init__(self, failures: int = 0, probes: int = 0, *, is_open: bool = False) -> None:
        """As the lane's row has it."""
        self.failures = failures
        self.probes = probes
        self.is_open = is_open
        self.width = FIRST_WIDTH
        self._held_until = 0.0
        self._refusals = 0

    def held_for(self, now: float) -> float:
        """Seconds in which nothing may be sent."""
        return max(0.0, self._held_until - now)

    def note(self, outcome: Outcome, now: float, chance: float, *, probe: bool) -> bool:
        """Learn from an attempt's outcome; whether what the replicas must know changed.

        `chance` is a random number in [0, 1). `probe`: it was begun while the breaker was open.
        """
        before = (self.failures, self.probes, self.is_open, self._held_until)
        match outcome:
            case Sent() | Rejected():
                self._succeeded()
            case Retry(reason=Reason.RATE_LIMITED):
                self.width = 1
            case Retry(reason=reason) if reason not in SAYS_NOTHING:
                self._failed(now, chance, probe=probe)
        self._rest(outcome, now)
        return before != (self.failures, self.probes, self.is_open, self._held_until)

    def _succeeded(self) -> None:
        if self.is_open:
            self._held_until = 0.0
        self.failures, self.probes, self.is_open, self._refusals = 0, 0, False, 0
        self.width = min(self.width + 1, MAX_WIDTH)

    def _failed(self, now: float, chance: float, *, probe: bool) -> None:
        self.width = max(LEAST_WIDTH, self.width // 2)
        if self.is_open and not probe:
            return  # it was under way when the breaker opened
        self.failures += 1
        if self.is_open:
            self.probes += 1
        elif self.failures >= OPENS_AFTER:
            self.is_open = True
        if self.is_open:
            wait = min(LAST_PROBE, FIRST_PROBE * 2.0 ** min(self.probes, 32))
            self._held_until = max(self._held_until, now + wait * (0.75 + chance / 2))

    def _rest(self, outcome: Outcome, now: float) -> None:
        """Pause as long as the platform asks for."""
        if isinstance(outcome, Rejected):
            return
        after = outcome.after
        if isinstance(outcome, Retry) and outcome.reason is Reason.RATE_LIMITED and not after:
            after = min(MAX_REST, FIRST_DELAY * 2.0 ** min(self._refusals, 32))
            self._refusals += 1
        if after:
            self._held_until = max(self._held_until, now + after)
