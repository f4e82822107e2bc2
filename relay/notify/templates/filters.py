"""Template filters in addition to Jinja's."""

from collections.abc import Callable
from typing import Any, Final

import markupsafe

from relay.notify.templates.absent import default, is_defined, is_undefined
from relay.notify.templates.numbers import humanize
from relay.notify.templates.regex_filters import regex_match, regex_replace
from relay.notify.templates.time_filters import date, duration, tz
from relay.notify.text.markup import Markup, decode_markup, remove_encoded_markup
from relay.notify.text.plain_text import cut


def truncate(value: Any, length: int = 255) -> str:
    """The text, shortened with an ellipsis to at most `length` characters. Does not split emoji."""
    return cut(str(value), max(length, 1))


def striptags(value: Any) -> str:
    """The text without tags, and with its entities decoded."""
    tagged = markupsafe.Markup(decode_markup(str(value)))  # noqa: S704 - the result is escaped as text
    return remove_encoded_markup(tagged.striptags())


DATA_FILTERS: Final[dict[str, Callable[..., Any]]] = {
    "duration": duration,
    "date": date,
    "tz": tz,
    "humanize": humanize,
    "regex_match": regex_match,
    "regex_replace": regex_replace,
    "default": default,
    "d": default,
}
"""Filters of all templates."""
TEXT_FILTERS: Final[dict[str, Callable[..., Any]]] = {"truncate": truncate, "striptags": striptags}
"""Filters of message templates that do not depend on the markup."""
TESTS: Final[dict[str, Callable[..., Any]]] = {"defined": is_defined, "undefined": is_undefined}
"""Tests of all templates."""


def filters_for(markup: Markup) -> dict[str, Callable[..., Any]]:
    """All filters for templates in a platform's markup."""

    def link(text: Any, url: Any) -> str:
        return markup.format_link(str(text), str(url))

    def bold(text: Any) -> str:
        return markup.format_bold(str(text))

    def code(text: Any) -> str:
        return markup.format_code(str(text))

    def escape(text: Any) -> str:
        return markup.format_escaped(str(text))

    own: dict[str, Callable[..., Any]] = {"link": link, "bold": bold, "code": code}
    return own | dict.fromkeys(("escape", "e", "forceescape"), escape) | DATA_FILTERS | TEXT_FILTERS
