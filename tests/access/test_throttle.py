"""Failed logins are throttled, and the rightful are not locked out."""

import pytest

from relay.access.throttle import FAILURES, MAX_TRACKED, WINDOW, Throttle
from relay.domain.errors import TooManyRequests
from tests.fixtures.relays import ADMIN_KEY, Relay


class Clock:
    """Seconds that pass only when told."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


def failed(throttle: Throttle, address: str, credential: str) -> int:
    """The Retry-After of a failure, 0 for none."""
    try:
        throttle.failed(address, credential)
    except TooManyRequests as error:
        return error.retry_after
    return 0


def test_the_twentieth_failure_of_an_address_within_a_minute_is_throttled() -> None:
    clock = Clock()
    throttle = Throttle(clock)
    waits = [failed(throttle, "192.0.2.1", f"{at:020}") for at in range(FAILURES)]
    assert waits == [0] * (FAILURES - 1) + [60]
    assert failed(throttle, "192.0.2.2", "other") == 0
    clock.now += WINDOW
    assert failed(throttle, "192.0.2.1", "again") == 0


def test_failures_with_one_beginning_are_throttled_from_all_addresses() -> None:
    throttle = Throttle(Clock())
    waits = [failed(throttle, f"192.0.2.{at}", f"relay_abcdefgh{at}") for at in range(FAILURES)]
    assert waits[-1] == 60
    assert failed(throttle, "192.0.2.99", "relay_bbcdefgh") == 0


def test_addresses_of_one_ipv6_subnet_are_one_client() -> None:
    throttle = Throttle(Clock())
    waits = [failed(throttle, f"2001:db8::{at:x}", f"{at:020}") for at in range(FAILURES)]
    assert waits[-1] == 60
    assert failed(throttle, "2001:db8:0:1::1", "x") == 0


def test_what_is_tracked_is_bounded() -> None:
    throttle = Throttle(Clock())
    for at in range(MAX_TRACKED):
        failed(throttle, f"10.{at >> 16}.{at >> 8 & 255}.{at & 255}", f"{at:020}")
    assert len(throttle._windows) == MAX_TRACKED


@pytest.mark.parametrize("varied", [True, False])
async def test_a_valid_key_is_accepted_after_many_failures(relay: Relay, varied: bool) -> None:
    responses = [
        await relay.call("GET", "/channels", key=f"wrong{at}" if varied else "relay_wrong")
        for at in range(FAILURES + 5)
    ]
    assert [response.status for response in responses] == [401] * (FAILURES - 1) + [429] * 6
    assert 1 <= int(responses[-1].headers["Retry-After"]) <= WINDOW
    assert (await relay.call("GET", "/channels", key=ADMIN_KEY)).status == 200


async def test_requests_without_a_credential_are_not_throttled(relay: Relay) -> None:
    statuses = {(await relay.call("GET", "/channels", key=None)).status for _ in range(FAILURES + 5)}
    assert statuses == {401}
