"""Measuring and cutting of text for Telegram.

Telegram counts the text that is left when its HTML is parsed: https://core.telegram.org/bots/api#html-style
"""

import re
from typing import Final

from relay.notify.text.bidi import confined
from relay.notify.text.graphemes import floor_boundary
from relay.notify.text.markup import TELEGRAM, escape_entities
from relay.notify.text.plain_text import ELLIPSIS, without_mentions

MAX_RENDERED_ENTITIES: Final = 25
"""Entities in one output of a template, so that other parts of the message keep theirs."""

_tag = re.compile(r"<[^<>]*>")


def code_units(text: str) -> int:
    """The number of UTF-16 code units, in which Telegram counts."""
    return len(text) if text.isascii() else len(text.encode("utf-16-le", "surrogatepass")) // 2


def measure(markup: str) -> tuple[int, int]:
    """The code units of the text, and the number of entities, when the markup is parsed."""
    return escaped_size(_tag.sub("", markup)), markup.count("</")


def escaped_size(escaped: str) -> int:
    """The code units of escaped text without tags when it is parsed."""
    # Telegram supports a few more entities, which this counts as longer than they are; we do not write them.
    return code_units(escaped.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&"))


def escape_text(text: str, limit: int) -> str:
    """Escaped text without mentions, cut to at most `limit` code units when parsed."""
    return _fit(without_mentions(text[: limit + 1]), limit)


def format_code(text: str, limit: int) -> str:
    """Monospaced text, cut to at most `limit` code units when parsed. Telegram parses no mentions in it."""
    return f"<code>{_fit(text[: limit + 1], limit)}</code>"


def cut_rendered(markup: str, limit: int) -> str:
    """A template's output, cut to at most `limit` code units when parsed and MAX_RENDERED_ENTITIES."""

    def size(markup: str) -> int:
        size, entities = measure(markup)
        return size if entities <= MAX_RENDERED_ENTITIES else limit + 1

    return TELEGRAM.cut(markup, limit, size)


def _fit(text: str, limit: int) -> str:
    """The escaped text, cut at a grapheme boundary."""
    if code_units(text) <= limit:
        return escape_entities(confined(text))
    start = text.encode("utf-16-le", "surrogatepass")[: 2 * (limit - len(ELLIPSIS))]
    end = floor_boundary(text, len(start.decode("utf-16-le", "ignore")))
    return escape_entities(confined(text[:end].rstrip())) + ELLIPSIS
