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

MAX_LENGTH: Final = 4096
REGEX_MEMORY: Final = 1 << 20
"""Bytes of memory that RE2 may use for one expression; an expression that needs more is rejected."""
MAX_PROGRAM: Final = 2_000
"""RE2 instructions of one expression at its creation; matching takes time in proportion to them."""
MAX_MATCHED: Final = 4096
"""Characters of a label's value that regular expressions are matched with."""
_syntax = re.compile(
    r'\s*(?:"(?P<quoted>(?:[^"\\]|\\.)+)"|(?P<name>[a-zA-Z_:][a-zA-Z0-9_:]*))'
    r"\s*(?P<op>=~|!~|!=|=)\s*(?P<value>.*?)\s*",
    re.DOTALL,
)
_plain_name = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
_escape = re.compile(r"\\(.)", re.DOTALL)
_unescaped_quote = re.compile(r'(?<!\\)(?:\\\\)*"')


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
        name = self.name if _plain_name.fullmatch(self.name) else _quoted(self.name)
        return f"{name}{self.op}{_quoted(self.value)}"


def parse_matcher(text: str) -> Matcher:
    r"""Parse a matcher such as `team=~"db|infra"`. Quotes are optional; `\"`, `\\` and `\n` are escapes.

    Raises:
        InvalidInput: the text is not a matcher; the field is empty, because only the caller knows it.
    """
    if len(text) > MAX_LENGTH:
        raise InvalidInput("", f"must not be longer than {MAX_LENGTH} characters")
    found = _syntax.fullmatch(text)
    if found is None:
        raise InvalidInput("", f'{text!r} is not a matcher, such as severity="critical" or team=~"db|infra"')
    name = found["name"] or _unescape(found["quoted"])
    matcher = Matcher(name=name, op=Op(found["op"]), value=_value(found["value"], text))
    if matcher.op in REGULAR:
        try:
            _regex(matcher.value)
        except re2.error as error:
            detail = error.args[0] if error.args else ""
            reason = detail.decode(errors="replace") if isinstance(detail, bytes) else str(detail)
            raise InvalidInput("", f"{text!r} has an invalid regular expression: {reason}") from None
    return matcher


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


def _value(raw: str, text: str) -> str:
    quoted = len(raw) >= 2 and raw.startswith('"') and raw.endswith('"')
    inner = raw[1:-1] if quoted else raw
    if _unescaped_quote.search(inner) or (quoted and (len(inner) - len(inner.rstrip("\\"))) % 2):
        raise InvalidInput("", f"{text!r} has an unbalanced quote")
    return _unescape(inner)


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def _unescape(text: str) -> str:
    return _escape.sub(
        lambda found: "\n" if found[1] == "n" else found[1] if found[1] in '"\\' else found[0], text
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
