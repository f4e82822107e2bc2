"""What does a mail's HTML say to those who read mail as text?"""

import re
from html.parser import HTMLParser
from typing import Final

BLOCKS: Final = frozenset({"blockquote", "div", "h1", "h2", "h3", "h4", "li", "p", "pre", "table", "tr", "ul"})
"""Elements that begin, and end, a line."""
UNSEEN: Final = frozenset({"script", "style", "title"})

_empty_lines = re.compile(r"\n\s*\n")


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.words: list[str] = []
        self._links: list[str] = []
        self._unseen = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "a":
            self._links.append(dict(attrs).get("href") or "")
        self._unseen += tag in UNSEEN
        if tag in BLOCKS or tag == "br":
            self.words.append("\n")

    def handle_endtag(self, tag: str) -> None:
        if tag == "a" and self._links and (url := self._links.pop()):
            self.words.append(f" ({url})")
        self._unseen -= tag in UNSEEN
        if tag in BLOCKS:
            self.words.append("\n")

    def handle_data(self, data: str) -> None:
        if self._unseen <= 0:
            self.words.append(data)


def text_of(markup: str) -> str:
    """The words of HTML in which lines are lines; a link's URL stands behind it."""
    reader = _Reader()
    reader.feed(markup)
    reader.close()
    return _empty_lines.sub("\n\n", "".join(reader.words)).strip()
