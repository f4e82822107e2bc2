"""Conversion of a template's HTML to the plain text of an email.

It uses regular expressions of linear time, because html.parser takes seconds for some texts.
"""

import html
import re
from typing import Final

BLOCKS: Final = frozenset(
    {"blockquote", "br", "div", "h1", "h2", "h3", "h4", "li", "p", "pre", "table", "tr", "ul"}
)
"""Elements that start and end a line."""

_invisible = re.compile(r"<(script|style|title)\b[^<>]*>[^<]*</\1>", re.IGNORECASE)
_tag = re.compile(r"<(?P<closes>/?)(?P<name>[A-Za-z][A-Za-z0-9]*)(?P<rest>[^<>]*)>")
_link = re.compile(r"\bhref\s*=\s*[\"']?([^\"'\s]*)", re.IGNORECASE)
_empty_lines = re.compile(r"\n\s*\n")


def html_to_text(markup: str) -> str:
    """The text of HTML whose line breaks are preserved. A link is followed by its URL."""
    links: list[str] = []

    def replace_tag(tag: re.Match[str]) -> str:
        name = tag["name"].lower()
        if name in BLOCKS:
            return "\n"
        if name != "a":
            return ""
        if not tag["closes"]:
            found = _link.search(tag["rest"])
            links.append(found[1] if found else "")
            return ""
        url = links.pop() if links else ""
        return f" ({url})" if url else ""

    text = html.unescape(_tag.sub(replace_tag, _invisible.sub("", markup)))
    return _empty_lines.sub("\n\n", text).strip()
