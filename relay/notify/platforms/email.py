"""Messages by email.

https://www.rfc-editor.org/rfc/rfc5322
"""

import base64
import binascii
import hashlib
import re
from email.header import Header
from typing import Final

from relay.domain.channel_types import EmailChannel, RateLimit
from relay.domain.errors import InvalidInput
from relay.domain.notifications import Message, Notification
from relay.notify.notifier import Notifier
from relay.notify.platforms.email_addresses import check_address, parse_sender
from relay.notify.platforms.email_body import headline_of, render, single_line
from relay.notify.requests import Mail
from relay.notify.text.content import content_of
from relay.notify.text.markup import HTML
from relay.notify.transport.egress_policy import host_url

RATE_LIMIT: Final = RateLimit(per_second=1, burst=5)
"""The relay's default: the limits of mail servers differ, and people cannot read more."""
MAX_SUBJECT: Final = 200
MAX_RECIPIENTS: Final = 100
"""The number that every server must accept. https://www.rfc-editor.org/rfc/rfc5321#section-4.5.3.1.8"""
MAX_LOGIN: Final = 255
PORTS: Final = {"starttls": 587, "tls": 465, "none": 25}
"""https://www.rfc-editor.org/rfc/rfc8314#section-3"""
MAX_LINE: Final = 76
"""Characters of a line. https://www.rfc-editor.org/rfc/rfc2045#section-6.8"""
CONTINUATION_MASK: Final = 0xC0
CONTINUATION: Final = 0x80
"""The high bits of a byte of UTF-8 that continues a character. https://www.rfc-editor.org/rfc/rfc3629#section-3"""
MAX_ENCODED_WORD: Final = 39
"""Bytes of whole characters that fit, as base64, into a line that starts with `Subject:`.

https://www.rfc-editor.org/rfc/rfc2047#section-2
"""


_hello = re.compile(r"(?=.{1,255}$)[A-Za-z0-9_-]{1,63}(\.[A-Za-z0-9_-]{1,63})*|\[[0-9A-Za-z.:]{2,60}\]")


class EmailNotifier(Notifier[EmailChannel]):
    """Email, with the same content as text and as HTML."""

    rate_limit = RATE_LIMIT
    markup = HTML

    def urls(self, channel: EmailChannel) -> dict[str, str]:
        """None: a mail server is a host."""
        return {}

    def hosts(self, channel: EmailChannel) -> dict[str, tuple[str, bool]]:
        """The mail server, and whether the connection is encrypted."""
        return {"smtp_host": (channel.smtp_host, channel.smtp_security != "none")}

    def check(self, channel: EmailChannel) -> None:
        """Check the port, the addresses and the login."""
        if channel.smtp_port is not None and not 0 < channel.smtp_port < 65536:
            raise InvalidInput("smtp_port", "must be between 1 and 65535")
        if not 0 < len(channel.email_to) <= MAX_RECIPIENTS:
            raise InvalidInput("email_to", f"must contain 1 to {MAX_RECIPIENTS} addresses")
        parse_sender("email_from", channel.email_from)
        if channel.smtp_hello is not None and not _hello.fullmatch(channel.smtp_hello):
            raise InvalidInput("smtp_hello", "must be a host name, or an address in brackets")
        for index, address in enumerate(channel.email_to):
            check_address(f"email_to[{index}]", address)
        login = {"smtp_username": channel.smtp_username, "smtp_password": channel.smtp_password}
        for field, value in login.items():
            if value is not None and not (0 < len(value) <= MAX_LOGIN and value.isprintable()):
                raise InvalidInput(field, f"must be 1 to {MAX_LOGIN} printable characters")
            if value is None and any(login.values()):
                raise InvalidInput(field, "is missing: a login consists of a username and a password")

    def request(self, channel: EmailChannel, message: Message) -> Mail:
        """One email to all recipients. The emails of a group share a thread, whose root is never sent."""
        port = PORTS[channel.smtp_security] if channel.smtp_port is None else channel.smtp_port
        return Mail(
            url=host_url("smtp", channel.smtp_host, port),
            security=channel.smtp_security,
            username=channel.smtp_username,
            password=channel.smtp_password,
            sender=parse_sender("email_from", channel.email_from)[1],
            recipients=channel.email_to,
            body=_body(channel, message),
            hello=channel.smtp_hello,
        )


def _body(channel: EmailChannel, message: Message) -> bytes:
    """The email without its date. The Message-ID and the boundary are hashes of its content, equal on a retry.

    It is formatted here because `email.message.EmailMessage` with the policy SMTP takes 2 to 5 ms for ten alerts,
    where tests/bench/rendering.py allows 1 ms.
    """
    content = content_of(message)
    rendered = render(content)
    parts = [_part("plain", rendered.text), _part("html", rendered.html)]
    headline = headline_of(content).text
    content_hash = _hash(channel.id, message.id, channel.email_from, *channel.email_to, headline, rendered.html)
    name, sender = parse_sender("email_from", channel.email_from)
    domain = sender.rpartition("@")[2]
    # No part contains this: in quoted-printable, `=` precedes a hexadecimal number or ends the line.
    boundary = f"=_{content_hash}"
    headers = [
        f"From: {_display_name(name)}<{sender}>" if name else f"From: {sender}",
        "To: " + ",\r\n ".join(channel.email_to),
        f"Subject: {_subject(headline)}",
        f"Message-ID: <{content_hash}.alert-relay@{domain}>",
        *_thread(channel, message, domain),
        # Suppress out-of-office replies. https://www.rfc-editor.org/rfc/rfc3834#section-5
        "Auto-Submitted: auto-generated",
        "X-Auto-Response-Suppress: All",
        "MIME-Version: 1.0",
        f'Content-Type: multipart/alternative; boundary="{boundary}"',
    ]
    delimited = [f"--{boundary}\r\n{part}" for part in parts]
    return "\r\n".join([*headers, "", *delimited, f"--{boundary}--", ""]).encode("ascii")


def _thread(channel: EmailChannel, message: Message, domain: str) -> list[str]:
    """The headers that put an email into the thread of its group; a digest has none.

    https://www.rfc-editor.org/rfc/rfc5322#section-3.6.4
    """
    if not isinstance(message, Notification):
        return []
    group = [channel.id, message.group.group_key, *([message.key_source] if message.key_source else [])]
    root = f"<{_hash(*group)}.group.alert-relay@{domain}>"
    return [f"In-Reply-To: {root}", f"References: {root}"]


def _subject(headline: str) -> str:
    text = single_line(headline, MAX_SUBJECT)
    if text.isascii() and "=?" not in text:
        return Header(text, "us-ascii", MAX_LINE, "Subject").encode(linesep="\r\n")
    return _encoded_words(text)


def _display_name(name: str) -> str:
    """A display name before an address, in the form that its characters require."""
    if name.isascii() and "=?" not in name:
        escaped = name.replace("\\", r"\\").replace('"', r"\"")
        return f'"{escaped}" '
    return _encoded_words(name) + "\r\n "


def _encoded_words(text: str) -> str:
    """https://www.rfc-editor.org/rfc/rfc2047"""
    encoded_words, encoded = [], text.encode(errors="replace")
    while encoded:
        end = MAX_ENCODED_WORD
        while end < len(encoded) and encoded[end] & CONTINUATION_MASK == CONTINUATION:
            end -= 1
        encoded_words.append(encoded[:end])
        encoded = encoded[end:]
    return "\r\n ".join(f"=?utf-8?b?{base64.b64encode(word).decode('ascii')}?=" for word in encoded_words)


def _hash(*texts: str) -> str:
    digest = hashlib.sha256()  # faster than blake2b on long texts, by instructions of the processor
    for text in texts:
        digest.update(hashlib.sha256(text.encode(errors="replace")).digest())
    return digest.hexdigest()[:32]


def _part(subtype: str, text: str) -> str:
    """A part of an email, in the probably shorter one of the two encodings that every server supports."""
    encoded = text.encode(errors="replace")
    # Quoted-printable adds two bytes to each byte that is not ASCII, of which a character has two to four; base64
    # adds a third to all.
    if 3 * (len(encoded) - len(text)) < len(encoded) / 3:
        quoted = binascii.b2a_qp(encoded, istext=True).replace(b"\n", b"\r\n")
        encoding, body = "quoted-printable", quoted.decode("ascii")
    else:
        encoding, body = "base64", _base64(encoded.replace(b"\n", b"\r\n"))
    headers = f'Content-Type: text/{subtype}; charset="utf-8"\r\nContent-Transfer-Encoding: {encoding}'
    return f"{headers}\r\n\r\n{body}"


def _base64(data: bytes) -> str:
    """Base64 in lines. base64.encodebytes encodes line by line, which costs a tenth of building an email."""
    encoded = base64.b64encode(data).decode("ascii")
    return "\r\n".join([*(encoded[at : at + MAX_LINE] for at in range(0, len(encoded), MAX_LINE)), ""])
