"""Preview of requests, with the channel's secrets masked."""

import base64
from typing import Final, Literal

import msgspec

from relay.domain.channel_types import BaseChannel
from relay.domain.channels import MASK
from relay.notify.redact import redact, redact_whole, secrets_of
from relay.notify.requests import AnyRequest, Mail, Notice, Request
from relay.notify.signing import SIGNATURE, TIMESTAMP
from relay.notify.transport.http import HEADERS

ADDED_WHEN_SENT: Final = "(added when sent)"
"""Value of the headers that depend on the time. A signature made for a preview would be valid."""

Encoding = Literal["utf-8", "base64"]


class HttpPreview(msgspec.Struct, frozen=True, kw_only=True, tag="http", tag_field="kind"):
    """An HTTP request. `body` is complete, in base64 if it is not UTF-8."""

    method: str
    url: str
    headers: dict[str, str]
    body: str
    encoding: Encoding


class MailPreview(msgspec.Struct, frozen=True, kw_only=True, tag="mail", tag_field="kind"):
    """An email as an SMTP server receives it: the envelope, and as `body` the MIME message without its date."""

    url: str
    sender: str
    recipients: tuple[str, ...]
    body: str
    encoding: Encoding


class NoticePreview(msgspec.Struct, frozen=True, kw_only=True, tag="apprise", tag_field="kind"):
    """A notification as Apprise receives it; Apprise builds its own requests from it."""

    url: str
    title: str
    body: str
    notify_type: str


RequestPreview = HttpPreview | MailPreview | NoticePreview


def preview_request(request: AnyRequest, channel: BaseChannel) -> RequestPreview:
    """The preview of one request of a channel."""
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
            title, text = (redact_whole(part, channel) for part in (request.title, request.text))
            return NoticePreview(url=url, title=title, body=text, notify_type=request.notify_type)


def _headers(request: Request, channel: BaseChannel) -> dict[str, str]:
    """All headers except those for framing. A header's value may be a secret that is too short for redact()."""
    own = {name.lower() for name in request.headers}
    headers = {name: value for name, value in HEADERS.items() if name.lower() not in own}
    secrets = set(secrets_of(channel))
    for name, value in request.headers.items():
        headers[name] = MASK if value in secrets else redact(value, channel)
    if request.signing is not None:
        headers |= dict.fromkeys((TIMESTAMP, SIGNATURE), ADDED_WHEN_SENT)
    return headers


def _body(body: bytes, channel: BaseChannel) -> tuple[str, Encoding]:
    try:
        return redact_whole(body.decode(), channel), "utf-8"
    except UnicodeDecodeError:
        # Latin-1 maps every byte to a character, so ASCII secrets can be masked in any bytes.
        masked = redact_whole(body.decode("latin-1"), channel).encode("latin-1")
        return base64.b64encode(masked).decode(), "base64"
