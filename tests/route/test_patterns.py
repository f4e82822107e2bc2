"""Patterns that are matched together match what each matches alone."""

import random

import pytest

from relay.domain.channel_types import Filters
from relay.domain.channels import parse_channel
from relay.domain.errors import InvalidInput
from relay.domain.matchers import MAX_MATCHED, MAX_PROGRAM, matches_pattern, parse_matchers, program_size
from relay.route import patterns as module
from relay.route.patterns import Patterns
from relay.route.table import RoutingTable

from .factories import alert

PARTS = ["a", "b", ".", "a*", "b+", "(a|b)", "[ab]", "a{2}", "(?i)B", "", "é", r"\d", "(?s).*", ".*", "^", "$"]
VALUES = ["", "a", "b", "ab", "aab", "B", "é", "7", "a\nb", "\n", "aa" * 40, "x"]


def test_patterns_match_as_each_does_alone() -> None:
    chosen = random.Random(14)
    given = {"".join(chosen.choices(PARTS, k=chosen.randint(0, 4))) for _ in range(400)}
    valid = sorted(pattern for pattern in given if _is_valid(pattern))
    together = Patterns({"l": valid})
    for value in VALUES * 2:
        assert together.matched("l", value) == {pattern for pattern in valid if matches_pattern(pattern, value)}
    assert together.matched("other", "a") == frozenset()


def _is_valid(pattern: str) -> bool:
    try:
        parse_matchers(f'a=~"{pattern}"')
    except InvalidInput:
        return False
    return True


@pytest.mark.parametrize("memory", [10_000, 90_000, 200_000, 1_000_000])
def test_without_memory_for_all_patterns_each_is_matched_alone(
    memory: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SET_MEMORY", memory)
    given = [f".*a.{{{n}}}c" for n in range(1, 60)]
    together = Patterns({"l": given})
    value = "".join(random.Random(1).choices("abc", k=2000)) + "ab" + "b" * 30 + "c"
    assert together.matched("l", value) == {pattern for pattern in given if matches_pattern(pattern, value)}


def test_the_cache_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_CACHED", 20)
    together = Patterns({"l": ["a.*", "b.*"]})
    for at in range(100):
        assert together.matched("l", f"a{at}") == {"a.*"}
    assert len(together._cache) <= 20


def test_only_the_start_of_a_long_value_is_matched() -> None:
    value = "a" * MAX_MATCHED + "b"
    assert matches_pattern("a*", value)
    assert Patterns({"l": ["a*"]}).matched("l", value) == {"a*"}


@pytest.mark.parametrize(
    ("matchers", "labels", "found"),
    [
        (("a=~x.*",), {"a": "xy"}, True),
        (("a=~x.*",), {"a": "y"}, False),
        (("a=~x.*", "a=~.*y"), {"a": "xy"}, True),
        (("a=~x.*", "a=~.*y"), {"a": "xz"}, False),
        (("a=~x.*", "b!~y.*"), {"a": "x"}, True),
        (("a=~x.*", "b!~y.*"), {"a": "x", "b": "y1"}, False),
        (("a!~x.*",), {}, True),
        (("a!~x.*",), {"a": "x"}, False),
        (("a=~.*",), {}, True),
        (("a=~.+",), {}, False),
        (("a!~.*",), {"a": "x"}, False),
        (("a=~x.*", "a=~x.*"), {"a": "x"}, True),
        (("a=~x.*", "b=1"), {"a": "x", "b": "1"}, True),
        (("a=~x.*", "b=1"), {"a": "x", "b": "2"}, False),
    ],
)
def test_a_channel_with_regular_expressions_is_found(
    matchers: tuple[str, ...], labels: dict[str, str], found: bool
) -> None:
    channels = {"c": Filters(matchers=matchers), "other": Filters(matchers=("a=~x.*", "zone=~eu.*"))}
    assert list(RoutingTable(1, channels, "tenant_id").match(alert(labels))) == ["c"] * found


@pytest.mark.parametrize("pattern", [".*a.{900}c", ".{1000}", r"\\pL{900}", "(a{100}){30}"])
def test_a_large_program_is_refused_at_creation_and_still_routed(pattern: str) -> None:
    matcher = f'x!~"{pattern}"'
    if _is_valid(pattern):
        assert program_size(parse_matchers(matcher)[0].value) > MAX_PROGRAM
    channel = {"name": "a", "channel_type": "webhook", "webhook_url": "https://a.example"}
    with pytest.raises(InvalidInput, match=r"matchers\[1\]: .*(too large|invalid) a? ?regular expression"):
        parse_channel({**channel, "matchers": ["a=b", matcher]})
    if _is_valid(pattern):
        table = RoutingTable(1, {"c": Filters(matchers=(matcher,))}, "tenant_id")
        assert list(table.match(alert({"x": "y"}))) == ["c"]
