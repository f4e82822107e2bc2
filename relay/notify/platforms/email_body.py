"""The body of an email, as text and as HTML."""

import html
import re
from collections.abc import Sequence
from typing import Final

import msgspec

from relay.domain.fields import REPLACEMENT
from relay.notify.platforms.email_text import html_to_text
from relay.notify.text.content import AlertText, Content, labels_line, not_shown_line
from relay.notify.text.markup import HTML
from relay.notify.text.pagination import SHORT_DESCRIPTION, Pages
from relay.notify.text.plain_text import cut
from relay.notify.text.summary import SummaryLimits, summary_lines

MAX_HTML: Final = 100_000
"""Bytes of the HTML. Gmail hides what exceeds 102 kB; no page has this limit."""
MAX_SUMMARY: Final = 60_000
MAX_LINE: Final = 2000
MAX_ALERTS: Final = 200
"""Alerts that are shown; the others are counted."""
MAX_TITLE: Final = 300
MAX_DESCRIPTIONS: Final = 10_000
"""Characters of all descriptions, shared equally by the alerts; each may have at least SHORT_DESCRIPTION."""
MAX_LABELS: Final = 1000
MAX_BODY: Final = 10_000
MAX_RENDERED: Final = 4000
"""Characters of the HTML that a template rendered, as the body and for each alert."""
MAX_NOTE: Final = 600
MAX_LINK: Final = 2000
READ_FACTOR: Final = 2
"""A text is read up to this multiple of its limit, because whitespace is removed from it."""

_unprintable = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
_newline = re.compile(r"\r\n?")

PAGE: Final = '<!DOCTYPE html>\n<html>\n<body style="margin:0;padding:12px">\n{}</body>\n</html>\n'
BOX: Final = (
    '<div style="border-left:6px solid #{:06X};padding:2px 14px;'
    'font:14px/1.5 Arial,Helvetica,sans-serif;color:#212121">\n{}</div>\n'
)
HEADLINE: Final = '<h2 style="margin:4px 0 10px;font-size:18px">{}</h2>\n'
PARAGRAPH: Final = '<p style="margin:6px 0">{}</p>\n'
ALERT: Final = '<div style="margin:14px 0">\n{}</div>\n'
LINES: Final = '<div style="white-space:pre-wrap">{}</div>\n'
MUTED: Final = '<div style="color:#616161">{}</div>\n'


class TextAndHtml(msgspec.Struct, frozen=True):
    """The same content as text and as HTML."""

    text: str
    html: str


def render(content: Content) -> TextAndHtml:
    """Render the content of a message."""
    opening = _opening(content)
    fixed = [*opening, *_closing(content, content.total)]
    size = MAX_HTML - sum(_size(part.html) for part in fixed) - _size(PAGE + BOX)
    description = max(SHORT_DESCRIPTION, MAX_DESCRIPTIONS // max(len(content.alerts), 1))
    pages: Pages[TextAndHtml] = Pages([(size, MAX_ALERTS)], lambda alert: (_size(alert.html), 1))
    shown = pages.fill(_format_alert(alert, description) for alert in content.alerts)
    parts = [*opening, *pages.pages[0], *_closing(content, content.total - shown)]
    return TextAndHtml(
        "\n".join(part.text for part in parts),
        PAGE.format(BOX.format(content.color, "".join(part.html for part in parts))),
    )


def headline_of(content: Content) -> TextAndHtml:
    """The headline, in one line."""
    if content.title:
        title = HTML.cut(_printable(content.title), MAX_TITLE)
        return TextAndHtml(single_line(html_to_text(title), MAX_TITLE), title)
    headline = single_line(content.headline, MAX_TITLE)
    return TextAndHtml(headline, _escape(headline))


def _opening(content: Content) -> list[TextAndHtml]:
    headline = headline_of(content)
    parts = [TextAndHtml(headline.text + "\n", HEADLINE.format(headline.html))]
    parts += [_paragraph(single_line(note, MAX_NOTE)) for note in content.notes]
    if content.labels:
        parts.append(_paragraph(single_line(labels_line(content.labels), MAX_LABELS)))
    if content.body is not None:
        parts.append(_format_rendered(content.body, MAX_BODY))
    if content.counts:
        limits = SummaryLimits(
            total=MAX_SUMMARY, line=MAX_LINE, overhead=_size("<br>\n"), escape=_escape_line, size=_size
        )
        lines = summary_lines(content.counts, limits)
        text = "\n".join(map(html.unescape, lines)) + "\n"
        parts.append(TextAndHtml(text, PARAGRAPH.format("<br>\n".join(lines))))
    return parts


def _closing(content: Content, not_shown: int) -> list[TextAndHtml]:
    lines = [
        *([not_shown_line(not_shown)] if not_shown else []),
        *([content.truncated] if content.truncated else []),
    ]
    links = _links(content.closing_links(not_shown))
    return [
        *map(_paragraph, lines),
        *(TextAndHtml(f"{link.text}\n", PARAGRAPH.format(link.html)) for link in links),
    ]


def _format_rendered(markup: str, limit: int) -> TextAndHtml:
    """A template's HTML, with its line breaks preserved, and the same as text."""
    shown = HTML.cut(_printable(_newline.sub("\n", markup)), limit)
    return TextAndHtml(html_to_text(shown) + "\n", ALERT.format(LINES.format(shown)))


def _format_alert(alert: AlertText, max_description: int) -> TextAndHtml:
    if alert.rendered:
        return _format_rendered(alert.rendered, MAX_RENDERED)
    title = f"{alert.mark} {single_line(alert.title, MAX_TITLE) or 'alert'}"
    text, parts = [title], [f"<div><strong>{_escape(title)}</strong></div>\n"]
    if description := _lines(alert.description, max_description):
        text += [f"  {line}" for line in description.split("\n")]
        parts.append(LINES.format(_escape(description)))
    if alert.labels:
        labels = single_line(labels_line(alert.labels), MAX_LABELS)
        text.append(f"  {labels}")
        parts.append(MUTED.format(_escape(labels)))
    links = _links(alert.links)
    text += [f"  {alert.times}", *(f"  {link.text}" for link in links), ""]
    parts.append(MUTED.format(" · ".join([_escape(alert.times), *(link.html for link in links)])))
    return TextAndHtml("\n".join(text), ALERT.format("".join(parts)))


def _links(links: Sequence[tuple[str, str]]) -> list[TextAndHtml]:
    return [
        TextAndHtml(f"{text}: {url}", f'<a href="{html.escape(url)}">{html.escape(text)}</a>')
        for text, url in links
        if len(url) <= MAX_LINK
    ]


def _paragraph(text: str) -> TextAndHtml:
    return TextAndHtml(text + "\n", PARAGRAPH.format(_escape(text)))


def single_line(text: str, limit: int) -> str:
    """The text in one line, cut to at most `limit` characters."""
    return cut(" ".join(_printable(text[: READ_FACTOR * limit]).split()), limit)


def _lines(text: str, limit: int) -> str:
    return cut(_printable(_newline.sub("\n", text[: READ_FACTOR * limit])).strip(), limit)


def _escape(text: str) -> str:
    return html.escape(text, quote=False)


def _escape_line(text: str) -> str:
    return _escape(_printable(text))


def _printable(text: str) -> str:
    """The text with control characters replaced, which mail clients display badly."""
    return text if text.isprintable() else _unprintable.sub(REPLACEMENT, text)


def _size(text: str) -> int:
    return len(text.encode(errors="replace")) + text.count("\n")  # a line ends in CR LF
