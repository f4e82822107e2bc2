"""How is a message told to any HTTP endpoint: as our documented JSON, or as the channel's template says?"""

import re
import signal
import threading
from collections.abc import Iterator, Sized
from contextlib import contextmanager
from functools import lru_cache
from typing import Any, Final
from urllib.parse import urlsplit

import jinja2
import msgspec
from jinja2.exceptions import SecurityError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from relay.domain.channel_types import WebhookChannel
from relay.domain.errors import InvalidInput
from relay.domain.notifications import Digest, Message, Notification
from relay.notify.base import JSON, Notifier, Request
from relay.notify.content import severity_of
from relay.notify.signing import ID_PREFIX, MESSAGE_ID, SIGNING_HEADERS, Signing, check_secret

MAX_TEMPLATE: Final = 64 * 1024
MAX_BODY: Final = 1024 * 1024
MAX_SECONDS: Final = 0.05
"""A template may take so long; meanwhile nothing else goes on in the process."""
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


class _Sandbox(ImmutableSandboxedEnvironment):
    """Also refuses what takes all time or memory in one step: `9 ** 9 ** 9`, `"x" * 1000000000`."""

    intercepted_binops = frozenset({"**", "*"})

    def call_binop(self, context: jinja2.runtime.Context, operator: str, left: Any, right: Any) -> Any:
        """Let a multiplication through if its result is small; text and lists are repeated by it."""
        pair = [(text, times) for text, times in ((left, right), (right, left)) if isinstance(text, Sized)]
        if operator == "**" or any(
            isinstance(times, int) and len(text) * times > MAX_BODY for text, times in pair
        ):
            raise SecurityError(f"the result of {operator} may be too large")
        return super().call_binop(context, operator, left, right)


_jinja = _Sandbox(undefined=jinja2.StrictUndefined, autoescape=False)


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
        try:
            _compiled(template)
        except jinja2.TemplateSyntaxError as error:
            raise InvalidInput("custom_payload_template", f"line {error.lineno}: {error.message}") from None
        except (RecursionError, SyntaxError):
            raise InvalidInput("custom_payload_template", "is nested too deeply") from None

    def request(self, channel: WebhookChannel, message: Message) -> Request:
        """The payload as JSON; a template that fails gives way to it, for an alert must not die of a template."""
        payload = payload_of(message)
        body, note = msgspec.json.encode(payload), None
        if channel.custom_payload_template is not None:
            try:
                body = _rendered(channel.custom_payload_template, msgspec.json.decode(body))
            except (
                jinja2.TemplateError,
                ArithmeticError,
                AttributeError,
                LookupError,
                MemoryError,
                RuntimeError,
                TypeError,
                ValueError,
            ) as error:
                note = f"custom_payload_template failed, the built-in body was sent: {error}"
        message_id = f"{ID_PREFIX}{message.id}"
        secrets = tuple(secret for secret in (channel.signing_secret, channel.signing_secret_previous) if secret)
        return Request(
            url=channel.webhook_url,
            body=body,
            headers=_headers(channel.custom_headers, message_id),
            note=note,
            signing=Signing(message_id, secrets) if secrets else None,
        )


def payload_of(message: Message) -> dict[str, Any]:
    """The documented body; also what a template's names mean. Times are RFC 3339 in UTC.

    A digest has the same names as a group, so that what reads the one can read the other.
    """
    return {
        "id": message.id,
        "channel_id": message.channel_id,
        "kind": "digest" if isinstance(message, Digest) else "group",
        "status": message.status,
        "severity": severity_of(message),
        "fallback_for": message.fallback_for,
        **(_digest(message) if isinstance(message, Digest) else _group(message)),
        "alerts": [
            {
                "status": alert.status,
                "untold_firing": at in message.untold and not alert.firing,
                "fingerprint": alert.fingerprint,
                "alertname": alert.name,
                "severity": alert.severity,
                "labels": alert.labels,
                "annotations": alert.annotations,
                "starts_at": alert.starts_at,
                "ends_at": alert.ends_at,
                "generator_url": alert.generator_url,
            }
            for at, alert in enumerate(message.alerts)
        ],
    }


def _group(notification: Notification) -> dict[str, Any]:
    group = notification.group
    return {
        "group_key": group.group_key,
        "receiver": group.receiver,
        "group_labels": group.group_labels,
        "common_labels": group.common_labels,
        "common_annotations": group.common_annotations,
        "external_url": group.external_url,
        "truncated_alerts": group.truncated,
        "digest": None,
    }


def _digest(digest: Digest) -> dict[str, Any]:
    return {
        "group_key": "",
        "receiver": "",
        "group_labels": {},
        "common_labels": {},
        "common_annotations": {},
        "external_url": "",
        "truncated_alerts": 0,
        "digest": {
            "groups": digest.groups,
            "firing": digest.firing,
            "resolved": digest.resolved,
            "counts": digest.counts,
            "history_url": digest.history_url,
        },
    }


@lru_cache(maxsize=1024)
def _compiled(template: str) -> jinja2.Template:
    return _jinja.from_string(template)


def _rendered(template: str, payload: dict[str, Any]) -> bytes:
    parts: list[str] = []
    size = 0
    with _bounded_in_time():
        for part in _compiled(template).generate(payload):
            size += len(part)
            if size > MAX_BODY:
                raise ValueError(f"the result is longer than {MAX_BODY} characters")
            parts.append(part)
    return "".join(parts).encode(errors="replace")


@contextmanager
def _bounded_in_time() -> Iterator[None]:
    """Break off what takes too long: a timer's signal raises in the middle of it.

    Signals reach the main thread alone, which is where the relay's event loop runs.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(*_: object) -> None:
        raise RuntimeError(f"it took longer than {MAX_SECONDS} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, MAX_SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


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
