"""What follows from an attempt's outcome?"""

from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from relay.deliver.decision import decide
from relay.domain.outcomes import MAX_DELAY, Outcome, Reason, Rejected, Retry, Sent
from relay.store.outbox.claims import Claimed
from relay.store.outbox.settle import Settlement

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
GIVE_UP_AFTER = timedelta(hours=24)
FAILED = Retry(Reason.SERVER_ERROR, "500 oh", 500)


def decided(
    outcome: Outcome, *, attempt: int = 1, age: timedelta = timedelta(0), chance: float = 0.5
) -> Settlement:
    one = claimed(attempt=attempt, age=age)
    return decide(one, outcome, NOW, 0.25, chance, GIVE_UP_AFTER, "fallback")


def claimed(*, attempt: int = 1, age: timedelta = timedelta(0)) -> Claimed:
    return Claimed(
        id=7,
        channel_id="ops",
        group_hash=7,
        rank=0,
        receipt_id=1,
        positions=None,
        attempt=attempt,
        created_at=NOW - age * 2,
        waiting_since=NOW - age,
        redelivered=False,
        fallback_of=None,
        progress=None,
        carries=False,
        merged=0,
        body=None,
    )


def test_what_was_sent_is_delivered_and_keeps_the_platforms_words() -> None:
    settlement = decided(Sent(200, "ok"), attempt=3)

    assert (settlement.state, settlement.reason, settlement.delay) == ("delivered", None, 0.0)
    assert (settlement.outcome, settlement.status_code, settlement.detail) == ("sent", 200, "ok")
    assert (settlement.delivery_id, settlement.attempt) == (7, 3)
    assert (settlement.started_at, settlement.duration) == (NOW, 0.25)


def test_what_is_rejected_is_dead_at_once() -> None:
    settlement = decided(Rejected(Reason.CLIENT_ERROR, "400 no", 400))

    assert (settlement.state, settlement.outcome, settlement.reason) == ("dead", "rejected", "clientError")
    assert settlement.fallback == "fallback"


def test_what_waits_for_its_channel_to_be_mended_is_not_given_up() -> None:
    settlement = decided(Retry(Reason.DESTINATION_GONE, "410 gone", 410), age=GIVE_UP_AFTER * 2)

    assert (settlement.state, settlement.delay, settlement.reason) == ("pending", 0.0, "destinationGone")


@pytest.mark.parametrize(("attempt", "longest"), [(1, 1), (2, 2), (3, 4), (500, MAX_DELAY)])
def test_a_retry_waits_longer_each_time(attempt: int, longest: float) -> None:
    settlement = decided(FAILED, attempt=attempt, chance=0.75)

    assert (settlement.state, settlement.reason, settlement.detail) == ("pending", "serverError", "500 oh")
    assert settlement.delay == pytest.approx(longest * 0.75)


@pytest.mark.parametrize(("after", "wait"), [(30.0, 30.0), (0.0, 0.5), (None, 0.5)])
def test_the_wait_that_a_platform_asks_for_is_never_shortened(after: float | None, wait: float) -> None:
    assert decided(Retry(Reason.RATE_LIMITED, "slow", 429, after)).delay == wait


def test_what_a_stop_interrupted_is_due_at_once() -> None:
    settlement = decided(Retry(Reason.INTERRUPTED, "the relay stopped"), attempt=9, chance=0.99)

    assert (settlement.state, settlement.delay, settlement.reason) == ("pending", 0.0, "interrupted")


def test_a_retry_is_given_up_when_the_time_for_it_is_over() -> None:
    almost, over = GIVE_UP_AFTER - timedelta(seconds=1), GIVE_UP_AFTER

    assert decided(FAILED, age=almost).state == "pending"
    settlement = decided(FAILED, age=over)
    assert (settlement.state, settlement.reason, settlement.outcome) == ("dead", "expired", "retry")
    assert settlement.detail == "expired after 24 h; last error: 500 oh"


def test_a_digest_is_as_old_as_what_was_gathered_last() -> None:
    gathered = msgspec.structs.replace(claimed(age=GIVE_UP_AFTER), receipt_id=None, created_at=NOW)

    assert decide(gathered, FAILED, NOW, 0.25, 0.5, GIVE_UP_AFTER, None).state == "pending"


def test_what_arrives_late_is_delivered_all_the_same() -> None:
    assert decided(Sent(200), age=GIVE_UP_AFTER * 2).state == "delivered"
