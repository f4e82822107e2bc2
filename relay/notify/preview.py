"""How is a request shown to people who want to see it before it is sent, without the channel's secrets?"""

import base64
from typing import Final, Literal

import msgspec

from relay.domain.channel_types import BaseChannel
from relay.domain.channels import MASK
from relay.notify.redact import redact, redact_own, secrets_of
from relay.notify.requests import AnyRequest, Mail, Notice, Request
from relay.notify.signing import SIGNATURE, TIMESTAMP
from relay.notify.transport.http import HEADERS

WHEN_SENT: Final = "(made when it is sent)"
"""Stands in the headers that hold the time. A signature made now would be one that a receiver takes."""

Encoding = Literal["utf-8", "base64"]


class HttpPreview(msgspec.Struct, frozen=True, kw_only=True, tag="http", tag_field="kind"):
    """An HTTP request. `body` is all of it, in base64 if its bytes are no UTF-8."""

    method: str
    url: str
    headers: dict[str, str]
    body: str
    encoding: Encoding


class MailPreview(msgspec.Struct, frozen=True, kw_only=True, tag="mail", tag_field="kind"):
    """What a mail server is handed: the envelope, and as `body` the MIME message but for its date."""

    url: str
    sender: str
    recipients: tuple[str, ...]
    body: str
    encoding: Encoding


class NoticePreview(msgspec.Struct, frozen=True, kw_only=True, tag="apprise", tag_field="kind"):
    """What Apprise is told, and makes its own requests of. `notify_type` is its word for how bad it is."""

    url: str
    title: str
    body: str
    notify_type: str


RequestPreview = HttpPreview | MailPreview | NoticePreview


def preview_request(request: AnyRequest, channel: BaseChannel) -> RequestPreview:
    """A request of the channel, its secrets masked."""
    url = redact(request.url, channel)
    match request:
        case Request():
            body, encoding = _body(request.body, channel)
            return HttpPreview(
                method=request.method,
                url=url,
                headers=_headers(request, channel),
                body=body,
                encoding=encoding,
            )
        case Mail():
            body, encoding = _body(request.body, channel)
            return MailPreview(
                url=url,
                sender=request.sender,
                recipients=request.recipients,
                body=body,
                encoding=encoding,
            )
        case Notice():
            title, text = (redact_own(part, channel) for part in (request.title, request.text))
            return NoticePreview(url=url, title=title, body=text, notify_type=request.notify_type)


def _headers(request: Request, channel: BaseChannel) -> dict[str, str]:
    """Those that are sent, but for what frames the request. A value that is secret may be of any length."""
    given = {name.lower() for name in request.headers}
    headers = {name: value for name, value in HEADERS.items() if name.lower() not in given} | request.headers
    secrets = set(secrets_of(channel))
    masked = {
        name: MASK if value in secrets else redact(value, channel) if name in request.headers else value
        for name, value in headers.items()
    }
    return masked | (dict.fromkeys((TIMESTAMP, SIGNATURE), WHEN_SENT) if request.signing is not None else {})


def _body(body: bytes, channel: BaseChannel) -> tuple[str, Encoding]:
    try:
        return redact_own(body.decode(), channel), "utf-8"
    except UnicodeDecodeError:
        # Latin-1 has a character for each byte, so that what is ASCII can be masked in any bytes.
        masked = redact_own(body.decode("latin-1"), channel).encode("latin-1")
        return base64.b64encode(masked).decode(), "base64"
