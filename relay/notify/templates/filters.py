"""Template filters in addition to Jinja's."""

import math
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final

import markupsafe

from relay.notify.text.graphemes import floor_boundary
from relay.notify.text.markup import Markup, decode_markup, remove_encoded_markup
from relay.notify.text.plain_text import ELLIPSIS, format_duration

MULTIPLES: Final = ("", "k", "M", "G", "T", "P", "E", "Z", "Y")
FRACTIONS: Final = ("", "m", "u", "n", "p", "f", "a", "z", "y")
DIGITS: Final = 4
"""Significant digits, as in Prometheus's `humanize`: https://prometheus.io/docs/prometheus/latest/configuration/template_reference/"""


def duration(value: Any, until: Any = None) -> str:
    """A duration in its two largest units: `7m 12s`. Takes seconds, or a start time and an end (default: now).

    Raises:
        ValueError: the value is neither a number nor a time.
    """
    if isinstance(value, str) and not _is_number(value):
        end = datetime.now(UTC) if until is None else _parse_time(until)
        seconds = (end - _parse_time(value)).total_seconds()
    else:
        seconds = float(value)
    if not math.isfinite(seconds):
        return str(seconds)
    sign, length = "-" if seconds < 0 else "", abs(seconds)
    return sign + (f"{round(length * 1000)}ms" if 0 < length < 1 else format_duration(length))


def humanize(value: Any) -> str:
    """A number with a metric prefix: `1.5k`, `1.5M`, `20m`.

    Raises:
        ValueError: the value is not a number.
    """
    number = float(value)
    if number == 0 or not math.isfinite(number):
        return f"{number:.{DIGITS}g}"
    prefixes, step = (MULTIPLES, 1 / 1000) if abs(number) >= 1 else (FRACTIONS, 1000)
    power = 0
    while power + 1 < len(prefixes) and (abs(number) >= 1000 if step < 1 else abs(number) < 1):
        number, power = number * step, power + 1
    return f"{number:.{DIGITS}g}{prefixes[power]}"


def truncate(value: Any, length: int = 255) -> str:
    """The text, shortened with an ellipsis to at most `length` characters. Does not split emoji."""
    text = str(value)
    if len(text) <= length:
        return text
    return text[: floor_boundary(text, max(length - len(ELLIPSIS), 0))].rstrip() + ELLIPSIS


def striptags(value: Any) -> str:
    """The text without tags, and with its entities decoded."""
    tagged = markupsafe.Markup(decode_markup(str(value)))  # noqa: S704 - the result is escaped as text
    return remove_encoded_markup(tagged.striptags())


COMMON_FILTERS: Final[dict[str, Callable[..., Any]]] = {
    "duration": duration,
    "humanize": humanize,
    "truncate": truncate,
    "striptags": striptags,
}
"""Filters that do not depend on the markup."""


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
    return own | dict.fromkeys(("escape", "e", "forceescape"), escape) | COMMON_FILTERS


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _parse_time(value: Any) -> datetime:
    time = datetime.fromisoformat(str(value))
    return time if time.tzinfo is not None else time.replace(tzinfo=UTC)
