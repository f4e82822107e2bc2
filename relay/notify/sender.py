"""One attempt end to end: apply templates, build the requests, send them, and return the outcome."""

import asyncio
import re
import socket
import ssl
import traceback
from collections.abc import Awaitable, Callable, Sequence
from contextlib import nullcontext
from functools import partial
from types import TracebackType
from typing import Final, Self

import aiohttp
import msgspec
import structlog

from relay.domain.channel_types import BaseChannel
from relay.domain.fields import REPLACEMENT
from relay.domain.notifications import Message, Notification
from relay.domain.outcomes import Outcome, Reason, Rejected, Retry
from relay.domain.templates.message_templates import MessageTemplate
from relay.notify.notifier import C, Notifier
from relay.notify.redact import redact
from relay.notify.request_sequence import RequestSequence, continues, rejection_note
from relay.notify.requests import AnyRequest, Mail, Notice, Request
from relay.notify.templates.apply import AppliedTemplates, apply_templates
from relay.notify.templates.process_pool import ProcessPool
from relay.notify.text.large import on_thread_if_large
from relay.notify.transport.apprise import Apprise
from relay.notify.transport.egress_policy import EgressCheck, EgressPolicy
from relay.notify.transport.http import HttpTransport
from relay.notify.transport.proxy import ProxySettings
from relay.notify.transport.smtp import Smtp
from relay.notify.transport.tls import tls_of

MAX_DETAIL: Final = 500
"""Characters of a platform's response that are stored."""

_no_http = re.compile("Expected HTTP/|Bad status line")
"""Messages of aiohttp's parsers for a response of a server that does not speak HTTP."""

HUGE: Final = 5_000
"""Alerts whose rendered message may have megabytes."""

log = structlog.get_logger(__name__)


class Sender:
    """All transports of a process; an asynchronous context manager."""

    def __init__(
        self,
        policy: EgressPolicy,
        timeout: float,
        tls: ssl.SSLContext | None = None,
        proxies: ProxySettings | None = None,
    ) -> None:
        """`timeout` is in seconds, for one request. `tls` is for SMTP; by default it trusts the system's CAs.

        `proxies` are for HTTP; by default there is none.
        """
        self._policy = policy
        self._http = HttpTransport(policy, timeout, proxies or ProxySettings(None, ()))
        self._smtp = Smtp(policy, timeout, tls)
        self._apprise = Apprise(policy, timeout)
        self._templates, self._preview_templates = ProcessPool(), ProcessPool()
        """Previews use a separate pool, so that they cannot delay deliveries or pause their templates."""
        self._huge = asyncio.Semaphore(1)
        """Held while a message with a huge number of alerts is rendered and sent."""

    async def __aenter__(self) -> Self:
        """Open the HTTP session."""
        self._http.open()
        return self

    async def __aexit__(
        self, error_type: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close all connections and stop the template processes."""
        self._apprise.close()
        await self._templates.close()
        await self._preview_templates.close()
        await self._http.close()

    async def preview(
        self, notifier: Notifier[C], channel: C, message: Message, template: MessageTemplate | None = None
    ) -> tuple[Sequence[AnyRequest], tuple[str, ...]]:
        """The requests that an attempt would send, and notes on templates that failed."""
        applied = await apply_templates(self._preview_templates, notifier, channel, message, template)
        return await on_thread_if_large(partial(notifier.requests, channel), applied.message), applied.notes

    async def attempt(
        self,
        notifier: Notifier[C],
        channel: C,
        message: Message,
        progress: str | None = None,
        throttle: Callable[[], Awaitable[None]] | None = None,
        template: MessageTemplate | None = None,
    ) -> Outcome:
        """Send a message once and return the outcome. Raises nothing but cancellation.

        `progress` is that of the previous attempt. `throttle` is awaited before each request except the first. If
        the platform rejects a message made by a template, the same attempt sends the built-in message.
        """
        async with self._huge if len(message.alerts) > HUGE else nullcontext():
            return await self._attempt(notifier, channel, message, progress, throttle, template)

    async def _attempt(
        self,
        notifier: Notifier[C],
        channel: C,
        message: Message,
        progress: str | None,
        throttle: Callable[[], Awaitable[None]] | None,
        template: MessageTemplate | None,
    ) -> Outcome:
        sequence = RequestSequence(lambda request: self._send(notifier, channel, request), throttle)
        applied = await self._apply_templates(notifier, channel, message, template)
        sequence.notes += applied.notes
        if applied.templated:
            built_in = await self._requests(notifier, channel, message)
            built_in = () if isinstance(built_in, Rejected) else built_in
            # An earlier attempt may have changed to the built-in message already.
            if not await continues(progress, built_in):
                outcome = await self._run(sequence, notifier, channel, applied.message, progress, built_in)
                if not isinstance(outcome, Rejected) or sequence.has_built_in:
                    return _with_notes(outcome, sequence.notes, channel)
                sequence.notes.append(rejection_note(outcome))
                if isinstance(message, Notification) and outcome.message_refs:
                    # The built-in message is edited into the messages that were accepted.
                    message = msgspec.structs.replace(message, message_refs=outcome.message_refs)
        outcome = await self._run(sequence, notifier, channel, message, progress, keep_progress=applied.templated)
        return _with_notes(outcome, sequence.notes, channel)

    async def _apply_templates(
        self, notifier: Notifier[C], channel: C, message: Message, template: MessageTemplate | None
    ) -> AppliedTemplates:
        try:
            return await apply_templates(self._templates, notifier, channel, message, template)
        except Exception as error:  # the built-in message is sent, with a note
            return AppliedTemplates(message, notes=(_build_failed(error, channel).detail,))

    async def _run(
        self,
        sequence: RequestSequence,
        notifier: Notifier[C],
        channel: C,
        message: Message,
        progress: str | None,
        built_in: Sequence[AnyRequest] = (),
        *,
        keep_progress: bool = False,
    ) -> Outcome:
        requests = await self._requests(notifier, channel, message)
        if isinstance(requests, Rejected):
            return requests
        return await sequence.run(requests, progress, built_in, keep_progress=keep_progress)

    async def _requests(
        self, notifier: Notifier[C], channel: C, message: Message
    ) -> Sequence[AnyRequest] | Rejected:
        try:
            return await on_thread_if_large(partial(notifier.requests, channel), message)
        except Exception as error:  # a bug in a notifier rejects this message, and stops no other
            return _build_failed(error, channel)

    async def _send(self, notifier: Notifier[C], channel: C, request: AnyRequest) -> Outcome:
        check = self._policy.begin_check()
        try:
            match request:
                case Request():
                    _set_url(check, request.url)
                    return notifier.verdict(request, await self._http.send(request, check, tls_of(channel)))
                case Mail():
                    _set_url(check, request.url)
                    return await self._smtp.send(request, tls_of(channel))
                case Notice():
                    return await self._apprise.send(request)
        except Exception as error:  # here, and where requests are built, every error becomes an outcome
            return _outcome_of(error, check, channel)


def _set_url(check: EgressCheck, url: str) -> None:
    try:
        check.set_url(url)
    except ValueError:
        raise aiohttp.InvalidURL(url) from None


def _outcome_of(error: Exception, check: EgressCheck, channel: BaseChannel) -> Outcome:
    """The outcome of an attempt without a response.

    Errors in the channel's URL or the relay's settings are retried, because the message itself is valid. An error
    in the relay's own code is a rejection, because a retry would repeat it.
    """
    if check.blocked is not None and isinstance(error, OSError):
        return Retry(Reason.BLOCKED_TARGET, check.blocked)
    match error:
        case TimeoutError():
            return Retry(Reason.DEADLINE_EXCEEDED, "no response in time")
        case aiohttp.InvalidURL() | aiohttp.NonHttpUrlClientError():
            return Retry(Reason.CLIENT_ERROR, "the URL is malformed")
        case aiohttp.ClientHttpProxyError():
            return Retry(
                Reason.CONNECTION_ERROR, f"the proxy refused the connection: {error.status} {error.message}"
            )
        case aiohttp.ClientResponseError() if not _no_http.search(error.message):
            # The request was sent and answered, so the platform may have accepted it.
            detail = f"unexpected response, which could not be parsed: {' '.join(error.message.split())}"
            return Retry(Reason.UNEXPECTED_RESPONSE, detail, unconfirmed=True)
        case aiohttp.ClientError() | OSError():
            return Retry(Reason.CONNECTION_ERROR, _connection_error(error))
        case _:
            return _build_failed(error, channel)


def _connection_error(error: aiohttp.ClientError | OSError) -> str:
    detail = str(error) or type(error).__name__
    match error:
        case aiohttp.ClientProxyConnectionError():
            return f"the proxy cannot be reached: {detail}"
        case aiohttp.ClientConnectorCertificateError() | ssl.SSLCertVerificationError():
            return f"TLS failed, the certificate is not trusted: {detail}"
        case aiohttp.ClientSSLError() | ssl.SSLError():
            return f"TLS failed: {detail}"
        case aiohttp.ClientConnectorDNSError() | socket.gaierror():
            return f"the name could not be resolved: {detail}"
        case _:
            return detail


def _build_failed(error: Exception, channel: BaseChannel) -> Rejected:
    trace = redact("".join(traceback.format_exception(error)), channel)
    log.error("message_build_failed", channel_id=channel.id, traceback=trace)
    detail = str(error) or type(error).__name__
    return Rejected(Reason.OTHER, f"the message could not be built: {type(error).__name__}: {detail}")


def _with_notes(outcome: Outcome, notes: Sequence[str], channel: BaseChannel) -> Outcome:
    """The outcome with notes and detail in one text: redacted, shortened and, for Postgres, without NUL."""
    detail = "; ".join([*dict.fromkeys(notes), *([outcome.detail] if outcome.detail else [])])
    return msgspec.structs.replace(outcome, detail=redact(detail, channel)[:MAX_DETAIL].replace("\0", REPLACEMENT))
