"""The filters of templates."""

from typing import Any

import pytest

from relay.notify.templates.filters import duration, humanize, truncate


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0s"),
        (0.25, "250ms"),
        (59.9, "59s"),
        (432, "7m 12s"),
        ("432", "7m 12s"),
        (3600, "1h"),
        (3605, "1h"),
        (90061, "1d 1h"),
        (-61, "-1m 1s"),
        ("NaN", "nan"),
    ],
)
def test_a_duration_is_written_in_its_two_largest_units(value: Any, text: str) -> None:
    assert duration(value) == text


def test_a_duration_may_be_between_times() -> None:
    assert duration("2026-11-23T15:33:27Z", "2026-11-23T15:40:39.5Z") == "7m 12s"
    assert duration("2000-01-01T00:00:00Z", None).endswith("h")
    with pytest.raises(ValueError, match="Invalid isoformat"):
        duration("yesterday")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        ("1500000", "1.5M"),
        (1536, "1.536k"),
        (-1234567, "-1.235M"),
        (999, "999"),
        (0.0213, "21.3m"),
        (1e-9, "1n"),
        (1e27, "1000Y"),
        ("+Inf", "inf"),
        (12.34567, "12.35"),
    ],
)
def test_numbers_have_si_prefixes_as_in_prometheus(value: Any, text: str) -> None:
    assert humanize(value) == text


def test_text_is_cut_between_graphemes() -> None:
    assert truncate("short", 5) == "short"
    assert truncate("a long one", 7) == "a long…"
    assert truncate("👩‍👩‍👧‍👦👩‍👩‍👧‍👦", 9) == "👩‍👩‍👧‍👦…"
