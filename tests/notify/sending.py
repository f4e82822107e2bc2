"""Sending in tests: a message with the relay's own sender, and a request without it."""

import json
import ssl
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp

from relay.domain.channel_types import BaseChannel, EmailChannel
from relay.domain.notifications import Message
from relay.domain.outcomes import Outcome
from relay.notify.registry import NOTIFIERS
from relay.notify.sender import Sender
from relay.notify.transport.egress_policy import EgressPolicy
from tests.fixtures.sink import Sink
from tests.notify.factories import channel, notification
from tests.notify.strict.minimal import JSON

LOOPBACK = ("127.0.0.0/8",)
SYSTEM_TLS = ssl.create_default_context()
"""Shared by all senders of the tests: reading the system's certificates takes longer than an attempt."""


def local_sender(
    allowed: Sequence[str] = LOOPBACK, attempt_timeout: float = 30.0, tls: ssl.SSLContext | None = None
) -> Sender:
    """A sender that may connect to the allowed targets. `tls` is for SMTP; by default that of the system."""
    return Sender(EgressPolicy(allowed), attempt_timeout, tls or SYSTEM_TLS)


async def send(
    channel_type: type[BaseChannel],
    url: str,
    message: Message | None = None,
    *,
    attempt_timeout: float = 10.0,
    allowed: tuple[str, ...] = LOOPBACK,
    **settings: Any,
) -> Outcome:
    """Make one attempt to deliver a message to a URL."""
    async with local_sender(allowed, attempt_timeout) as sender:
        destination = channel(channel_type, url, **settings)
        return await sender.attempt(NOTIFIERS[channel_type], destination, message or notification())


async def send_mail(
    port: int,
    security: str = "none",
    message: Message | None = None,
    *,
    host: str = "127.0.0.1",
    attempt_timeout: float = 10.0,
    trusted: Path | None = None,
    allowed: tuple[str, ...] = LOOPBACK,
    **settings: Any,
) -> Outcome:
    """Make one attempt to send a mail. `trusted` is the folder of a trusted certificate."""
    destination = channel(EmailChannel, smtp_host=host, smtp_port=port, smtp_security=security, **settings)
    tls = None if trusted is None else ssl.create_default_context(cafile=trusted / "certificate.pem")
    async with local_sender(allowed, attempt_timeout, tls) as sender:
        return await sender.attempt(NOTIFIERS[EmailChannel], destination, message or notification())


class Reply(NamedTuple):
    """A response. `body` is decoded if it is JSON."""

    status: int
    body: Any
    headers: dict[str, str]


async def request(sink: Sink, path: str, body: Any, headers: dict[str, str] = JSON, method: str = "POST") -> Reply:
    """Send a body to a path of the sink."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    async with (
        aiohttp.ClientSession() as session,
        session.request(method, sink.url + path, data=data, headers=headers) as response,
    ):
        text = await response.text()
        decoded = json.loads(text) if response.content_type == "application/json" else text
        return Reply(response.status, decoded, dict(response.headers))
