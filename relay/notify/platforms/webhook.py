"""How is a message told to any HTTP endpoint: as our documented JSON, or as the channel's template says?"""

import re
from typing import Final
from urllib.parse import urlsplit

import msgspec

from relay.domain.channel_types import WebhookChannel
from relay.domain.errors import InvalidInput
from relay.domain.notifications import Message
from relay.notify.notifier import Notifier
from relay.notify.requests import JSON, Request
from relay.notify.signing import ID_PREFIX, MESSAGE_ID, SIGNING_HEADERS, Signing, check_secret
from relay.notify.templates.sandbox import check_body
from relay.notify.text.payload import payload_of

MAX_TEMPLATE: Final = 64 * 1024
MAX_HEADERS: Final = 50
MAX_HEADER_VALUE: Final = 8192
KEPT_HEADERS: Final = frozenset(
    {
        "host",
        "content-length",
        "transfer-encoding",
        "connection",
        "te",
        "upgrade",
        "trailer",
        "expect",
        *SIGNING_HEADERS,
    }
)
"""Headers that frame the request or sign it; setting them would break it, or smuggle another one in."""

_header_name = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
"""A token, as RFC 9110, section 5.6.2 defines it."""
_header_value = re.compile(r"[\t\x20-\x7e\x80-\xff]*")


class WebhookNotifier(Notifier[WebhookChannel]):
    """Any HTTP endpoint that takes JSON."""

    def check(self, channel: WebhookChannel) -> None:
        """Headers must be sendable, secrets must be keys, and the template must parse."""
        _check_headers(channel.custom_headers)
        _check_secrets(channel)
        names = {name.lower() for name in channel.custom_headers}
        if "authorization" in names and "@" in urlsplit(channel.webhook_url).netloc:
            raise InvalidInput("custom_headers", "must not set Authorization, for the URL holds a user already")
        template = channel.custom_payload_template
        if template is None:
            return
        if len(template) > MAX_TEMPLATE:
            raise InvalidInput("custom_payload_template", f"must not be longer than {MAX_TEMPLATE} characters")
        check_body("custom_payload_template", template)

    def body_template(self, channel: WebhookChannel) -> str | None:
        """The channel's own."""
        return channel.custom_payload_template

    def request(self, channel: WebhookChannel, message: Message) -> Request:
        """The payload as JSON, or what the channel's template made of it."""
        made = message.body
        body = msgspec.json.encode(payload_of(message)) if made is None else made.encode(errors="replace")
        message_id = f"{ID_PREFIX}{message.id}"
        secrets = tuple(secret for secret in (channel.signing_secret, channel.signing_secret_previous) if secret)
        return Request(
            url=channel.webhook_url,
            body=body,
            headers=_headers(channel.custom_headers, message_id),
            signing=Signing(message_id, secrets) if secrets else None,
        )


def _headers(custom: dict[str, str], message_id: str) -> dict[str, str]:
    """The id is sent unsigned too: by it a receiver tells a message that it has taken before."""
    kept = {name: value for name, value in custom.items() if name.lower() not in SIGNING_HEADERS}
    typed = "content-type" in {name.lower() for name in kept}
    return (kept if typed else JSON | kept) | {MESSAGE_ID: message_id}


def _check_secrets(channel: WebhookChannel) -> None:
    for field in ("signing_secret", "signing_secret_previous"):
        if (secret := getattr(channel, field)) is not None:
            check_secret(field, secret)
    if channel.signing_secret is None and channel.signing_secret_previous is not None:
        raise InvalidInput("signing_secret_previous", "is for the time after a change; set signing_secret too")


def _check_headers(headers: dict[str, str]) -> None:
    if len(headers) > MAX_HEADERS:
        raise InvalidInput("custom_headers", f"must not hold more than {MAX_HEADERS} headers")
    for name, value in headers.items():
        if not _header_name.fullmatch(name):
            raise InvalidInput("custom_headers", f"{name!r} is not a header name")
        if name.lower() in KEPT_HEADERS:
            raise InvalidInput(f"custom_headers.{name}", "is set by the relay itself")
        if len(value) > MAX_HEADER_VALUE or not _header_value.fullmatch(value):
            raise InvalidInput(f"custom_headers.{name}", "holds characters that a header can't, or too many")
