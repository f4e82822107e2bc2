"""How is a message told by mail?

https://www.rfc-editor.org/rfc/rfc5322
"""

import base64
import binascii
import hashlib
from email.header import Header
from typing import Final

from relay.domain.channel_types import EmailChannel, RateLimit
from relay.domain.errors import InvalidInput
from relay.domain.notifications import Message, Notification
from relay.notify.notifier import Notifier
from relay.notify.platforms.email_addresses import check_address
from relay.notify.platforms.email_body import headline_of, in_one_line, written
from relay.notify.requests import Mail
from relay.notify.text.content import content_of
from relay.notify.text.markup import HTML
from relay.notify.transport.egress_policy import host_url

RATE_LIMIT: Final = RateLimit(per_second=1, burst=5)
"""Ours: mail servers differ, and people can't read more."""
MAX_SUBJECT: Final = 200
MAX_RECIPIENTS: Final = 100
"""A server must take so many. https://www.rfc-editor.org/rfc/rfc5321#section-4.5.3.1.8"""
MAX_LOGIN: Final = 255
PORTS: Final = {"starttls": 587, "tls": 465, "none": 25}
"""https://www.rfc-editor.org/rfc/rfc8314#section-3"""
MAX_LINE_OF_MAIL: Final = 76
"""Characters. https://www.rfc-editor.org/rfc/rfc2045#section-6.8"""
CONTINUES: Final = 0xC0
CONTINUATION: Final = 0x80
"""The bits of a byte of UTF-8 that is not the first of its character."""
MAX_ENCODED_WORD: Final = 39
"""Bytes of whole characters, which in base64 fill a line that begins with `Subject:`.

https://www.rfc-editor.org/rfc/rfc2047#section-2
"""


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
            url=host_url("smtp", channel.smtp_host, port),
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
    words = written(content)
    parts = [_part("plain", words.text), _part("html", words.html)]
    headline = headline_of(content).text
    said = _hash(channel.id, message.id, channel.email_from, *channel.email_to, headline, words.html)
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
    group = [channel.id, message.group.group_key, *([message.key_source] if message.key_source else [])]
    root = f"<{_hash(*group)}.group.alert-relay@{domain}>"
    return [f"In-Reply-To: {root}", f"References: {root}"]


def _subject(headline: str) -> str:
    text = in_one_line(headline, MAX_SUBJECT)
    if text.isascii() and "=?" not in text:
        return Header(text, "us-ascii", MAX_LINE_OF_MAIL, "Subject").encode(linesep="\r\n")
    words, encoded = [], text.encode(errors="replace")
    while encoded:
        end = MAX_ENCODED_WORD
        while end < len(encoded) and encoded[end] & CONTINUES == CONTINUATION:
            end -= 1
        words.append(encoded[:end])
        encoded = encoded[end:]
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
