"""How long is text on Telegram, and how is it made to fit?

Telegram counts what is left of its HTML when that is parsed: https://core.telegram.org/bots/api#html-style
"""

import re
from typing import Final

from relay.notify.text.content import ELLIPSIS, unaddressed
from relay.notify.text.graphemes import start_of
from relay.notify.text.markup import TELEGRAM, escape_entities

MAX_RENDERED_ENTITIES: Final = 25
"""Of those in what a template made: others want some too."""

_tag = re.compile(r"<[^<>]*>")


def units(text: str) -> int:
    """UTF-16 code units, which Telegram counts in."""
    return len(text) if text.isascii() else len(text.encode("utf-16-le", "surrogatepass")) // 2


def measured(markup: str) -> tuple[int, int]:
    """The code units of the text that is left when the markup is parsed, and how many entities that makes."""
    text = _tag.sub("", markup) if "<" in markup else markup
    return size_of(text), markup.count("</")


def size_of(escaped: str) -> int:
    """The code units of escaped text without tags, when it is parsed."""
    # Telegram knows some more entities; these are ours, and one more would only be counted as too long.
    return units(escaped.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&"))


def uttered(text: str, limit: int) -> str:
    """Text that mentions nobody, escaped, in at most `limit` code units when parsed."""
    return _fitted(unaddressed(text[: limit + 1]), limit)


def copied(text: str, limit: int) -> str:
    """Text to be copied as it is: nobody is mentioned there."""
    return f"<code>{_fitted(text[: limit + 1], limit)}</code>"


def cut_rendered(written: str, limit: int) -> str:
    """What a template made, in at most `limit` code units when parsed, with as many entities as there may be."""

    def size(markup: str) -> int:
        size, entities = measured(markup)
        return size if entities <= MAX_RENDERED_ENTITIES else limit + 1

    return TELEGRAM.cut(written, limit, size)


def _fitted(text: str, limit: int) -> str:
    """The escaped text, cut between what people see as characters."""
    if units(text) <= limit:
        return escape_entities(text)
    start = text.encode("utf-16-le", "surrogatepass")[: 2 * (limit - len(ELLIPSIS))]
    at = start_of(text, len(start.decode("utf-16-le", "ignore")))
    return escape_entities(text[:at].rstrip()) + ELLIPSIS
