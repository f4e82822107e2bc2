"""Tests of the settlement that follows from an attempt's outcome."""

from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from relay.deliver.decision import decide
from relay.domain.history import Kind
from relay.domain.outcomes import MAX_DELAY, Outcome, Reason, Rejected, Retry, Sent
from relay.store.outbox.claims import Claimed
from relay.store.outbox.settle import Settlement

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
GIVE_UP_AFTER = timedelta(hours=24)
UNCONFIRMED = Retry(Reason.UNEXPECTED_RESPONSE, "200 unexpected response: x", 200, unconfirmed=True)
FAILED = Retry(Reason.SERVER_ERROR, "500 oh", 500)


def settle(
    outcome: Outcome,
    *,
    attempt: int = 1,
    age: timedelta = timedelta(0),
    jitter: float = 0.5,
    unconfirmed: int = 0,
) -> Settlement:
    delivery = claimed(attempt=attempt, age=age, unconfirmed=unconfirmed)
    return decide(delivery, outcome, NOW, 0.25, jitter, GIVE_UP_AFTER, "fallback")


def claimed(*, attempt: int = 1, age: timedelta = timedelta(0), unconfirmed: int = 0) -> Claimed:
    return Claimed(
        id=7,
        channel_id="ops",
        kind=Kind.GROUP,
        group_hash=7,
        receipt_id=1,
        positions=None,
        attempt=attempt,
        created_at=NOW - age * 2,
        waiting_since=NOW - age,
        redelivered=False,
        fallback_of=None,
        progress=None,
        source="",
        unconfirmed=unconfirmed,
        carries=False,
        merged=0,
        body=None,
    )


def test_a_sent_delivery_is_delivered_and_keeps_the_response() -> None:
    settlement = settle(Sent(200, "ok"), attempt=3)

    assert (settlement.state, settlement.reason, settlement.delay) == ("delivered", None, 0.0)
    assert (settlement.outcome, settlement.status_code, settlement.detail) == ("sent", 200, "ok")
    assert (settlement.delivery_id, settlement.attempt) == (7, 3)
    assert (settlement.started_at, settlement.duration) == (NOW, 0.25)


def test_a_rejected_delivery_is_dead_immediately() -> None:
    settlement = settle(Rejected(Reason.CLIENT_ERROR, "400 no", 400))

    assert (settlement.state, settlement.outcome, settlement.reason) == ("dead", "rejected", "clientError")
    assert settlement.fallback == "fallback"


def test_a_delivery_to_a_gone_destination_does_not_expire() -> None:
    settlement = settle(Retry(Reason.DESTINATION_GONE, "410 gone", 410), age=GIVE_UP_AFTER * 2)

    assert (settlement.state, settlement.delay, settlement.reason) == ("pending", 0.0, "destinationGone")


@pytest.mark.parametrize(("attempt", "ceiling"), [(1, 1), (2, 2), (3, 4), (500, MAX_DELAY)])
def test_the_backoff_grows_with_each_attempt(attempt: int, ceiling: float) -> None:
    settlement = settle(FAILED, attempt=attempt, jitter=0.75)

    assert (settlement.state, settlement.reason, settlement.detail) == ("pending", "serverError", "500 oh")
    assert settlement.delay == pytest.approx(ceiling * 0.75)


@pytest.mark.parametrize(("after", "delay"), [(30.0, 30.0), (0.0, 0.5), (None, 0.5)])
def test_a_delay_that_the_platform_asks_for_is_never_shortened(after: float | None, delay: float) -> None:
    assert settle(Retry(Reason.RATE_LIMITED, "slow", 429, after)).delay == delay


@pytest.mark.parametrize(("unconfirmed", "delay"), [(0, 10.0), (1, 60.0), (2, 600.0), (3, 3600.0)])
def test_a_message_that_may_have_arrived_is_sent_again_only_after_a_while(unconfirmed: int, delay: float) -> None:
    settlement = settle(UNCONFIRMED, attempt=30, unconfirmed=unconfirmed)

    assert (settlement.state, settlement.reason, settlement.delay) == ("pending", "unexpectedResponse", delay)


def test_a_message_that_may_have_arrived_five_times_goes_to_the_fallback() -> None:
    settlement = settle(UNCONFIRMED, attempt=30, unconfirmed=4)

    assert (settlement.state, settlement.reason, settlement.fallback) == ("dead", "unexpectedResponse", "fallback")
    assert settlement.detail == "sent 5 times, and never confirmed; last response: 200 unexpected response: x"


def test_an_interrupted_delivery_is_due_immediately() -> None:
    settlement = settle(Retry(Reason.INTERRUPTED, "the relay stopped"), attempt=9, jitter=0.99)

    assert (settlement.state, settlement.delay, settlement.reason) == ("pending", 0.0, "interrupted")


def test_a_delivery_expires_when_it_has_failed_for_too_long() -> None:
    assert settle(FAILED, age=GIVE_UP_AFTER - timedelta(seconds=1)).state == "pending"
    settlement = settle(FAILED, age=GIVE_UP_AFTER)
    assert (settlement.state, settlement.reason, settlement.outcome) == ("dead", "expired", "retry")
    assert settlement.detail == "expired after 24 h; last error: 500 oh"


def test_a_digest_is_as_old_as_its_newest_delivery() -> None:
    digest = msgspec.structs.replace(claimed(age=GIVE_UP_AFTER), kind=Kind.DIGEST, created_at=NOW)

    assert decide(digest, FAILED, NOW, 0.25, 0.5, GIVE_UP_AFTER, None).state == "pending"


def test_a_late_success_is_still_delivered() -> None:
    assert settle(Sent(200), age=GIVE_UP_AFTER * 2).state == "delivered"
