"""Matching with Alertmanager's semantics."""

import time

import pytest

from relay.domain.matchers import MAX_MATCHED, Matcher, Op, parse_matchers, parse_stored


def parsed(text: str) -> Matcher:
    [matcher] = parse_stored(text)
    return matcher


@pytest.mark.parametrize(
    ("text", "labels", "matches"),
    [
        ('team="db"', {"team": "db"}, True),
        ('team="db"', {"team": "DB"}, False),
        ('team="db"', {"team": "db2"}, False),
        ('team!="db"', {"team": "web"}, True),
        ('team!="db"', {"team": "db"}, False),
        ('team=~"db|infra"', {"team": "infra"}, True),
        ('team=~"db|infra"', {"team": "web"}, False),
        ('team!~"db|infra"', {"team": "web"}, True),
        ('team!~"db|infra"', {"team": "db"}, False),
    ],
)
def test_each_operator_compares(text: str, labels: dict[str, str], matches: bool) -> None:
    assert parsed(text).matches(labels) is matches


@pytest.mark.parametrize(
    ("text", "matches"),
    [
        ('team=""', True),
        ("team=", True),
        ('team!=""', False),
        ('team!="db"', True),
        ('team=~".*"', True),
        ('team=~".+"', False),
        ('team=~"|db"', True),
        ('team!~".+"', True),
        ('team!~".*"', False),
    ],
)
def test_an_absent_label_is_the_empty_string(text: str, matches: bool) -> None:
    assert parsed(text).matches({"other": "x"}) is matches
    assert parsed(text).matches({"team": ""}) is matches


@pytest.mark.parametrize(
    ("text", "value", "matches"),
    [
        ('a=~"b"', "abc", False),
        ('a=~"b"', "bc", False),
        ('a=~"b"', "ab", False),
        ('a=~"b"', "b\n", False),
        ('a=~"b|bc"', "bc", True),
        ('a=~"ab|c"', "ac", False),
        ('a=~"^b$"', "b", True),
        ('a=~".*b.*"', "abc", True),
        ('a!~"b"', "abc", True),
    ],
)
def test_regular_expressions_are_anchored_at_both_ends(text: str, value: str, matches: bool) -> None:
    assert parsed(text).matches({"a": value}) is matches


@pytest.mark.parametrize(
    ("pattern", "value", "matches"),
    [
        ("(?i)critical", "CRITICAL", True),
        ("critical", "CRITICAL", False),
        ("a.c", "a\nc", False),
        ("(?s)a.c", "a\nc", True),
        ("ü.", "üé", True),
        (".", "😀", True),
        ("[[:digit:]]{3}", "503", True),
        (r"\pL+", "Ärger", True),
        (r"\d+", "٣", False),
        (r"(?P<code>\d+)", "42", True),
    ],
)
def test_regular_expressions_are_those_of_re2(pattern: str, value: str, matches: bool) -> None:
    assert parsed(f"a=~{pattern}").matches({"a": value}) is matches


@pytest.mark.parametrize("pattern", ["(a+)+$", "(a|aa)+$", "(.*)*x", "a{0,100}" * 5])
def test_no_pattern_is_slow(pattern: str) -> None:
    matcher = parsed(f'a=~"{pattern}"')
    started = time.perf_counter()
    assert not matcher.matches({"a": "a" * (MAX_MATCHED - 1) + "!"})
    assert time.perf_counter() - started < 1


@pytest.mark.parametrize(
    ("pattern", "reason"),
    [
        ("(", "missing )"),
        ("[a", "missing ]"),
        ("*a", "no argument for repetition"),
        ("a(?=b)", "invalid perl operator"),
        ("a(?!b)", "invalid perl operator"),
        ("(?<=a)b", "invalid"),
        (r"(a)\1", "invalid escape sequence"),
        ("a{2000}", "invalid repetition size"),
        ("(.{200}){4}|(.{199}){4}" + r"\pL{900}", "too large"),
    ],
)
def test_a_pattern_that_re2_rejects_is_rejected_with_its_reason(pattern: str, reason: str) -> None:
    for operator in ("=~", "!~"):
        with pytest.raises(ValueError, match="has an invalid regular expression") as caught:
            parse_matchers(str(Matcher("team", Op(operator), pattern)))
        assert reason in str(caught.value)


def test_equality_operators_do_not_interpret_patterns() -> None:
    assert parsed('a="("').matches({"a": "("})
    assert not parsed('a=".*"').matches({"a": "b"})
