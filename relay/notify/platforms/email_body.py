"""What does a mail say, as text and as HTML?"""

import html
import re
from collections.abc import Sequence
from typing import Final

import msgspec

from relay.domain.fields import REPLACEMENT
from relay.notify.platforms.email_text import text_of
from relay.notify.text.content import AlertText, Content, cut, labels_line, not_shown_line
from relay.notify.text.markup import HTML
from relay.notify.text.pagination import SHORT_DESCRIPTION
from relay.notify.text.summary import SummaryLimits, summary_lines

MAX_HTML: Final = 100_000
"""Bytes of the HTML; Gmail hides what is beyond 102 kB, which no page says."""
MAX_SUMMARY: Final = 60_000
MAX_LINE: Final = 2000
MAX_ALERTS: Final = 200
"""Alerts that are shown; the rest are counted."""
MAX_TITLE: Final = 300
DESCRIPTIONS: Final = 10_000
"""Characters that the alerts share for their descriptions; each may have SHORT_DESCRIPTION of them at least."""
MAX_LABELS: Final = 1000
MAX_BODY: Final = 10_000
MAX_RENDERED: Final = 4000
"""Characters of the HTML that a template made, in place of the labels and of an alert."""
MAX_NOTE: Final = 600
MAX_LINK: Final = 2000
MOST_READ: Final = 2
"""Times what a text may have: so much of it is read, for white space may be taken out."""

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
QUIET: Final = '<div style="color:#616161">{}</div>\n'


class Words(msgspec.Struct, frozen=True):
    """The same words as text and as HTML."""

    text: str
    html: str


def written(content: Content) -> Words:
    """All of a message."""
    opening = _opening(content)
    around = [*opening, *_closing(content, content.total)]
    room = MAX_HTML - sum(_size(words.html) for words in around) - _size(PAGE + BOX)
    alerts: list[Words] = []
    description = max(SHORT_DESCRIPTION, DESCRIPTIONS // max(len(content.alerts), 1))
    for alert in content.alerts[:MAX_ALERTS]:
        words = _alert(alert, description)
        room -= _size(words.html)
        if room < 0:
            break
        alerts.append(words)
    every = [*opening, *alerts, *_closing(content, content.total - len(alerts))]
    return Words(
        "\n".join(words.text for words in every),
        PAGE.format(BOX.format(content.color, "".join(words.html for words in every))),
    )


def headline_of(content: Content) -> Words:
    """What it is about, in one line."""
    if content.title:
        title = HTML.cut(_shown(content.title), MAX_TITLE)
        return Words(in_one_line(text_of(title), MAX_TITLE), title)
    headline = in_one_line(content.headline, MAX_TITLE)
    return Words(headline, _escaped(headline))


def _opening(content: Content) -> list[Words]:
    headline = headline_of(content)
    words = [Words(headline.text + "\n", HEADLINE.format(headline.html))]
    words += [_paragraph(in_one_line(note, MAX_NOTE)) for note in content.notes]
    if content.labels:
        words.append(_paragraph(in_one_line(labels_line(content.labels), MAX_LABELS)))
    if content.body is not None:
        words.append(_rendered(content.body, MAX_BODY))
    if content.counts:
        room = SummaryLimits(
            total=MAX_SUMMARY, line=MAX_LINE, overhead=_size("<br>\n"), escape=_escaped_line, size=_size
        )
        lines = summary_lines(content.counts, room)
        text = "\n".join(map(html.unescape, lines)) + "\n"
        words.append(Words(text, PARAGRAPH.format("<br>\n".join(lines))))
    return words


def _closing(content: Content, left: int) -> list[Words]:
    words = [_paragraph(not_shown_line(left))] if left else []
    words += [_paragraph(content.truncated)] if content.truncated else []
    links = _links(content.closing_links(left))
    return [*words, *(Words(f"{one.text}\n", PARAGRAPH.format(one.html)) for one in links)]


def _rendered(written: str, limit: int) -> Words:
    """What a template made: HTML, in which lines are lines, and the same as text."""
    shown = HTML.cut(_shown(_newline.sub("\n", written)), limit)
    return Words(text_of(shown) + "\n", ALERT.format(LINES.format(shown)))


def _alert(alert: AlertText, most: int) -> Words:
    if alert.rendered:
        return _rendered(alert.rendered, MAX_RENDERED)
    title = f"{alert.mark} {in_one_line(alert.title, MAX_TITLE) or 'alert'}"
    text, parts = [title], [f"<div><strong>{_escaped(title)}</strong></div>\n"]
    if description := _lines(alert.description, most):
        text += [f"  {line}" for line in description.split("\n")]
        parts.append(LINES.format(_escaped(description)))
    if alert.labels:
        labels = in_one_line(labels_line(alert.labels), MAX_LABELS)
        text.append(f"  {labels}")
        parts.append(QUIET.format(_escaped(labels)))
    links = _links(alert.links)
    text += [f"  {alert.times}", *(f"  {link.text}" for link in links), ""]
    parts.append(QUIET.format(" · ".join([_escaped(alert.times), *(link.html for link in links)])))
    return Words("\n".join(text), ALERT.format("".join(parts)))


def _links(links: Sequence[tuple[str, str]]) -> list[Words]:
    return [
        Words(f"{text}: {url}", f'<a href="{html.escape(url)}">{html.escape(text)}</a>')
        for text, url in links
        if len(url) <= MAX_LINK
    ]


def _paragraph(text: str) -> Words:
    return Words(text + "\n", PARAGRAPH.format(_escaped(text)))


def in_one_line(text: str, limit: int) -> str:
    """The text in one line; not all of one that is many times too long is read."""
    return cut(" ".join(_shown(text[: MOST_READ * limit]).split()), limit)


def _lines(text: str, limit: int) -> str:
    return cut(_shown(_newline.sub("\n", text[: MOST_READ * limit])).strip(), limit)


def _escaped(text: str) -> str:
    return html.escape(text, quote=False)


def _escaped_line(text: str) -> str:
    return _escaped(_shown(text))


def _shown(text: str) -> str:
    """The text without what no mail program shows well."""
    return text if text.isprintable() else _unprintable.sub(REPLACEMENT, text)


def _size(text: str) -> int:
    return len(text.encode(errors="replace")) + text.count("\n")  # a line ends in two bytes
