"""The filters of templates."""

import re
from typing import Any

import pytest

from relay.notify.templates.filters import truncate
from relay.notify.templates.numbers import humanize
from relay.notify.templates.regex_filters import regex_match, regex_replace
from relay.notify.templates.time_filters import date, duration, tz


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
        ("NaN", "NaN"),
        ("+Inf", "+Inf"),
        (float("-inf"), "-Inf"),
    ],
)
def test_a_duration_is_written_in_its_two_largest_units(value: Any, text: str) -> None:
    assert duration(value) == text


def test_a_duration_may_be_between_times() -> None:
    assert duration("2026-11-23T15:33:27Z", "2026-11-23T15:40:39.5Z") == "7m 12s"
    assert re.fullmatch(r"\d{4}d( \d+h)?", duration("2000-01-01T00:00:00Z", None))
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
        ("+Inf", "+Inf"),
        ("-Inf", "-Inf"),
        ("inf", "+Inf"),
        (float("nan"), "NaN"),
        (-0.0, "-0"),
        (12.34567, "12.35"),
    ],
)
def test_numbers_have_si_prefixes_as_in_prometheus(value: Any, text: str) -> None:
    assert humanize(value) == text


def test_text_is_cut_between_graphemes() -> None:
    assert truncate("short", 5) == "short"
    assert truncate("a long one", 7) == "a long…"
    assert truncate("👩‍👩‍👧‍👦👩‍👩‍👧‍👦", 9) == "👩‍👩‍👧‍👦…"
    assert truncate("text", 0) == "…"


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("2026-11-23T15:33:27.229046Z",), "2026-11-23 15:33:27 UTC"),
        (("2026-11-23T15:33:27Z", "%H:%M"), "15:33"),
        (("2026-11-23T15:33:27Z", "%d.%m.%Y %H:%M %Z", "Europe/Vienna"), "23.11.2026 16:33 CET"),
        (("2026-07-23T15:33:27Z", "%H:%M %Z (%z)", "Europe/Vienna"), "17:33 CEST (+0200)"),
        (("2026-11-23T15:33:27+05:30", "%a %b %-d", "Australia/Sydney"), "Mon Nov 23"),
        (("2026-11-23T15:33:27", "%H:%M"), "15:33"),
        ((1795447207, "%Y-%m-%d"), "2026-11-23"),
        (("1795447207.5", "%H:%M:%S.%f"), "15:20:07.500000"),
        ((None, "%H:%M"), ""),
        (("", "%H:%M"), ""),
        (("0001-01-01T00:00:00.000001Z", "%H:%M", "America/New_York"), "00:00"),
    ],
)
def test_a_time_is_written_in_a_format_and_zone(arguments: Any, text: str) -> None:
    assert date(*arguments) == text


def test_a_time_is_moved_to_a_zone() -> None:
    assert tz("2026-11-23T15:33:27Z", "Europe/Vienna") == "2026-11-23 16:33:27 CET"


@pytest.mark.parametrize("zone", ["Europe/Nowhere", "", "../../etc/passwd", "/etc/passwd", "Europe", "a\0b"])
def test_an_unknown_zone_is_an_error(zone: str) -> None:
    with pytest.raises(ValueError, match="is not a time zone, such as Europe/Vienna"):
        tz("2026-11-23T15:33:27Z", zone)


@pytest.mark.parametrize("arguments", [("yesterday",), (1e300,), ("2026-11-23T15:33:27Z", "%Y" * 200)])
def test_an_invalid_time_or_format_is_an_error(arguments: Any) -> None:
    with pytest.raises(ValueError, match=r"."):
        date(*arguments)


@pytest.mark.parametrize(
    ("text", "pattern", "matches"),
    [
        ("db-12.example.com", r"^db-\d+", True),
        ("web-db-1", r"^db", False),
        ("a\nb", r"a.b", False),
        ("a\nb", r"(?s)a.b", True),
        ("DB", r"(?i)db", True),
        ("ÄÖ", r"^\pL+$", True),
        ("", "^$", True),
        (12, "^12$", True),
        ("x" * 20_000 + "y", "y", False),
    ],
)
def test_a_pattern_matches_anywhere_in_a_text(text: Any, pattern: str, matches: bool) -> None:
    assert regex_match(text, pattern) is matches


@pytest.mark.parametrize(
    ("text", "pattern", "replacement", "result"),
    [
        ("db-1.example.com:9100", r":\d+$", "", "db-1.example.com"),
        ("a1b22", r"\d+", "<$0>", "a<1>b<22>"),
        ("John Smith", r"(?P<first>\w+) (\w+)", "$2, ${first}", "Smith, John"),
        ("ab", r"(a)|b", "[$1]", "[a][]"),
        ("a", "a", "$$1 $9 ${none} $x1", "$1   "),
        ("ä", "", "-", "-ä-"),
        ("a.b", r"\.", r"\\", r"a\\b"),
    ],
)
def test_matches_are_replaced(text: str, pattern: str, replacement: str, result: str) -> None:
    assert regex_replace(text, pattern, replacement) == result


def test_a_replaced_text_is_bounded() -> None:
    assert len(regex_replace("x" * 100_000, "y", "")) == 16 * 1024
    with pytest.raises(ValueError, match="the replacements are longer than"):
        regex_replace("x" * 1000, "x", "y" * 1000)


@pytest.mark.parametrize(
    ("pattern", "error"),
    [
        ("(", "is invalid: missing"),
        (r"(?=a)", "is invalid"),
        (r"(a)\1", "is invalid"),
        ("a" * 1001, "longer than 1000 characters"),
        (r"\pL{1,1000}", "is invalid: pattern too large"),
        ("(a?){800}", "instructions"),
    ],
)
def test_a_pattern_that_is_invalid_or_too_large_is_an_error(pattern: str, error: str) -> None:
    with pytest.raises(ValueError, match=error):
        regex_match("a", pattern)
