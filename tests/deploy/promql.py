"""A reader of PromQL that finds the metrics and labels of an expression."""

import re
from collections.abc import Iterator
from typing import NamedTuple

STRING = r'"(?:\\.|[^"\\])*"'
TOKENS = re.compile(
    rf"""
      \#[^\n]*                                                            # a comment
    | {STRING}
    | \[[^\]]*\]                                                          # a range
    | \b(?:by|without|on|ignoring|group_left|group_right)\s*\((?P<grouping>[^)]*)\)
    | \b\d[\w.]*                                                          # a number, a duration
    | (?P<name>[a-zA-Z_:][\w:]*)(?!\w)(?P<called>\s*\(|\s+(?:by|without)\b)?
      (?P<matchers>\{{(?:{STRING}|[^}}"])*\}})?
    """,
    re.VERBOSE,
)
MATCHER = re.compile(rf"(\w+)\s*(=~|!~|!=|=)\s*({STRING})")
OPERATORS = {"and", "or", "unless", "offset", "bool", "Inf", "NaN"}


class Selector(NamedTuple):
    """`metric{label="value"}`; each value of `label=~"a|b"` is a matcher of its own."""

    metric: str
    matchers: list[tuple[str, str]]


def selectors(expression: str) -> Iterator[Selector]:
    for token in _tokens(expression):
        name = token["name"]
        if name and not token["called"] and name not in OPERATORS:
            matchers = [
                (label, value)
                for label, _, values in MATCHER.findall(token["matchers"] or "")
                for value in values.strip('"').split("|")
            ]
            yield Selector(name, matchers)


def grouped_by(expression: str) -> set[str]:
    """The labels of every `by (…)`, `on (…)` and the like."""
    return {
        label.strip()
        for token in _tokens(expression)
        for label in (token["grouping"] or "").split(",")
        if label.strip()
    }


def _tokens(expression: str) -> Iterator[re.Match[str]]:
    """Find the tokens. In `sum by (…)`, `sum` looks ahead at the grouping, which is then read as a token."""
    at = 0
    while found := TOKENS.search(expression, at):
        yield found
        at = found.start("called") if found["called"] else found.end()
        at = max(at, found.start() + 1)
