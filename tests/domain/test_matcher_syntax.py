"""Parsing and formatting of matchers in Alertmanager's syntax."""

import pytest

from relay.domain.errors import InvalidInput
from relay.domain.matchers import MAX_LENGTH, Matcher, Op, parse_earlier, parse_matchers, parse_stored
from tests.domain.matcher_vectors import ACCEPTED, REFUSED


def triples(text: str) -> list[tuple[str, str, str]]:
    return [(matcher.name, matcher.op.value, matcher.value) for matcher in parse_matchers(text)]


@pytest.mark.parametrize(("text", "expected"), ACCEPTED.items())
def test_what_alertmanager_accepts_has_the_same_meaning(text: str, expected: list[tuple[str, str, str]]) -> None:
    assert triples(text) == expected


@pytest.mark.parametrize("text", REFUSED)
def test_what_alertmanager_refuses_is_refused_with_the_text(text: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        parse_matchers(text)
    assert repr(text) in caught.value.message
    assert caught.value.field == ""


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("severity=critical,team=db", [("severity", "=", "critical"), ("team", "=", "db")]),
        ("\u00a0a\u2003=\u0085b ", [("a", "=", "b")]),
        ("9=é, été!~a|b", [("9", "=", "é"), ("été", "!~", "a|b")]),
        (r'a="\a\b\f\n\r\t\v\\\""', [("a", "=", '\a\b\f\n\r\t\v\\"')]),
        (r'"\u00e9\x41\101"=~"\\d\U0001F642"', [("éAA", "=~", "\\d\U0001f642")]),
        ('a="{},=!~"', [("a", "=", "{},=!~")]),
        ('a="\t"', [("a", "=", "\t")]),
        (' { "a" = b , } ', [("a", "=", "b")]),
    ],
)
def test_odd_spellings_are_read(text: str, expected: list[tuple[str, str, str]]) -> None:
    assert triples(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        *(r'a="\d"', r'a="\'"', r'a="\400"', r'a="\x4"', r'a="\ud800"', r'a="\U00110000"'),
        *('a="b\nc"', '""=b', "a=b c=d", "a=b'"),
    ],
)
def test_what_go_does_not_unquote_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput):
        parse_matchers(text)


@pytest.mark.parametrize(
    ("text", "advice"),
    [
        ("severity=critical team=db", 'write it as severity="critical team=db"'),
        ("severity='critical'", 'write it as severity="critical"'),
        ("team=", 'write it as team=""'),
        (r"path=C:\new", r'write it as path="C:\new"'.replace(r"\n", r"\n")),
        (r'a=~"\d+"', r'write it as a=~"\\d+"'),
        ("a={b}", 'write it as a="{b}"'),
        ("nothing", 'write it like severity="critical"'),
    ],
)
def test_the_error_shows_how_to_write_what_the_classic_parser_accepts(text: str, advice: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        parse_matchers(text)
    assert advice in caught.value.message


def test_the_error_says_where_and_what_was_expected() -> None:
    with pytest.raises(InvalidInput, match=r"expected a value at character 5, found the end"):
        parse_matchers("a = ")
    with pytest.raises(InvalidInput, match=r"character 3 is \"'\", which needs quotes"):
        parse_matchers("a='b'")


def test_an_entry_has_a_maximum_length() -> None:
    assert triples("a=".ljust(MAX_LENGTH, "b")) == [("a", "=", "b" * (MAX_LENGTH - 2))]
    with pytest.raises(InvalidInput, match="must not be longer than 4096 characters"):
        parse_matchers("a=".ljust(MAX_LENGTH + 1, "b"))


@pytest.mark.parametrize("op", list(Op))
@pytest.mark.parametrize("name", ["a", "_a:b9", "foo bar", 'a"b', "a\\b", "été", "9", "a\nb", "a=b"])
@pytest.mark.parametrize("value", ["", "b", " b ", 'b"c', '"', r"\\d+", r"b\.c", "b\nc", "é 😀", '"b"', r"\\"])
def test_a_formatted_matcher_parses_to_the_same_matcher(name: str, op: Op, value: str) -> None:
    matcher = Matcher(name, op, value)
    assert parse_matchers(str(matcher)) == (matcher,)


def test_a_matcher_is_formatted_with_quotes() -> None:
    assert [str(matcher) for matcher in parse_matchers('{team=~db|infra, "foo bar" = x}')] == [
        'team=~"db|infra"',
        '"foo bar"="x"',
    ]


@pytest.mark.parametrize(
    ("text", "name", "value"),
    [
        ("foo==bar", "foo", "=bar"),
        ("foo=", "foo", ""),
        ("\tfoo\n=\n  bar baz  ", "foo", "bar baz"),
        ("foo=bar baz", "foo", "bar baz"),
        ("foo={bar}", "foo", "{bar}"),
        (r'a="\d+"', "a", r"\d+"),
        (r"a=b\nc", "a", "b\nc"),
        ('a="b\nc"', "a", "b\nc"),
        ("a=b\\", "a", "b\\"),
    ],
)
def test_a_stored_matcher_of_an_earlier_release_keeps_its_meaning(text: str, name: str, value: str) -> None:
    with pytest.raises(InvalidInput):
        parse_matchers(text)
    matcher = Matcher(name, Op.EQUAL, value)
    assert parse_stored(text) == (matcher,)
    assert parse_earlier(text) == matcher
    assert parse_stored(str(matcher)) == (matcher,)


def test_what_no_release_accepted_is_no_stored_matcher() -> None:
    assert parse_earlier('a=b"c') is None
    assert parse_earlier('a=~"("') is None
    with pytest.raises(InvalidInput):
        parse_stored('a=b"c')
