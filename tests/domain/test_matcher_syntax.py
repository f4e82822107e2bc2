"""Parsing and formatting of matchers in Alertmanager's syntax."""

import pytest

from relay.domain.errors import InvalidInput
from relay.domain.matchers import MAX_LENGTH, Matcher, Op, parse_matcher


@pytest.mark.parametrize(
    ("text", "name", "op", "value"),
    [
        ('foo="bar"', "foo", "=", "bar"),
        ("foo=bar", "foo", "=", "bar"),
        ('foo!="bar"', "foo", "!=", "bar"),
        ("foo=~b.r", "foo", "=~", "b.r"),
        ("foo!~b.r", "foo", "!~", "b.r"),
        ("foo==bar", "foo", "=", "=bar"),
        ("foo=", "foo", "=", ""),
        ('foo=""', "foo", "=", ""),
        (' foo = "bar" ', "foo", "=", "bar"),
        ("\tfoo\n=~\n  bar baz  ", "foo", "=~", "bar baz"),
        ('foo=" bar "', "foo", "=", " bar "),
        ("foo=bar, baz", "foo", "=", "bar, baz"),
        ("foo={bar}", "foo", "=", "{bar}"),
        ("_a:b9=c", "_a:b9", "=", "c"),
        ("foo=ünï 😀", "foo", "=", "ünï 😀"),
        ('"foo bar"="x"', "foo bar", "=", "x"),
        (r'"a\"b"=x', 'a"b', "=", "x"),
        ('"été"=x', "été", "=", "x"),
    ],
)
def test_a_matcher_is_parsed(text: str, name: str, op: str, value: str) -> None:
    assert parse_matcher(text) == Matcher(name, Op(op), value)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (r'a="b\"c"', 'b"c'),
        (r'a="b\\"', "b\\"),
        (r'a="b\nc"', "b\nc"),
        (r"a=b\nc", "b\nc"),
        (r"a=b\"c", 'b"c'),
        (r'a="\d+"', r"\d+"),
        (r'a="\\d+"', r"\d+"),
        (r'a="\\n"', r"\n"),
        (r'a="\t"', r"\t"),
        ("a=b\\", "b\\"),
        ('a="b\nc"', "b\nc"),
    ],
)
def test_escapes_are_replaced_and_unknown_ones_kept(text: str, value: str) -> None:
    assert parse_matcher(text).value == value


@pytest.mark.parametrize("text", ['a="b', 'a=b"', 'a="b"c"', 'a="', r'a="b\"', 'a=b"c', 'a="b" ,', r'a="b\\"c"'])
def test_quotes_must_balance(text: str) -> None:
    with pytest.raises(InvalidInput, match="has an unbalanced quote") as caught:
        parse_matcher(text)
    assert repr(text) in str(caught.value)


@pytest.mark.parametrize(
    "text", ["", "foo", "=bar", '="b"', "1a=b", "a-b=c", "a.b=c", "foo!bar", "foo~b", '{a="b"}', 'é="b"', '""=b']
)
def test_invalid_syntax_is_rejected_with_an_example(text: str) -> None:
    with pytest.raises(InvalidInput, match='is not a matcher, such as severity="critical"') as caught:
        parse_matcher(text)
    assert repr(text) in str(caught.value)
    assert caught.value.field == ""


def test_a_matcher_has_a_maximum_length() -> None:
    assert parse_matcher("a=".ljust(MAX_LENGTH, "b")).matches({"a": "b" * (MAX_LENGTH - 2)})
    with pytest.raises(InvalidInput, match="must not be longer than 4096 characters"):
        parse_matcher("a=".ljust(MAX_LENGTH + 1, "b"))


@pytest.mark.parametrize("op", list(Op))
@pytest.mark.parametrize("name", ["a", "_a:b9", "foo bar", 'a"b', "a\\b", "été", "9", "a\nb", "a=b"])
@pytest.mark.parametrize("value", ["", "b", " b ", 'b"c', '"', r"\\d+", r"b\.c", "b\nc", "é 😀", '"b"', r"\\"])
def test_a_formatted_matcher_parses_to_the_same_matcher(name: str, op: Op, value: str) -> None:
    matcher = Matcher(name, op, value)
    assert parse_matcher(str(matcher)) == matcher


def test_a_matcher_is_formatted_with_quotes() -> None:
    assert str(parse_matcher("team=~db|infra")) == 'team=~"db|infra"'
    assert str(parse_matcher('"foo bar" = x')) == '"foo bar"="x"'
