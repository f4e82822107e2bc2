"""Plain text: cutting, mentions, URLs and durations."""

import re
from collections.abc import Callable
from typing import Final
from urllib.parse import quote, urlsplit

from relay.notify.text.bidi import confined
from relay.notify.text.graphemes import floor_boundary

ELLIPSIS: Final = "…"
MAX_URL: Final = 2048
URL_SAFE: Final = "!#$%&'()*+,-./:;=?@[]~_"
WORD_JOINER: Final = "\u2060"

_mention = re.compile(r"@(?<!\w@)(?=\w)")


def cut(text: str, limit: int) -> str:
    """The text with its direction confined, cut to at most `limit` characters; a cut text ends in an ellipsis."""
    if len(text) <= limit:
        return confined(text)
    if limit < len(ELLIPSIS):
        return ""
    return confined(text[: floor_boundary(text, limit - len(ELLIPSIS))].rstrip()) + ELLIPSIS


def fit(text: str, limit: int, escape: Callable[[str], str] = str, size: Callable[[str], int] = len) -> str:
    """The escaped text with its direction confined, cut to at most `limit` as measured by `size`.

    A cut text ends in an ellipsis. The cut is at a grapheme boundary and never inside an escape sequence. `escape`
    must escape each character independently of its neighbors, and `size` must be at least one for each.
    """
    head = text[: max(limit, 0) + 1]
    if len(head) <= limit and size(whole := escape(confined(text))) <= limit:
        return whole
    available = limit - size(ELLIPSIS)
    if available < 0:
        return ""
    low, high = 0, len(head)
    while low < high:  # a binary search that escapes each character about once
        middle = (low + high + 1) // 2
        needed = size(escape(head[low:middle]))
        if needed <= available:
            low, available = middle, available - needed
        else:
            high = middle - 1
    return escape(confined(text[: floor_boundary(text, low)])).rstrip() + ELLIPSIS


def one_line(text: str) -> str:
    """The text in one line, without whitespace around it, where bold text has no effect on some platforms."""
    return " ".join(text.split())


def without_mentions(text: str) -> str:
    """The text with an invisible character after each `@`, for platforms that parse `@name` as a mention."""
    return _mention.sub(f"@{WORD_JOINER}", text)


def web_url(text: str) -> str | None:
    """The URL with unsafe characters percent-encoded, so that it can be linked to.

    None unless the scheme is http or https, and for a URL that is too long, malformed or without a host.
    """
    if len(text) > MAX_URL:
        return None
    url = quote(text.strip(), safe=URL_SAFE)
    try:
        parts = urlsplit(url)
        has_host = bool(parts.hostname)
    except ValueError:
        return None
    return url if parts.scheme in ("http", "https") and has_host else None


def format_duration(seconds: float) -> str:
    """A duration in its two largest units: `1h 30m`."""
    seconds = max(int(seconds), 0)
    numbers = (seconds // 86400, seconds // 3600 % 24, seconds // 60 % 60, seconds % 60)
    first = next((index for index, number in enumerate(numbers) if number), len(numbers) - 1)
    units = list(zip(numbers, "dhms", strict=True))[first : first + 2]
    return " ".join(f"{number}{unit}" for number, unit in units if number) or "0s"
