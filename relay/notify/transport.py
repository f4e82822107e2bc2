"""How is a request sent: one HTTP session for all, bounded in time and size, without redirects?"""

import asyncio
import hashlib
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
from relay.domain.notifications import Message
from relay.domain.outcomes import Outcome, Reason, Rejected, Retry, Sent
from relay.notify.apprise import Apprise
from relay.notify.base import MAX_DETAIL, AnyRequest, C, Mail, Notice, Notifier, Request, Response, redact
from relay.notify.smtp import Smtp
from relay.notify.targets import Connecting, Targets

MAX_ANSWER: Final = 64 * 1024
"""Bytes of an answer that are read; no platform says more that matters."""
ANSWER_TIMEOUT: Final = 5.0
"""Seconds for the body after the status: the status has said what counts."""
CONNECT_TIMEOUT: Final = 5.0
MAX_PIECE: Final = 512 * 1024
MAX_CONNECTIONS: Final = 100
REFUSED: Final = "!"
"""Marks a progress in which the platform said no to a request that others don't depend on."""
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
        await self._session.close()

    async def attempt(
        self,
        notifier: Notifier[C],
        channel: C,
        message: Message,
        progress: str | None = None,
        pace: Callable[[], Awaitable[None]] | None = None,
    ) -> Outcome:
        """Tell a message once, and say how that ended. Raises nothing but cancellation.

        `progress` is that of the attempt before. `pace` is waited for before each request but the first.
        """
        try:
            requests = notifier.requests(channel, message)
        except Exception as error:
            return _finished(_outcome_of(error, self._targets.connecting(), channel), (), channel)
        first, refused = _taken(progress, requests)
        outcome: Outcome = Sent(detail="all of it had been taken before")
        posted = [kept for request in requests[:first] if (kept := _kept(request)) is not None]
        for at in range(first, len(requests)):
            if pace is not None and at > first:
                await pace()
            request = requests[at]
            outcome = await self._tell(notifier, channel, request, pace)
            if isinstance(outcome, Sent):
                posted += outcome.posted
            elif isinstance(outcome, Rejected) and isinstance(request, Request) and request.independent:
                refused = refused or _part(outcome, at, requests)
            else:
                outcome = _broken_off(outcome, at, requests, refused)
                posted += [one.edits for one in requests[at:] if isinstance(one, Request) and one.edits]
                break
        ended = outcome if refused is None or isinstance(outcome, Retry) else refused
        return _finished(msgspec.structs.replace(ended, posted=tuple(posted)), requests, channel)

    async def _tell(
        self, notifier: Notifier[C], channel: C, request: AnyRequest, pace: Callable[[], Awaitable[None]] | None
    ) -> Outcome:
        """Send one request; if the message that it edits is gone, the one that takes its place."""
        outcome = await self._ask(notifier, channel, request)
        if not isinstance(request, Request):
            return outcome
        if not isinstance(outcome, Rejected) or outcome.reason is not Reason.MESSAGE_GONE:
            return _with_reference(outcome, request)
        if request.needless_when_gone:
            return Sent(outcome.status_code, f"the message that this belongs to is gone: {outcome.detail}")
        if request.anew is None:
            return outcome
        if pace is not None:
            await pace()
        told = await self._ask(notifier, channel, request.anew)
        words = f"the message to be edited is gone ({outcome.detail}); a new one instead: {told.detail or ''}"
        return _with_reference(msgspec.structs.replace(told, detail=words), request.anew)

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
        except Exception as error:  # here, and where requests are made, whatever went wrong becomes an outcome
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
            trace = redact("".join(traceback.format_exception(error)), channel)
            log.error("message_not_made", channel_id=channel.id, traceback=trace)
            return Rejected(Reason.OTHER, f"the message could not be made: {type(error).__name__}: {words}")


def _with_reference(outcome: Outcome, request: Request) -> Outcome:
    """A yes, with the one reference that is kept of a message that may be edited later."""
    if not isinstance(outcome, Sent):
        return outcome
    if request.lasting:
        return msgspec.structs.replace(outcome, posted=outcome.posted[:1] or ("",))
    kept = _kept(request)
    return msgspec.structs.replace(outcome, posted=() if kept is None else (kept,))


def _kept(request: AnyRequest) -> str | None:
    """What is kept of a request that was taken before: the reference of what it edits; "" for one that is lost."""
    if not isinstance(request, Request):
        return None
    return request.edits if request.anew is not None else "" if request.lasting else None


def _taken(progress: str | None, requests: Sequence[AnyRequest]) -> tuple[int, Rejected | None]:
    """How many of the requests the attempts before were done with, and what was refused then.

    None, if they are not the same any more.
    """
    count, _, mark = (progress or "").partition(":")
    if not mark or mark != _mark(requests):
        return 0, None
    refused = Rejected(Reason.CLIENT_ERROR, "a part of it was refused in an attempt before")
    return int(count.removesuffix(REFUSED)), refused if count.endswith(REFUSED) else None


def _part(outcome: Rejected, at: int, requests: Sequence[AnyRequest]) -> Rejected:
    if len(requests) == 1:
        return outcome
    return msgspec.structs.replace(outcome, detail=f"part {at + 1} of {len(requests)}: {outcome.detail}")


def _broken_off(
    outcome: Retry | Rejected, at: int, requests: Sequence[AnyRequest], refused: Rejected | None
) -> Retry | Rejected:
    """The outcome of a message that came as far as the request `at`."""
    if isinstance(outcome, Rejected):
        return _part(outcome, at, requests)
    if len(requests) == 1:
        return outcome
    words = [f"part {at + 1} of {len(requests)}: {outcome.detail}", *([refused.detail] if refused else [])]
    progress = f"{at}{REFUSED if refused else ''}:{_mark(requests)}" if at > 0 else None
    return msgspec.structs.replace(outcome, detail="; ".join(words), progress=progress)


def _mark(requests: Sequence[AnyRequest]) -> str:
    """What names just these requests."""
    digest = hashlib.blake2b(digest_size=16)
    for request in requests:
        digest.update(hashlib.blake2b(request.body, digest_size=16).digest())
    return digest.hexdigest()


def _finished(outcome: Outcome, requests: Sequence[AnyRequest], channel: BaseChannel) -> Outcome:
    """The outcome with its words fit to be kept and shown."""
    notes = dict.fromkeys(request.note for request in requests if request.note)
    words = "; ".join([*notes, *([outcome.detail] if outcome.detail else [])])
    return msgspec.structs.replace(outcome, detail=redact(words, channel)[:MAX_DETAIL].replace("\0", REPLACEMENT))
