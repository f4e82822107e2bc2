"""Tests of the throttle: pauses, concurrency and token pacing."""

from relay.deliver.throttle import (
    INITIAL_CONCURRENCY,
    MAX_CONCURRENCY,
    MAX_PAUSE,
    MIN_CONCURRENCY,
    Throttle,
    TokenBucket,
)
from relay.domain.outcomes import Outcome, Reason, Retry, Sent

FAILED = Retry(Reason.SERVER_ERROR, "500 oh", 500)
RATE_LIMITED = Retry(Reason.RATE_LIMITED, "429", 429)
SENT = Sent(200, "ok")


def throttle_after(*outcomes: Outcome) -> Throttle:
    throttle = Throttle()
    for outcome in outcomes:
        throttle.record(outcome, 100.0)
    return throttle


def test_a_pause_that_the_platform_asks_for_is_kept_in_full() -> None:
    throttle = throttle_after(Retry(Reason.RATE_LIMITED, "429", 429, 12.5), SENT)
    assert throttle.paused_for(100.0) == 12.5
    assert throttle.paused_for(112.5) == 0.0
    assert throttle_after(Retry(Reason.SERVER_ERROR, "503", 503, 7200.0)).paused_for(100.0) == 7200.0
    assert throttle_after(Sent(204, "", 3.0)).paused_for(100.0) == 3.0


def test_rate_limits_without_retry_after_lead_to_growing_pauses() -> None:
    throttle, pauses = Throttle(), []
    for at in range(10):
        assert throttle.record(RATE_LIMITED, at * 1000.0)
        pauses.append(throttle.paused_for(at * 1000.0))

    assert pauses[:3] == [1.0, 2.0, 4.0]
    assert pauses[-1] == MAX_PAUSE


def test_the_concurrency_grows_with_success_and_shrinks_with_failure() -> None:
    assert Throttle().concurrency == INITIAL_CONCURRENCY
    assert throttle_after(*[SENT] * 100).concurrency == MAX_CONCURRENCY
    assert throttle_after(*[SENT] * 100, FAILED).concurrency == MAX_CONCURRENCY // 2
    assert throttle_after(*[FAILED] * 20).concurrency == MIN_CONCURRENCY
    assert throttle_after(SENT, RATE_LIMITED).concurrency == 1


def test_a_token_bucket_spaces_requests_beyond_its_burst() -> None:
    bucket = TokenBucket(per_second=2, burst=3, tokens=3, now=0.0)

    assert [bucket.delay(0.0) for _ in range(5)] == [0.0, 0.0, 0.0, 0.5, 1.0]
    assert bucket.delay(100.0) == 0.0
    assert TokenBucket(per_second=2, burst=3, tokens=0.5, now=0.0).delay(0.0) == 0.25


def test_requests_of_a_channel_without_a_rate_limit_are_not_delayed() -> None:
    assert [Throttle().delay(0.0) for _ in range(3)] == [0.0, 0.0, 0.0]
