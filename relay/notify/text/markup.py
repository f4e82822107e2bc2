"""The markup of each platform: escaping, links, bold and code, and where it may be cut.

While a template is rendered, the markup of its author, and that of filters such as `link`, is encoded in
characters of a private plane of Unicode. The output is then escaped, and these characters are decoded. A value
therefore stays text whichever macros, blocks or filters it passes through.
"""

import html
import re
from bisect import bisect_right
from collections.abc import Callable
from typing import Final

import msgspec

from relay.domain.fields import REPLACEMENT
from relay.notify.text.bidi import confined
from relay.notify.text.graphemes import floor_boundary
from relay.notify.text.plain_text import ELLIPSIS, WORD_JOINER, web_url, without_mentions

PRIVATE_PLANE: Final = 0xF0000
"""The code point that encodes ASCII's first. https://www.unicode.org/faq/private_use.html"""
SPECIAL_CHARACTERS: Final = "!\"#&'()*<>@[\\]_`|~"
"""Characters that are markup, or part of an escape sequence, on some platform."""

_encode = {ord(character): PRIVATE_PLANE + ord(character) for character in SPECIAL_CHARACTERS}
_decode = {encoded: character for character, encoded in _encode.items()}
_encoded = re.compile(f"[{chr(PRIVATE_PLANE)}-{chr(PRIVATE_PLANE + 0x7F)}]")

MARKDOWN: Final = r"\*_~`|>#[]<@"
"""Discord's special characters. The backslash is first because it escapes the others."""
_group = re.compile(r"@(?=(?:everyone|here|channel|all|room)\b)", re.IGNORECASE)
_bracket = re.compile(r"<(?=[!@#&])")
_line = re.compile(r"\S(?:.*\S)?")
_tag = re.compile(r"<(?P<closes>/?)(?P<name>[A-Za-z][\w-]*)[^<>]*>")
VOID_ELEMENTS: Final = frozenset({"br", "hr", "img", "wbr"})
"""Inline elements without an end tag. https://html.spec.whatwg.org/multipage/syntax.html#void-elements"""


def encode_markup(text: str) -> str:
    """Encode the special characters of markup, which protects them from being escaped."""
    return text.translate(_encode)


def decode_markup(text: str) -> str:
    """Decode encoded markup."""
    return text.translate(_decode)


def remove_encoded_markup(text: str) -> str:
    """Replace the encoded characters in untrusted text."""
    return _encoded.sub(REPLACEMENT, text)


class Markup(msgspec.Struct, frozen=True, kw_only=True):
    """The markup of one platform.

    `escape` escapes text. `link` formats an escaped text and a URL. `bold` and `code` are (prefix, suffix).
    `code_escape` escapes text inside code. `not_in_links` are characters that cannot be escaped in a link's text.
    `atoms` matches what must not be cut, or any one character. `close_tags`: open tags are closed after a cut.
    """

    name: str
    escape: Callable[[str], str] = str
    link: Callable[[str, str], str]
    bold: tuple[str, str] = ("", "")
    code: tuple[str, str] = ("", "")
    code_escape: Callable[[str], str] = str
    not_in_links: str = ""
    atoms: re.Pattern[str] = re.compile(r".", re.DOTALL)
    close_tags: bool = False

    def finish(self, text: str) -> str:
        """Turn the output of a template into this markup: escape its text and decode its markup."""
        return self.escape(text).translate(_decode)

    def format_link(self, text: str, url: str) -> str:
        """A link as encoded markup; the text alone unless the URL is that of a web page."""
        address = web_url(url)
        if address is None:
            return text
        label = " ".join(text.translate({ord(character): " " for character in self.not_in_links}).split())
        prefix, suffix = self.link("\0", address).split("\0")
        return encode_markup(prefix) + (label or address) + encode_markup(suffix)

    def format_bold(self, text: str) -> str:
        """Bold text as encoded markup."""
        prefix, suffix = map(encode_markup, self.bold)
        return _each_line(text, lambda line: prefix + line + suffix)

    def format_code(self, text: str) -> str:
        """Monospaced text as encoded markup; markup in it is shown as text."""
        prefix, suffix = self.code
        return _each_line(
            text, lambda line: encode_markup(prefix + self.code_escape(line.translate(_decode)) + suffix)
        )

    def format_escaped(self, text: str) -> str:
        """Escaped text as encoded markup, so that it is not escaped again."""
        return encode_markup(self.escape(text).translate(_decode))

    def cut(self, markup: str, limit: int, size: Callable[[str], int] = len) -> str:
        """The markup with its direction confined, cut to at most `limit` as measured by `size`.

        A cut text ends in an ellipsis.
        The cut is at a grapheme boundary, and never inside an escape sequence, a link or a tag.
        """
        markup = confined(markup)
        if size(markup) <= limit:
            return markup
        ends = [0, *(atom.end() for atom in self.atoms.finditer(markup))]
        index = bisect_right(ends, limit, key=lambda end: size(self._cut_at(markup, end))) - 1
        while index > 0 and floor_boundary(markup, ends[index]) != ends[index]:
            index -= 1
        cut = self._cut_at(markup, ends[max(index, 0)])
        return confined(cut) if index >= 0 and size(cut) <= limit else ""

    def _cut_at(self, markup: str, end: int) -> str:
        start = markup[:end]
        open_tags: list[str] = []
        for tag in _tag.finditer(start) if self.close_tags else ():
            name = tag["name"].lower()
            if not tag["closes"] and name not in VOID_ELEMENTS:
                open_tags.append(tag["name"])
            elif name in (tag.lower() for tag in open_tags):
                while open_tags.pop().lower() != name:
                    pass
        return start.rstrip() + ELLIPSIS + "".join(f"</{name}>" for name in reversed(open_tags))


def _each_line(text: str, form: Callable[[str], str]) -> str:
    """The text with each line formatted, but not the whitespace around it, which would disable the markup."""
    return _line.sub(lambda found: form(found[0]), text)


def escape_entities(text: str) -> str:
    """Escape text so that it cannot form a mention, a link, a tag or an entity.

    https://docs.slack.dev/messaging/formatting-message-text#escaping
    https://core.telegram.org/bots/api#html-style
    """
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def escape_all(text: str) -> str:
    """Escape text like `escape_entities`, and prevent `@name` from being parsed as a mention.

    Slack's `verbatim` would prevent that too, but also turn off the links of URLs in a description.
    https://docs.slack.dev/reference/block-kit/composition-objects/text-object
    """
    return escape_entities(without_mentions(text))


def escape_mentions(text: str) -> str:
    """Break the mentions of Slack, Discord and others, for a text whose platform is not known.

    `@everyone` and `@name`; `<!here>`, `<@U1>`, `<#C1>` and `<&1>`.
    """
    text = _group.sub(f"@{WORD_JOINER}", without_mentions(text))
    return _bracket.sub(f"<{WORD_JOINER}", text)


def escape_markdown(text: str) -> str:
    """Escape Discord's Markdown."""
    for character in MARKDOWN:  # many times faster than str.translate or a regular expression
        if character in text:
            text = text.replace(character, "\\" + character)
    return text


def _without_backticks(text: str) -> str:
    return text.replace("`", "'")


def _markdown_link(text: str, url: str) -> str:
    return f"[{text}]({url.replace('(', '%28').replace(')', '%29')})"


def _html_link(text: str, url: str) -> str:
    return f'<a href="{html.escape(url)}">{text}</a>'


_HTML_ATOMS = re.compile(r"<[^<>]*>|&#?\w{1,31};|.", re.DOTALL)

PLAIN: Final = Markup(name="plain text", link=lambda text, url: f"{text} ({url})")
INERT: Final = msgspec.structs.replace(PLAIN, name="plain text without mentions", escape=escape_mentions)
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
TEAMS: Final = msgspec.structs.replace(DISCORD, name="Markdown, which the relay converts to a card's text")
TELEGRAM: Final = Markup(
    name="Telegram's HTML",
    escape=escape_all,
    link=_html_link,
    bold=("<b>", "</b>"),
    code=("<code>", "</code>"),
    code_escape=escape_entities,
    atoms=_HTML_ATOMS,
    close_tags=True,
)
HTML: Final = Markup(
    name="HTML",
    escape=html.escape,
    link=_html_link,
    bold=("<strong>", "</strong>"),
    code=("<code>", "</code>"),
    code_escape=html.escape,
    atoms=_HTML_ATOMS,
    close_tags=True,
)
MARKUPS: Final = {markup.name: markup for markup in (PLAIN, INERT, SLACK, DISCORD, TEAMS, TELEGRAM, HTML)}
