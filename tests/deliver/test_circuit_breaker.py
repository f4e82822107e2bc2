"""When does a channel's breaker open, how long is a channel held, and how many go at a time?"""

import pytest

from relay.deliver.circuit_breaker import (
    FIRST_PROBE,
    FIRST_WIDTH,
    LAST_PROBE,
    LEAST_WIDTH,
    MAX_REST,
    MAX_WIDTH,
    OPENS_AFTER,
    Flow,
)
from relay.deliver.throttle import Pacer
from relay.domain.outcomes import Outcome, Reason, Rejected, Retry, Sent

DOWN = Retry(Reason.SERVER_ERROR, "500 oh", 500)
SENT = Sent(200, "ok")


def flow_after(*outcomes: Outcome, probe: bool = False) -> Flow:
    flow = Flow()
    for outcome in outcomes:
        flow.note(outcome, 100.0, 0.5, probe=probe)
    return flow


def test_failures_in_a_row_open_the_breaker() -> None:
    almost = [DOWN] * (OPENS_AFTER - 1)

    assert not flow_after(*almost).is_open
    assert not flow_after(*almost, SENT, *almost).is_open
    opened = flow_after(*almost, DOWN)
    assert opened.is_open
    assert opened.held_for(100.0) == FIRST_PROBE


def test_a_message_that_is_refused_says_that_the_platform_works() -> None:
    refused = Rejected(Reason.CLIENT_ERROR, "400 no", 400)

    assert flow_after(DOWN, DOWN, refused).failures == 0


@pytest.mark.parametrize("reason", [Reason.RATE_LIMITED, Reason.INTERRUPTED, Reason.DESTINATION_GONE])
def test_what_says_nothing_of_the_platform_opens_nothing(reason: Reason) -> None:
    flow = flow_after(*[Retry(reason, "…")] * 20)

    assert (flow.is_open, flow.failures) == (False, 0)


def test_probes_are_made_at_growing_intervals_until_one_succeeds() -> None:
    flow = flow_after(*[DOWN] * OPENS_AFTER)
    now, waits = 100.0, []
    for _ in range(12):
        waits.append(flow.held_for(now))
        now += flow.held_for(now)
        flow.note(DOWN, now, 0.5, probe=True)

    assert waits[:4] == [FIRST_PROBE, FIRST_PROBE * 2, FIRST_PROBE * 4, FIRST_PROBE * 8]
    assert waits[-1] == LAST_PROBE

    assert flow.note(SENT, now, 0.5, probe=True)
    assert (flow.is_open, flow.failures, flow.held_for(now)) == (False, 0, 0.0)


def test_what_was_under_way_when_the_breaker_opened_is_no_probe() -> None:
    flow = flow_after(*[DOWN] * OPENS_AFTER)

    assert not flow.note(DOWN, 100.0, 0.5, probe=False)
    assert (flow.failures, flow.probes) == (OPENS_AFTER, 0)


def test_the_pause_that_a_platform_asks_for_holds_the_channel_in_full() -> None:
    limited = flow_after(Retry(Reason.RATE_LIMITED, "429", 429, 12.5), SENT)
    assert limited.held_for(100.0) == 12.5
    assert limited.held_for(112.5) == 0.0
    assert flow_after(Retry(Reason.SERVER_ERROR, "503", 503, 7200.0)).held_for(100.0) == 7200.0
    assert flow_after(Sent(204, "", 3.0)).held_for(100.0) == 3.0


def test_a_platform_that_asks_for_less_without_saying_how_much_gets_longer_and_longer_pauses() -> None:
    flow, waits = Flow(), []
    for at in range(10):
        flow.note(Retry(Reason.RATE_LIMITED, "429", 429), at * 1000.0, 0.5, probe=False)
        waits.append(flow.held_for(at * 1000.0))

    assert waits[:3] == [1.0, 2.0, 4.0]
    assert waits[-1] == MAX_REST


def test_the_width_grows_with_success_and_shrinks_with_failure() -> None:
    assert Flow().width == FIRST_WIDTH
    assert flow_after(*[SENT] * 100).width == MAX_WIDTH
    assert flow_after(*[SENT] * 100, DOWN).width == MAX_WIDTH // 2
    assert flow_after(*[DOWN] * 20).width == LEAST_WIDTH
    assert flow_after(SENT, Retry(Reason.RATE_LIMITED, "429", 429)).width == 1


def test_a_pacer_lets_no_more_through_than_its_bucket_holds() -> None:
    pacer = Pacer(per_second=2, burst=3, tokens=3, now=0.0)

    assert [pacer.delay(0.0) for _ in range(5)] == [0.0, 0.0, 0.0, 0.5, 1.0]
    assert pacer.delay(100.0) == 0.0
    assert Pacer(per_second=2, burst=3, tokens=0.5, now=0.0).delay(0.0) == 0.25
