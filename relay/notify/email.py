"""How is a message told by mail?

https://www.rfc-editor.org/rfc/rfc5322
"""

import base64
import binascii
import hashlib
import html
import re
from collections.abc import Sequence
from email.header import Header
from typing import Final

import msgspec

from relay.domain.alerts import Status
from relay.domain.channel_types import EmailChannel, RateLimit
from relay.domain.errors import InvalidInput
from relay.domain.fields import REPLACEMENT
from relay.domain.notifications import Message, Notification
from relay.notify.addresses import check_address
from relay.notify.base import Mail, Notifier
from relay.notify.content import AlertText, Content, content_of, cut, labels_line, left_out
from relay.notify.mail_text import text_of
from relay.notify.markup import HTML
from relay.notify.pages import SHORT_DESCRIPTION
from relay.notify.summary import Room, summary_lines
from relay.notify.targets import url_of

MAX_HTML: Final = 100_000
"""Bytes of the HTML; Gmail hides what is beyond 102 kB, which no page says."""
MAX_SUMMARY: Final = 60_000
MAX_LINE: Final = 2000
MAX_ALERTS: Final = 200
"""Alerts that are shown; the rest are counted."""
RATE_LIMIT: Final = RateLimit(per_second=1, burst=5)
"""Ours: mail servers differ, and people can't read more."""
MAX_SUBJECT: Final = 200
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
MAX_RECIPIENTS: Final = 100
"""A server must take so many. https://www.rfc-editor.org/rfc/rfc5321#section-4.5.3.1.8"""
MAX_LOGIN: Final = 255
PORTS: Final = {"starttls": 587, "tls": 465, "none": 25}
"""https://www.rfc-editor.org/rfc/rfc8314#section-3"""
MAX_LINE_OF_MAIL: Final = 76
"""Characters. https://www.rfc-editor.org/rfc/rfc2045#section-6.8"""
MAX_ENCODED_WORD: Final = 39
"""Bytes of whole characters, which in base64 fill a line that begins with `Subject:`.

https://www.rfc-editor.org/rfc/rfc2047#section-2
"""

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


class EmailNotifier(Notifier[EmailChannel]):
    """Mail, with the same words as text and as HTML."""

    rate_limit = RATE_LIMIT
    markup = HTML

    def urls(self, channel: EmailChannel) -> dict[str, str]:
        """It is no URL that mail goes to."""
        return {}

    def hosts(self, channel: EmailChannel) -> dict[str, tuple[str, bool]]:
        """The mail server; without encryption only one that is listed."""
        return {"smtp_host": (channel.smtp_host, channel.smtp_security != "none")}

    def check(self, channel: EmailChannel) -> None:
        """Addresses must be sendable as they are, and a login is a name and a password."""
        if channel.smtp_port is not None and not 0 < channel.smtp_port < 65536:
            raise InvalidInput("smtp_port", "must be between 1 and 65535")
        if not 0 < len(channel.email_to) <= MAX_RECIPIENTS:
            raise InvalidInput("email_to", f"must hold 1 to {MAX_RECIPIENTS} addresses")
        check_address("email_from", channel.email_from)
        for at, address in enumerate(channel.email_to):
            check_address(f"email_to[{at}]", address)
        login = {"smtp_username": channel.smtp_username, "smtp_password": channel.smtp_password}
        for field, value in login.items():
            if value is not None and not (0 < len(value) <= MAX_LOGIN and value.isprintable()):
                raise InvalidInput(field, f"must be 1 to {MAX_LOGIN} printable characters")
            if value is None and any(login.values()):
                raise InvalidInput(field, "is missing: a login is a username and a password")

    def request(self, channel: EmailChannel, message: Message) -> Mail:
        """One mail to all. Mails of one group share a thread, in which each one answers a mail that never was."""
        port = PORTS[channel.smtp_security] if channel.smtp_port is None else channel.smtp_port
        return Mail(
            url=url_of("smtp", channel.smtp_host, port),
            security=channel.smtp_security,
            username=channel.smtp_username,
            password=channel.smtp_password,
            sender=channel.email_from,
            recipients=channel.email_to,
            body=_body(channel, message),
        )


def _body(channel: EmailChannel, message: Message) -> bytes:
    """The mail but for its date. What is random in other mails comes from what this one says."""
    content = content_of(message)
    written = _written(content)
    parts = [_part("plain", written.text), _part("html", written.html)]
    headline = _headline(content).text
    said = _hash(channel.id, message.id, channel.email_from, *channel.email_to, headline, written.html)
    domain = channel.email_from.rpartition("@")[2]
    # No part can hold this: `=` is always followed by a hexadecimal number, or ends the line.
    boundary = f"=_{said}"
    headers = [
        f"From: {channel.email_from}",
        "To: " + ",\r\n ".join(channel.email_to),
        f"Subject: {_subject(headline)}",
        f"Message-ID: <{said}.alert-relay@{domain}>",
        *_thread(channel, message, domain),
        # So that no one's absence is told to the relay. https://www.rfc-editor.org/rfc/rfc3834#section-5
        "Auto-Submitted: auto-generated",
        "X-Auto-Response-Suppress: All",
        "MIME-Version: 1.0",
        f'Content-Type: multipart/alternative; boundary="{boundary}"',
    ]
    framed = [f"--{boundary}\r\n{part}" for part in parts]
    return "\r\n".join([*headers, "", *framed, f"--{boundary}--", ""]).encode("ascii")


def _thread(channel: EmailChannel, message: Message, domain: str) -> list[str]:
    """The headers that put a mail into the thread of its group; a digest has none.

    https://www.rfc-editor.org/rfc/rfc5322#section-3.6.4
    """
    if not isinstance(message, Notification):
        return []
    root = f"<{_hash(channel.id, message.group.group_key)}.group.alert-relay@{domain}>"
    return [f"In-Reply-To: {root}", f"References: {root}"]


def _subject(headline: str) -> str:
    text = _line(headline, MAX_SUBJECT)
    if text.isascii() and "=?" not in text:
        return Header(text, "us-ascii", MAX_LINE_OF_MAIL, "Subject").encode(linesep="\r\n")
    words = [b""]
    for character in text:
        encoded = character.encode(errors="replace")
        if len(words[-1]) + len(encoded) > MAX_ENCODED_WORD:
            words.append(b"")
        words[-1] += encoded
    return "\r\n ".join(f"=?utf-8?b?{base64.b64encode(word).decode('ascii')}?=" for word in words)


def _hash(*texts: str) -> str:
    digest = hashlib.sha256()  # which processors know, so that it is faster than blake2b on a long text
    for text in texts:
        digest.update(hashlib.sha256(text.encode(errors="replace")).digest())
    return digest.hexdigest()[:32]


def _part(kind: str, text: str) -> str:
    """A part of a mail, in the likely shorter one of the two encodings that any server passes on."""
    plain = text.encode(errors="replace")
    # Quoting adds two bytes to each that is not ASCII, of which a character has two to four;
    # base64 adds a third to all.
    if 3 * (len(plain) - len(text)) < len(plain) / 3:
        quoted = binascii.b2a_qp(plain, istext=True).replace(b"\n", b"\r\n")
        name, body = "quoted-printable", quoted.decode("ascii")
    else:
        name, body = "base64", _base64(plain.replace(b"\n", b"\r\n"))
    return f'Content-Type: text/{kind}; charset="utf-8"\r\nContent-Transfer-Encoding: {name}\r\n\r\n{body}'


def _base64(data: bytes) -> str:
    """In lines, at once, which is faster than the standard library's: that encodes each by itself."""
    encoded = base64.b64encode(data).decode("ascii")
    lines = [encoded[at : at + MAX_LINE_OF_MAIL] for at in range(0, len(encoded), MAX_LINE_OF_MAIL)]
    return "\r\n".join([*lines, ""])


class _Words(msgspec.Struct, frozen=True):
    """The same words as text and as HTML."""

    text: str
    html: str


def _written(content: Content) -> _Words:
    opening = _opening(content)
    around = [*opening, *_closing(content, content.total)]
    room = MAX_HTML - sum(_size(words.html) for words in around) - _size(PAGE + BOX)
    alerts: list[_Words] = []
    description = max(SHORT_DESCRIPTION, DESCRIPTIONS // max(len(content.alerts), 1))
    for alert in content.alerts[:MAX_ALERTS]:
        words = _alert(alert, description)
        room -= _size(words.html)
        if room < 0:
            break
        alerts.append(words)
    every = [*opening, *alerts, *_closing(content, content.total - len(alerts))]
    return _Words(
        "\n".join(words.text for words in every),
        PAGE.format(BOX.format(content.colour, "".join(words.html for words in every))),
    )


def _headline(content: Content) -> _Words:
    if content.title:
        title = HTML.cut(_shown(content.title), MAX_TITLE)
        return _Words(_line(text_of(title), MAX_TITLE), title)
    headline = _line(content.headline, MAX_TITLE)
    return _Words(headline, _escaped(headline))


def _opening(content: Content) -> list[_Words]:
    headline = _headline(content)
    words = [_Words(headline.text + "\n", HEADLINE.format(headline.html))]
    words += [_paragraph(_line(note, MAX_NOTE)) for note in content.notes]
    if content.labels:
        words.append(_paragraph(_line(labels_line(content.labels), MAX_LABELS)))
    if content.body is not None:
        words.append(_rendered(content.body, MAX_BODY))
    if content.counts:
        room = Room(total=MAX_SUMMARY, line=MAX_LINE, overhead=_size("<br>\n"), escape=_escaped_line, size=_size)
        lines = summary_lines(content.counts, room)
        text = "\n".join(map(html.unescape, lines)) + "\n"
        words.append(_Words(text, PARAGRAPH.format("<br>\n".join(lines))))
    return words


def _closing(content: Content, left: int) -> list[_Words]:
    words = [_paragraph(left_out(left))] if left else []
    words += [_paragraph(content.truncated)] if content.truncated else []
    links = _links(content.links_after(left))
    return [*words, *(_Words(f"{one.text}\n", PARAGRAPH.format(one.html)) for one in links)]


def _rendered(written: str, limit: int) -> _Words:
    """What a template made: HTML, in which lines are lines, and the same as text."""
    shown = HTML.cut(_shown(_newline.sub("\n", written)), limit)
    return _Words(text_of(shown) + "\n", ALERT.format(LINES.format(shown)))


def _alert(alert: AlertText, most: int) -> _Words:
    if alert.rendered:
        return _rendered(alert.rendered, MAX_RENDERED)
    mark = "🔥" if alert.status is Status.FIRING else "✅"
    title = f"{mark} {_line(alert.title, MAX_TITLE) or 'alert'}"
    text, parts = [title], [f"<div><strong>{_escaped(title)}</strong></div>\n"]
    if description := _lines(alert.description, most):
        text += [f"  {line}" for line in description.split("\n")]
        parts.append(LINES.format(_escaped(description)))
    if alert.labels:
        labels = _line(labels_line(alert.labels), MAX_LABELS)
        text.append(f"  {labels}")
        parts.append(QUIET.format(_escaped(labels)))
    links = _links(alert.links)
    text += [f"  {alert.times}", *(f"  {link.text}" for link in links), ""]
    parts.append(QUIET.format(" · ".join([_escaped(alert.times), *(link.html for link in links)])))
    return _Words("\n".join(text), ALERT.format("".join(parts)))


def _links(links: Sequence[tuple[str, str]]) -> list[_Words]:
    return [
        _Words(f"{text}: {url}", f'<a href="{html.escape(url)}">{html.escape(text)}</a>')
        for text, url in links
        if len(url) <= MAX_LINK
    ]


def _paragraph(text: str) -> _Words:
    return _Words(text + "\n", PARAGRAPH.format(_escaped(text)))


def _line(text: str, limit: int) -> str:
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
