"""Tests of the circuit breaker: when it opens, when it probes, and when it closes."""

import pytest

from relay.deliver.circuit_breaker import FAILURE_THRESHOLD, MAX_PROBE_DELAY, MIN_PROBE_DELAY, CircuitBreaker
from relay.domain.outcomes import Outcome, Reason, Rejected, Retry, Sent

FAILED = Retry(Reason.SERVER_ERROR, "500 oh", 500)
SENT = Sent(200, "ok")


def breaker_after(*outcomes: Outcome, probe: bool = False) -> CircuitBreaker:
    breaker = CircuitBreaker()
    for outcome in outcomes:
        breaker.record(outcome, 100.0, 0.5, probe=probe)
    return breaker


def test_consecutive_failures_open_the_breaker() -> None:
    almost = [FAILED] * (FAILURE_THRESHOLD - 1)

    assert not breaker_after(*almost).is_open
    assert not breaker_after(*almost, SENT, *almost).is_open
    breaker = breaker_after(*almost, FAILED)
    assert breaker.is_open
    assert breaker.held_for(100.0) == MIN_PROBE_DELAY


def test_a_rejected_message_counts_as_a_response_of_a_working_platform() -> None:
    rejected = Rejected(Reason.CLIENT_ERROR, "400 no", 400)

    assert breaker_after(FAILED, FAILED, rejected).failures == 0


@pytest.mark.parametrize("reason", [Reason.RATE_LIMITED, Reason.INTERRUPTED, Reason.DESTINATION_GONE])
def test_neutral_reasons_do_not_count_as_failures(reason: Reason) -> None:
    breaker = breaker_after(*[Retry(reason, "…")] * 20)

    assert (breaker.is_open, breaker.failures) == (False, 0)


def test_probes_are_sent_at_growing_intervals_until_one_succeeds() -> None:
    breaker = breaker_after(*[FAILED] * FAILURE_THRESHOLD)
    now, delays = 100.0, []
    for _ in range(12):
        delays.append(breaker.held_for(now))
        now += breaker.held_for(now)
        breaker.record(FAILED, now, 0.5, probe=True)

    assert delays[:4] == [MIN_PROBE_DELAY, MIN_PROBE_DELAY * 2, MIN_PROBE_DELAY * 4, MIN_PROBE_DELAY * 8]
    assert delays[-1] == MAX_PROBE_DELAY

    assert breaker.record(SENT, now, 0.5, probe=True)
    assert (breaker.is_open, breaker.failures, breaker.held_for(now)) == (False, 0, 0.0)


def test_an_attempt_in_flight_when_the_breaker_opened_is_not_a_probe() -> None:
    breaker = breaker_after(*[FAILED] * FAILURE_THRESHOLD)

    assert not breaker.record(FAILED, 100.0, 0.5, probe=False)
    assert (breaker.failures, breaker.probes) == (FAILURE_THRESHOLD, 0)
