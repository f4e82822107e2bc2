"""The backoff between attempts."""

import pytest

from relay.domain.outcomes import FIRST_DELAY, MAX_DELAY, backoff

ALMOST_ONE = 1 - 2**-53


@pytest.mark.parametrize("attempt", [1, 2, 3, 10, 33, 1000, 10**9])
@pytest.mark.parametrize("chance", [0.0, 0.25, 0.5, ALMOST_ONE])
def test_the_delay_is_within_its_bounds(attempt: int, chance: float) -> None:
    assert FIRST_DELAY / 2 <= backoff(attempt, chance) <= MAX_DELAY


@pytest.mark.parametrize(
    ("attempt", "longest"), [(1, 1), (2, 2), (3, 4), (5, 16), (9, 120), (10, 120), (500, 120)]
)
def test_the_maximum_delay_doubles_up_to_its_bound(attempt: int, longest: float) -> None:
    assert backoff(attempt, ALMOST_ONE) == pytest.approx(longest)


def test_jitter_spreads_the_delays() -> None:
    assert backoff(6, 0.25) == pytest.approx(8)
    assert backoff(6, 0.5) == pytest.approx(16)
    assert backoff(6, 0.0) == FIRST_DELAY / 2
