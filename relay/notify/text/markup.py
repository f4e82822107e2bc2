"""How does each platform mark text up: what does it escape, how does it write a link, where may it be cut?

While a template is rendered, the markup that its author wrote, and what filters such as `link` make, is kept apart
from the values between: each character that could be markup is replaced by a twin of its own, from a private plane
of Unicode. In the end all but the twins is escaped, and the twins become what they stand for. So it does not
matter by which way through macros, blocks and other filters a value came: it stays text, also where it is cut.
"""

import html
import re
from bisect import bisect_right
from collections.abc import Callable
from typing import Final

import msgspec

from relay.domain.fields import REPLACEMENT
from relay.notify.text.content import ELLIPSIS, unaddressed, web_url
from relay.notify.text.graphemes import start_of

TWINS: Final = 0xF0000
"""Where the twins of ASCII begin: in a plane that Unicode leaves to whoever needs one."""
SIGNS: Final = "!\"#&'()*<>@[\\]_`|~"
"""What is markup, or part of an escape, on one platform or another."""

_to_twins = {ord(sign): TWINS + ord(sign) for sign in SIGNS}
_from_twins = {twin: sign for sign, twin in _to_twins.items()}
_twins = re.compile(f"[{chr(TWINS)}-{chr(TWINS + 0x7F)}]")

MARKDOWN: Final = r"\*_~`|>#[]<@"
"""Discord's signs. The backslash comes first, for it escapes the others."""
_tag = re.compile(r"<(?P<closes>/?)(?P<name>[A-Za-z][\w-]*)[^<>]*>")
VOID: Final = frozenset({"br", "hr", "img", "wbr"})
"""HTML's elements that have no end, of those that stand in text."""


def as_markup(text: str) -> str:
    """Text that is to stay as it is when the values around it are escaped."""
    return text.translate(_to_twins)


def plain(text: str) -> str:
    """Text in which markup is spelled as what it looks like."""
    return text.translate(_from_twins)


def as_text(text: str) -> str:
    """Text without anything that could pass for markup."""
    return _twins.sub(REPLACEMENT, text)


class Markup(msgspec.Struct, frozen=True, kw_only=True):
    """One platform's markup.

    `escape` makes text stay text. `link` takes an escaped text and a URL; `bold` and `code` are what stands before
    and behind. `atoms` finds what must not be cut, and any other character. `closes`: what is cut must be closed.
    """

    name: str
    escape: Callable[[str], str] = str
    link: Callable[[str, str], str]
    bold: tuple[str, str] = ("", "")
    code: tuple[str, str] = ("", "")
    code_escape: Callable[[str], str] = str
    not_in_links: str = ""
    """Signs that a link's text must not hold, and that can't be escaped."""
    atoms: re.Pattern[str] = re.compile(r".", re.DOTALL)
    closes: bool = False

    def finished(self, text: str) -> str:
        """What a template made, in the platform's markup, with all values in it escaped."""
        return self.escape(text).translate(_from_twins)

    def linked(self, text: str, url: str) -> str:
        """A link, for a template; only to web pages, else it is the text alone."""
        address = web_url(url)
        if address is None:
            return text
        words = " ".join(text.translate({ord(sign): " " for sign in self.not_in_links}).split())
        before, behind = self.link("\0", address).split("\0")
        return as_markup(before) + (words or address) + as_markup(behind)

    def bolded(self, text: str) -> str:
        """Text in bold, for a template."""
        return as_markup(self.bold[0]) + text + as_markup(self.bold[1]) if text.strip() else text

    def coded(self, text: str) -> str:
        """Text in a type of one width, for a template; nothing in it is markup."""
        if not text.strip():
            return text
        return as_markup(self.code[0] + self.code_escape(text.translate(_from_twins)) + self.code[1])

    def escaped(self, text: str) -> str:
        """Text that is escaped already, for a template."""
        return as_markup(self.escape(text).translate(_from_twins))

    def cut(self, written: str, limit: int, size: Callable[[str], int] = len) -> str:
        """What was written, or its start and an ellipsis, of at most `limit` as `size` measures it.

        It is cut between what people see as characters, never inside an escape, a link or a tag.
        """
        if size(written) <= limit:
            return written
        places = [0, *(found.end() for found in self.atoms.finditer(written))]
        at = bisect_right(places, limit, key=lambda place: size(self._ended(written[:place]))) - 1
        while at > 0 and start_of(written, places[at]) != places[at]:
            at -= 1
        ended = self._ended(written[: places[max(at, 0)]])
        return ended if at >= 0 and size(ended) <= limit else ""

    def _ended(self, start: str) -> str:
        open_tags: list[str] = []
        for tag in _tag.finditer(start) if self.closes else ():
            name = tag["name"].lower()
            if not tag["closes"] and name not in VOID:
                open_tags.append(tag["name"])
            elif name in (one.lower() for one in open_tags):
                while open_tags.pop().lower() != name:
                    pass
        return start.rstrip() + ELLIPSIS + "".join(f"</{name}>" for name in reversed(open_tags))


def escape_entities(text: str) -> str:
    """Escape text so that it can't form a mention, a link, a tag or an entity.

    https://docs.slack.dev/messaging/formatting-message-text#escaping
    https://core.telegram.org/bots/api#html-style
    """
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def escape_all(text: str) -> str:
    """Escape text so that it can't form any of these, and no name in it is read as a mention.

    https://docs.slack.dev/reference/block-kit/composition-objects/text-object, `verbatim`: that would keep names
    from being read too, but URLs in a description would be no links any more.
    """
    return escape_entities(unaddressed(text))


def escape_markdown(text: str) -> str:
    """Escape Discord's Markdown, so that text stays text."""
    for sign in MARKDOWN:  # many times faster than a table, or an expression, on text of any kind
        if sign in text:
            text = text.replace(sign, "\\" + sign)
    return text


def _without_backticks(text: str) -> str:
    return text.replace("`", "'")


def _markdown_link(text: str, url: str) -> str:
    return f"[{text}]({url.replace('(', '%28').replace(')', '%29')})"


def _html_link(text: str, url: str) -> str:
    return f'<a href="{html.escape(url)}">{text}</a>'


_HTML_ATOMS = re.compile(r"<[^<>]*>|&#?\w{1,31};|.", re.DOTALL)

PLAIN: Final = Markup(name="plain text", link=lambda text, url: f"{text} ({url})")
SLACK: Final = Markup(
    name="Slack's mrkdwn",
    escape=escape_all,
    link=lambda text, url: f"<{escape_entities(url)}|{text}>",
    bold=("*", "*"),
    code=("`", "`"),
    code_escape=lambda text: escape_entities(_without_backticks(text)),
    not_in_links="|",
    atoms=re.compile(r"<[^<>]*>|&(?:amp|lt|gt);|.", re.DOTALL),
)
DISCORD: Final = Markup(
    name="Discord's Markdown",
    escape=escape_markdown,
    link=_markdown_link,
    bold=("**", "**"),
    code=("`", "`"),
    code_escape=_without_backticks,
    atoms=re.compile(r"\\.|\[(?:\\.|[^\[\]\\])*\]\([^()\s]*\)|<[^<>\s]*>|.", re.DOTALL),
)
TEAMS: Final = msgspec.structs.replace(DISCORD, name="Markdown, of which the relay makes a card's text")
TELEGRAM: Final = Markup(
    name="Telegram's HTML",
    escape=escape_all,
    link=_html_link,
    bold=("<b>", "</b>"),
    code=("<code>", "</code>"),
    code_escape=escape_entities,
    atoms=_HTML_ATOMS,
    closes=True,
)
HTML: Final = Markup(
    name="HTML",
    escape=html.escape,
    link=_html_link,
    bold=("<strong>", "</strong>"),
    code=("<code>", "</code>"),
    code_escape=html.escape,
    atoms=_HTML_ATOMS,
    closes=True,
)
MARKUPS: Final = {markup.name: markup for markup in (PLAIN, SLACK, DISCORD, TEAMS, TELEGRAM, HTML)}
