"""Which metrics and labels does a PromQL expression ask for?"""

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
    | (?P<word>[a-zA-Z_:][\w:]*)(?!\w)(?P<called>\s*\(|\s+(?:by|without)\b)?
      (?P<matchers>\{{(?:{STRING}|[^}}"])*\}})?
    """,
    re.VERBOSE,
)
MATCHER = re.compile(rf"(\w+)\s*(=~|!~|!=|=)\s*({STRING})")
OPERATORS = {"and", "or", "unless", "offset", "bool", "Inf", "NaN"}


class Selector(NamedTuple):
    """`metric{label="value"}`; each value of `label=~"a|b"` by itself."""

    metric: str
    matchers: list[tuple[str, str]]


def selectors(expression: str) -> Iterator[Selector]:
    for token in _tokens(expression):
        word = token["word"]
        if word and not token["called"] and word not in OPERATORS:
            matchers = [
                (label, value)
                for label, _, values in MATCHER.findall(token["matchers"] or "")
                for value in values.strip('"').split("|")
            ]
            yield Selector(word, matchers)


def grouped_by(expression: str) -> set[str]:
    """The labels of every `by (…)`, `on (…)` and the like."""
    return {
        label.strip()
        for token in _tokens(expression)
        for label in (token["grouping"] or "").split(",")
        if label.strip()
    }


def _tokens(expression: str) -> Iterator[re.Match[str]]:
    """`sum by (…)` is read as the word, called, and the grouping, which stands in what the word looked at."""
    at = 0
    while found := TOKENS.search(expression, at):
        yield found
        at = found.start("called") if found["called"] else found.end()
        at = max(at, found.start() + 1)
