"""How is a request sent: one HTTP session for all, bounded in time and size, without redirects?"""

import asyncio
import io
import socket
import ssl
import time
import traceback
from collections.abc import Awaitable, Callable, Sequence
from types import TracebackType
from typing import Final, Self

import aiohttp
import msgspec
import structlog

from relay.domain.channel_types import BaseChannel
from relay.domain.fields import REPLACEMENT
from relay.domain.message_templates import MessageTemplate
from relay.domain.notifications import Message, Notification
from relay.domain.outcomes import Outcome, Reason, Rejected, Retry
from relay.notify.apprise import Apprise
from relay.notify.base import MAX_DETAIL, AnyRequest, C, Mail, Notice, Notifier, Request, Response, redact
from relay.notify.course import Course, goes_on, refused_words
from relay.notify.renderer import Renderer
from relay.notify.smtp import Smtp
from relay.notify.targets import Connecting, Targets
from relay.notify.templated import Worded, worded

MAX_ANSWER: Final = 64 * 1024
"""Bytes of an answer that are read; no platform says more that matters."""
ANSWER_TIMEOUT: Final = 5.0
"""Seconds for the body after the status: the status has said what counts."""
CONNECT_TIMEOUT: Final = 5.0
MAX_PIECE: Final = 512 * 1024
MAX_CONNECTIONS: Final = 100
HEADERS: Final = {"User-Agent": "alert-relay", "Accept-Encoding": "identity"}

log = structlog.get_logger(__name__)


class Transport:
    """The one aiohttp session of a process, and what carries other than HTTP; an asynchronous context manager."""

    def __init__(self, targets: Targets, timeout: float, tls: ssl.SSLContext | None = None) -> None:
        """`timeout` is in seconds, for a whole attempt. `tls` says whom mail trusts; by default, as the system."""
        self._targets = targets
        self._timeout = timeout
        self._smtp = Smtp(targets, timeout, tls)
        self._apprise = Apprise(timeout)
        self._renderer, self._rehearsing = Renderer(), Renderer()
        """What is only shown must not keep what is sent waiting, nor have its templates set aside."""
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        """Open the session."""
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=MAX_CONNECTIONS, socket_factory=self._targets.open_socket),
            timeout=aiohttp.ClientTimeout(total=self._timeout, connect=CONNECT_TIMEOUT),
            headers=HEADERS,
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the session and its connections."""
        assert self._session is not None
        self._apprise.close()
        await self._renderer.close()
        await self._rehearsing.close()
        await self._session.close()

    async def requests(
        self, notifier: Notifier[C], channel: C, message: Message, template: MessageTemplate | None = None
    ) -> tuple[Sequence[AnyRequest], tuple[str, ...]]:
        """The requests that would be sent, and notes on templates that failed."""
        said = await worded(self._rehearsing, notifier, channel, message, template)
        return notifier.requests(channel, said.message), said.notes

    async def attempt(
        self,
        notifier: Notifier[C],
        channel: C,
        message: Message,
        progress: str | None = None,
        pace: Callable[[], Awaitable[None]] | None = None,
        template: MessageTemplate | None = None,
    ) -> Outcome:
        """Tell a message once, and say how that ended. Raises nothing but cancellation.

        `progress` is that of the attempt before. `pace` is waited for before each request but the first. What the
        platform refuses though a template made it, is told in the relay's own words instead.
        """
        course = Course(lambda request: self._ask(notifier, channel, request), pace)
        said = await self._worded(notifier, channel, message, template)
        course.notes += said.notes
        if said.templated:
            plain = self._made(notifier, channel, message)
            known = () if isinstance(plain, Rejected) else plain
            if not goes_on(progress, known):
                outcome = await self._tell(course, notifier, channel, said.message, progress, known)
                if not isinstance(outcome, Rejected) or course.had_plain:
                    return _finished(outcome, course.notes, channel)
                course.notes.append(refused_words(outcome))
                if isinstance(message, Notification) and outcome.posted:
                    # What was taken so far is made to say the same as the rest.
                    message = msgspec.structs.replace(message, posted=outcome.posted)
        outcome = await self._tell(course, notifier, channel, message, progress, remembered=said.templated)
        return _finished(outcome, course.notes, channel)

    async def _worded(
        self, notifier: Notifier[C], channel: C, message: Message, template: MessageTemplate | None
    ) -> Worded:
        try:
            return await worded(self._renderer, notifier, channel, message, template)
        except Exception as error:
            return Worded(message, notes=(_not_made(error, channel).detail,))

    async def _tell(
        self,
        course: Course,
        notifier: Notifier[C],
        channel: C,
        message: Message,
        progress: str | None,
        plain: Sequence[AnyRequest] = (),
        *,
        remembered: bool = False,
    ) -> Outcome:
        requests = self._made(notifier, channel, message)
        if isinstance(requests, Rejected):
            return requests
        return await course.run(requests, progress, plain, remembered=remembered)

    def _made(self, notifier: Notifier[C], channel: C, message: Message) -> Sequence[AnyRequest] | Rejected:
        try:
            return notifier.requests(channel, message)
        except Exception as error:
            return _not_made(error, channel)

    async def _ask(self, notifier: Notifier[C], channel: C, request: AnyRequest) -> Outcome:
        connecting = self._targets.connecting()
        try:
            match request:
                case Request():
                    _enter(connecting, request.url)
                    return notifier.verdict(await self._send(request))
                case Mail():
                    _enter(connecting, request.url)
                    return await self._smtp.send(request)
                case Notice():
                    return await self._apprise.send(request)
        except Exception as error:  # here, and where messages are made, whatever went wrong becomes an outcome
            return _outcome_of(error, connecting, channel)

    async def _send(self, request: Request) -> Response:
        assert self._session is not None, "the transport is not open"
        headers = request.headers
        if request.signing is not None:
            headers = headers | request.signing.headers(request.body, int(time.time()))
        # A large body in pieces, so that it neither holds up the event loop nor makes aiohttp warn of that.
        body = request.body if len(request.body) <= MAX_PIECE else io.BytesIO(request.body)
        async with self._session.request(
            request.method, request.url, data=body, headers=headers, allow_redirects=False
        ) as response:
            got = {name.lower(): value for name, value in response.headers.items()}
            answer = await _read(response.content)
            return Response(status=response.status, headers=got, body=answer)


async def _read(content: aiohttp.StreamReader) -> bytes:
    """The start of an answer's body; one that is broken, endless or late counts as far as it came."""
    if content.is_eof() and content.exception() is None:
        return content.read_nowait(MAX_ANSWER)  # it came with the status, as most do
    body = bytearray()
    try:
        async with asyncio.timeout(ANSWER_TIMEOUT):
            while len(body) < MAX_ANSWER and (chunk := await content.read(MAX_ANSWER - len(body))):
                body += chunk
    except (aiohttp.ClientError, OSError):
        pass
    return bytes(body)


def _enter(connecting: Connecting, url: str) -> None:
    try:
        connecting.enter(url)
    except ValueError:
        raise aiohttp.InvalidURL(url) from None


def _outcome_of(error: Exception, connecting: Connecting, channel: BaseChannel) -> Outcome:
    """What an attempt without an answer means.

    The channel's URL and the relay's settings are no fault of the message. A mistake of our own is a no: it
    would only happen again.
    """
    if connecting.blocked is not None and isinstance(error, OSError):
        return Retry(Reason.BLOCKED_TARGET, connecting.blocked)
    words = str(error) or type(error).__name__
    match error:
        case TimeoutError():
            return Retry(Reason.DEADLINE_EXCEEDED, "no answer in time")
        case aiohttp.InvalidURL() | aiohttp.NonHttpUrlClientError():
            return Retry(Reason.CLIENT_ERROR, "the URL is malformed")
        case aiohttp.ClientConnectorCertificateError() | ssl.SSLCertVerificationError():
            return Retry(Reason.CONNECTION_ERROR, f"TLS failed, the certificate is not trusted: {words}")
        case aiohttp.ClientSSLError() | ssl.SSLError():
            return Retry(Reason.CONNECTION_ERROR, f"TLS failed: {words}")
        case aiohttp.ClientConnectorDNSError() | socket.gaierror():
            return Retry(Reason.CONNECTION_ERROR, f"the name could not be resolved: {words}")
        case aiohttp.ClientError() | OSError():
            return Retry(Reason.CONNECTION_ERROR, words)
        case _:
            return _not_made(error, channel)


def _not_made(error: Exception, channel: BaseChannel) -> Rejected:
    trace = redact("".join(traceback.format_exception(error)), channel)
    log.error("message_not_made", channel_id=channel.id, traceback=trace)
    words = str(error) or type(error).__name__
    return Rejected(Reason.OTHER, f"the message could not be made: {type(error).__name__}: {words}")


def _finished(outcome: Outcome, notes: Sequence[str], channel: BaseChannel) -> Outcome:
    """The outcome with its words fit to be kept and shown."""
    words = "; ".join([*dict.fromkeys(notes), *([outcome.detail] if outcome.detail else [])])
    return msgspec.structs.replace(outcome, detail=redact(words, channel)[:MAX_DETAIL].replace("\0", REPLACEMENT))
