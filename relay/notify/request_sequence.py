"""The requests of one message, sent in order, starting where the previous attempt stopped.

The progress that one attempt passes to the next is `<number of requests done>:<fingerprint of all requests>`, or
`<number>!:<fingerprint>` if the platform rejected an independent one of them.
"""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, TypeVar

import msgspec

from relay.domain.outcomes import Outcome, Reason, Rejected, Retry, Sent
from relay.notify.requests import AnyRequest, Request

REJECTED_MARK: Final = "!"
MANY_BYTES: Final = 1024 * 1024
"""Bytes that are hashed in about 2 ms."""

F = TypeVar("F", bound=Retry | Rejected)


class RequestSequence:
    """Sends the requests of one attempt. `notes` collects what the history should contain besides the outcome."""

    def __init__(
        self, send: Callable[[AnyRequest], Awaitable[Outcome]], throttle: Callable[[], Awaitable[None]] | None
    ) -> None:
        """`send` sends one request. `throttle` is awaited before each request except the first."""
        self.notes: list[str] = []
        self.has_built_in = False
        """Whether a request had a built-in one to replace it on rejection."""
        self._send = send
        self._throttle = throttle
        self._sent_any = False
        self._posted = False
        """Whether a new message was posted, which people hear."""

    async def run(
        self,
        requests: Sequence[AnyRequest],
        progress: str | None,
        built_in: Sequence[AnyRequest] = (),
        *,
        keep_progress: bool = False,
    ) -> Outcome:
        """Send the requests that the previous attempt, which returned `progress`, did not complete.

        `built_in` are the requests without the template; where there is one for each request, it replaces an
        independent request that the platform rejects. `keep_progress` returns progress even if no request is sent.
        """
        # A template's output may differ each time, so the built-in requests identify the message.
        fingerprint = await _fingerprint(built_in or requests)
        if built_in:
            fingerprint = f"{fingerprint}-{len(requests)}"
        if len(built_in) == len(requests):
            requests = [_with_built_in(*pair) for pair in zip(requests, built_in, strict=True)]
            self.has_built_in = any(
                isinstance(request, Request) and request.built_in is not None for request in requests
            )
        start, rejection = _resume(progress, fingerprint)
        outcome: Outcome = Sent(detail="all parts were sent in earlier attempts")
        message_refs = [ref for request in requests[:start] if (ref := _known_ref(request)) is not None]
        self._posted = any(isinstance(request, Request) and _posts(request) for request in requests[:start])
        for position in range(start, len(requests)):
            request = requests[position]
            if self._posted and isinstance(request, Request) and request.announces:
                continue
            outcome = await self._send_or_replace(request)
            if isinstance(outcome, Sent):
                message_refs += outcome.message_refs
            elif isinstance(outcome, Rejected) and isinstance(request, Request) and request.independent:
                rejection = rejection or _with_part(outcome, position, requests)
            else:
                outcome = _with_part(outcome, position, requests)
                if isinstance(outcome, Retry):
                    done = f"{position}{REJECTED_MARK if rejection else ''}:{fingerprint}"
                    outcome = msgspec.structs.replace(
                        outcome,
                        detail=f"{outcome.detail}; {rejection.detail}" if rejection else outcome.detail,
                        progress=done if position > 0 or keep_progress else None,
                    )
                message_refs += _edited(requests[position:])
                break
        result = outcome if rejection is None or isinstance(outcome, Retry) else rejection
        return msgspec.structs.replace(result, message_refs=tuple(message_refs))

    async def _send_or_replace(self, request: AnyRequest) -> Outcome:
        """Send a request, or the one that replaces it if it cannot be sent."""
        outcome = await self._send_throttled(request)
        if not isinstance(request, Request):
            return outcome
        self._posted = self._posted or (_posts(request) and isinstance(outcome, Sent))
        if _message_gone(outcome, request):
            if request.replacement is None:
                return Sent(outcome.status_code, f"the original message no longer exists: {outcome.detail}")
            replaced = await self._send_throttled(request.replacement)
            self._posted = self._posted or isinstance(replaced, Sent)
            detail = (
                f"the message to edit no longer exists ({outcome.detail}); "
                f"a new one is sent instead: {replaced.detail or ''}"
            )
            return _with_message_ref(msgspec.structs.replace(replaced, detail=detail), request.replacement)
        if isinstance(outcome, Rejected) and request.built_in is not None:
            self.notes.append(rejection_note(outcome))
            return await self._send_throttled(request.built_in)
        return _with_message_ref(outcome, request)

    async def _send_throttled(self, request: AnyRequest) -> Outcome:
        if self._throttle is not None and self._sent_any:
            await self._throttle()
        self._sent_any = True
        return await self._send(request)


def rejection_note(outcome: Rejected) -> str:
    """The note for a message made by a template that was replaced by the built-in one."""
    return (
        f"the platform rejected the template's message ({outcome.detail}); the built-in message was sent instead"
    )


async def continues(progress: str | None, requests: Sequence[AnyRequest]) -> bool:
    """Whether the progress belongs to these requests."""
    return progress is not None and progress.partition(":")[2] == await _fingerprint(requests)


def _message_gone(outcome: Outcome, request: Request) -> bool:
    """Whether the message that the request edits or replies to no longer exists.

    That includes a destination that is gone: a Slack channel, for example, may only have a new id, and then the
    replacement reaches it.
    """
    if isinstance(outcome, Sent) or (request.replacement is None and not request.optional):
        return False
    gone = Reason.MESSAGE_GONE if isinstance(outcome, Rejected) else Reason.DESTINATION_GONE
    return outcome.reason is gone


def _edited(requests: Sequence[AnyRequest]) -> list[str]:
    """The references of the messages that requests edit."""
    return [request.edits for request in requests if isinstance(request, Request) and request.edits]


def _posts(request: Request) -> bool:
    """Whether the request posts a message that is edited later."""
    return request.editable and request.edits is None


def _with_built_in(request: AnyRequest, built_in: AnyRequest) -> AnyRequest:
    if not isinstance(request, Request) or not isinstance(built_in, Request) or not request.independent:
        return request
    return msgspec.structs.replace(request, built_in=built_in)


async def _fingerprint(requests: Sequence[AnyRequest]) -> str:
    if sum(len(request.body) for request in requests) > MANY_BYTES:
        return await asyncio.to_thread(_hash, requests)
    return _hash(requests)


def _hash(requests: Sequence[AnyRequest]) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for request in requests:
        digest.update(hashlib.blake2b(request.body, digest_size=16).digest())
    return digest.hexdigest()


def _resume(progress: str | None, fingerprint: str) -> tuple[int, Rejected | None]:
    """The number of requests done before, and whether one was rejected; 0 if the requests have changed."""
    done, _, known = (progress or "").partition(":")
    if known != fingerprint:
        return 0, None
    rejection = Rejected(Reason.CLIENT_ERROR, "a part was rejected in an earlier attempt")
    return int(done.removesuffix(REJECTED_MARK)), rejection if done.endswith(REJECTED_MARK) else None


def _with_part(failure: F, position: int, requests: Sequence[AnyRequest]) -> F:
    """The failure with the part that failed, if there are several."""
    if len(requests) == 1:
        return failure
    return msgspec.structs.replace(failure, detail=f"part {position + 1} of {len(requests)}: {failure.detail}")


def _with_message_ref(outcome: Outcome, request: Request) -> Outcome:
    """A success with the one reference to store for a message that is edited later."""
    if not isinstance(outcome, Sent):
        return outcome
    if request.editable:
        return msgspec.structs.replace(outcome, message_refs=outcome.message_refs[:1] or ("",))
    ref = _known_ref(request)
    return msgspec.structs.replace(outcome, message_refs=() if ref is None else (ref,))


def _known_ref(request: AnyRequest) -> str | None:
    """The reference of the message that a request edits; "" for a new editable one, whose reference is unknown."""
    if not isinstance(request, Request):
        return None
    if request.replacement is not None:
        return request.edits
    return "" if request.editable else None
