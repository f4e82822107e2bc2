"""What does a mail's HTML say to those who read mail as text?

By expressions that read each character about once, and not by html.parser: that takes seconds for some texts.
"""

import html
import re
from typing import Final

BLOCKS: Final = frozenset(
    {"blockquote", "br", "div", "h1", "h2", "h3", "h4", "li", "p", "pre", "table", "tr", "ul"}
)
"""Elements that begin, and end, a line."""

_unseen = re.compile(r"<(script|style|title)\b[^<>]*>[^<]*</\1>", re.IGNORECASE)
_tag = re.compile(r"<(?P<closes>/?)(?P<name>[A-Za-z][A-Za-z0-9]*)(?P<rest>[^<>]*)>")
_link = re.compile(r"\bhref\s*=\s*[\"']?([^\"'\s]*)", re.IGNORECASE)
_empty_lines = re.compile(r"\n\s*\n")


def text_of(markup: str) -> str:
    """The words of HTML in which lines are lines; a link's URL stands behind it."""
    links: list[str] = []

    def said(tag: re.Match[str]) -> str:
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

    words = html.unescape(_tag.sub(said, _unseen.sub("", markup)))
    return _empty_lines.sub("\n\n", words).strip()
