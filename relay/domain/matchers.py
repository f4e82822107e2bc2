"""Label matchers with Alertmanager's syntax and semantics.

Syntax: https://prometheus.io/docs/alerting/latest/configuration/#matcher
Regular expressions are RE2's and anchored at both ends. An absent label equals the empty string.
"""

import re
from collections.abc import Mapping
from enum import StrEnum
from functools import cache, lru_cache
from typing import Any, Final, cast

import msgspec
import re2

from relay.domain.errors import InvalidInput
from relay.domain.matcher_syntax import (
    MatcherSyntaxError,
    classic_unescape,
    classic_value,
    parse_classic,
    parse_utf8,
    quoted,
)

MAX_LENGTH: Final = 4096
REGEX_MEMORY: Final = 1 << 20
"""Bytes of memory that RE2 may use for one expression; an expression that needs more is rejected."""
MAX_PROGRAM: Final = 2_000
"""RE2 instructions of one expression at its creation; matching takes time in proportion to them."""
MAX_MATCHED: Final = 4096
"""Characters of a label's value that regular expressions are matched with."""
_earlier_syntax = re.compile(
    r'\s*(?:"(?P<quoted>(?:[^"\\]|\\.)+)"|(?P<name>[a-zA-Z_:][a-zA-Z0-9_:]*))'
    r"\s*(?P<op>=~|!~|!=|=)\s*(?P<value>.*?)\s*",
    re.DOTALL,
)
_plain_name = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")


class Op(StrEnum):
    """The operator of a matcher."""

    EQUAL = "="
    NOT_EQUAL = "!="
    MATCHES = "=~"
    NOT_MATCHES = "!~"


REGULAR: Final = frozenset({Op.MATCHES, Op.NOT_MATCHES})
"""The operators whose value is a regular expression."""


class Matcher(msgspec.Struct, frozen=True):
    """One condition on one label."""

    name: str
    op: Op
    value: str

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Whether the label set meets the condition."""
        actual = labels.get(self.name, "")
        match self.op:
            case Op.EQUAL:
                return actual == self.value
            case Op.NOT_EQUAL:
                return actual != self.value
            case Op.MATCHES:
                return matches_pattern(self.value, actual)
            case Op.NOT_MATCHES:
                return not matches_pattern(self.value, actual)

    def __str__(self) -> str:
        name = self.name if _plain_name.fullmatch(self.name) else quoted(self.name)
        return f"{name}{self.op}{quoted(self.value)}"


def parse_matchers(text: str) -> tuple[Matcher, ...]:
    r"""Parse an entry such as `team=~"db|infra"`, `{a="b", c!="d"}` or `{}`, as Alertmanager's UTF-8 parser does.

    Raises:
        InvalidInput: the text is in another syntax; the field is empty, because only the caller knows it.
    """
    if len(text) > MAX_LENGTH:
        raise InvalidInput("", f"must not be longer than {MAX_LENGTH} characters")
    try:
        found = parse_utf8(text)
    except MatcherSyntaxError as error:
        raise InvalidInput("", f"{text!r} is not a matcher: {error}; {_advice(text)}") from None
    matchers = tuple(Matcher(name, Op(operator), value) for name, operator, value in found)
    for matcher in matchers:
        require_valid_pattern(matcher, text)
    return matchers


def parse_stored(text: str) -> tuple[Matcher, ...]:
    """Parse an entry that was accepted by this release, or by an earlier one in its own syntax.

    Raises:
        InvalidInput: it is neither.
    """
    try:
        return parse_matchers(text)
    except InvalidInput:
        matcher = parse_earlier(text)
        if matcher is None:
            raise
        return (matcher,)


def parse_earlier(text: str) -> Matcher | None:
    """Parse a matcher in the syntax of earlier releases, which had one in each entry; None if it is none.

    Migration 0009 rewrites these.
    """
    found = _earlier_syntax.fullmatch(text)
    if found is None or (value := classic_value(found["value"])) is None:
        return None
    matcher = Matcher(found["name"] or classic_unescape(found["quoted"]), Op(found["op"]), value)
    try:
        require_valid_pattern(matcher, text)
    except InvalidInput:
        return None
    return matcher


def require_matchers(text: str) -> None:
    """Check an entry at its creation or change. One that no release can write in quotes may stay as it is.

    Raises:
        InvalidInput: it is in another syntax, or slow to match; the field is empty.
    """
    try:
        matchers = parse_matchers(text)
    except InvalidInput:
        if not is_too_long_in_quotes(text):
            raise
        matchers = parse_stored(text)
    for matcher in matchers:
        require_small_program(matcher)


def is_too_long_in_quotes(text: str) -> bool:
    """Whether an entry in the syntax of earlier releases can't be written in quotes."""
    if len(text) > MAX_LENGTH:
        return False
    try:
        parse_utf8(text)
    except MatcherSyntaxError:
        matcher = parse_earlier(text)
        return matcher is not None and len(str(matcher)) > MAX_LENGTH
    return False


def _advice(text: str) -> str:
    classic = parse_classic(text)
    if not classic:
        return 'write it like severity="critical" or team=~"db|infra"'
    matchers = [Matcher(name, Op(operator), _without_quotes(value)) for name, operator, value in classic]
    return f"write it as {', '.join(map(str, matchers))}"


def _without_quotes(value: str) -> str:
    """The value without single or back quotes, which neither parser takes for quotes."""
    if len(value) > 1 and value[0] == value[-1] and value[0] in "'`":
        return value[1:-1]
    return value


def require_valid_pattern(matcher: Matcher, text: str) -> None:
    """Reject a regular expression that is invalid; `text` is the matcher as it was given.

    Raises:
        InvalidInput: it is invalid; the field is empty.
    """
    if matcher.op not in REGULAR:
        return
    try:
        _regex(matcher.value)
    except re2.error as error:
        detail = error.args[0] if error.args else ""
        reason = detail.decode(errors="replace") if isinstance(detail, bytes) else str(detail)
        raise InvalidInput("", f"{text!r} has an invalid regular expression: {reason}") from None


def matches_pattern(pattern: str, value: str) -> bool:
    """Whether a valid regular expression matches a value as a whole; of a long value its first characters."""
    return _regex(pattern).fullmatch(value[:MAX_MATCHED]) is not None


def program_size(pattern: str) -> int:
    """Return the number of RE2 instructions of a valid regular expression.

    Source: `RE2::ProgramSize` in https://github.com/google/re2/blob/main/re2/re2.h
    """
    return int(_regex(pattern).programsize)  # type: ignore[attr-defined]  # missing in the stubs


def require_small_program(matcher: Matcher) -> None:
    """Reject a regular expression that would be slow to match.

    Stored ones are not checked again, so that a stricter bound stops no channel.

    Raises:
        InvalidInput: it has more than MAX_PROGRAM instructions; the field is empty.
    """
    if matcher.op not in REGULAR:
        return
    size = program_size(matcher.value)
    if size > MAX_PROGRAM:
        raise InvalidInput(
            "", f"{matcher} is too large a regular expression: {size} instructions, at most {MAX_PROGRAM}"
        )


@cache
def _options() -> Any:
    options = re2.Options()
    options.log_errors = False
    options.max_mem = REGEX_MEMORY
    return options


@lru_cache(maxsize=65_536)
def _regex(pattern: str) -> "re.Pattern[str]":
    return cast("re.Pattern[str]", re2.compile(pattern, _options()))
