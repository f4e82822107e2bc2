"""Messages for any HTTP endpoint: the documented JSON, or the output of the channel's template."""

import re
from typing import Final
from urllib.parse import urlsplit

from relay.domain.channel_types import WebhookChannel
from relay.domain.errors import InvalidInput
from relay.domain.notifications import Message
from relay.notify.notifier import Notifier
from relay.notify.requests import JSON, Request
from relay.notify.signing import ID_PREFIX, MESSAGE_ID, SIGNING_HEADERS, Signing, check_secret
from relay.notify.templates.checks import check_body
from relay.notify.text.alertmanager_payload import alertmanager_payload_of
from relay.notify.text.payload import payload_of

MAX_TEMPLATE: Final = 64 * 1024
MAX_HEADERS: Final = 50
MAX_HEADER_VALUE: Final = 8192
RESERVED_HEADERS: Final = frozenset(
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
"""Headers that frame or sign a request. A custom value could break it or smuggle in another request."""

_header_name = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
"""A token, as RFC 9110, section 5.6.2 defines it."""
_header_value = re.compile(r"[\t\x20-\x7e\x80-\xff]*")


class WebhookNotifier(Notifier[WebhookChannel]):
    """Any HTTP endpoint that accepts JSON."""

    def check(self, channel: WebhookChannel) -> None:
        """Check the headers, the secrets and the syntax of the template."""
        _check_headers(channel.custom_headers)
        _check_secrets(channel)
        names = {name.lower() for name in channel.custom_headers}
        if "authorization" in names and "@" in urlsplit(channel.webhook_url).netloc:
            raise InvalidInput("custom_headers", "must not set Authorization, because the URL contains a user")
        template = channel.custom_payload_template
        if template is None:
            return
        if channel.webhook_body != "relay":
            raise InvalidInput("webhook_body", "can't be combined with custom_payload_template")
        if len(template) > MAX_TEMPLATE:
            raise InvalidInput("custom_payload_template", f"must not be longer than {MAX_TEMPLATE} characters")
        check_body("custom_payload_template", template)

    def body_template(self, channel: WebhookChannel) -> str | None:
        """The channel's template."""
        return channel.custom_payload_template

    def request(self, channel: WebhookChannel, message: Message) -> Request:
        """The payload as JSON, or the output of the channel's template."""
        if (rendered := message.body) is not None:
            body = rendered.encode(errors="replace")
        else:
            by_relay = channel.webhook_body == "relay"
            body = payload_of(message) if by_relay else alertmanager_payload_of(message)
        message_id = f"{ID_PREFIX}{message.id}"
        secrets = tuple(secret for secret in (channel.signing_secret, channel.signing_secret_previous) if secret)
        return Request(
            url=channel.webhook_url,
            body=body,
            headers=_headers(channel.custom_headers, message_id),
            signing=Signing(message_id, secrets) if secrets else None,
        )


def _headers(custom: dict[str, str], message_id: str) -> dict[str, str]:
    """The headers with the message id, even unsigned, by which a receiver detects a duplicate."""
    headers = {name: value for name, value in custom.items() if name.lower() not in SIGNING_HEADERS}
    typed = "content-type" in {name.lower() for name in headers}
    return (headers if typed else JSON | headers) | {MESSAGE_ID: message_id}


def _check_secrets(channel: WebhookChannel) -> None:
    for field in ("signing_secret", "signing_secret_previous"):
        if (secret := getattr(channel, field)) is not None:
            check_secret(field, secret)
    if channel.signing_secret is None and channel.signing_secret_previous is not None:
        raise InvalidInput(
            "signing_secret_previous", "requires signing_secret: it is the secret before a rotation"
        )


def _check_headers(headers: dict[str, str]) -> None:
    if len(headers) > MAX_HEADERS:
        raise InvalidInput("custom_headers", f"must not contain more than {MAX_HEADERS} headers")
    for name, value in headers.items():
        if not _header_name.fullmatch(name):
            raise InvalidInput("custom_headers", f"{name!r} is not a header name")
        if name.lower() in RESERVED_HEADERS:
            raise InvalidInput(f"custom_headers.{name}", "is set by the relay itself")
        if len(value) > MAX_HEADER_VALUE or not _header_value.fullmatch(value):
            raise InvalidInput(
                f"custom_headers.{name}", f"must have at most {MAX_HEADER_VALUE} characters, all valid in a header"
            )
