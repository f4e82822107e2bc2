"""How is a message of several requests told: one after the other, from where the attempt before stopped?"""

import hashlib
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

import msgspec

from relay.domain.outcomes import Outcome, Reason, Rejected, Retry, Sent
from relay.notify.requests import AnyRequest, Request

REFUSED: Final = "!"
"""Marks a progress in which the platform said no to a request that others don't depend on."""


class RequestSequence:
    """The course of one attempt. `notes` gathers what a reader of the history should know of its requests."""

    def __init__(
        self, ask: Callable[[AnyRequest], Awaitable[Outcome]], pace: Callable[[], Awaitable[None]] | None
    ) -> None:
        """`ask` sends one request. `pace` is waited for before each but the first."""
        self.notes: list[str] = []
        self.had_built_in = False
        """Whether each refusal was answered by a plain request already."""
        self._ask = ask
        self._pace = pace
        self._begun = False

    async def run(
        self,
        requests: Sequence[AnyRequest],
        progress: str | None,
        built_in: Sequence[AnyRequest] = (),
        *,
        keep_progress: bool = False,
    ) -> Outcome:
        """Send the requests that the attempt before, whose progress this is, was not done with.

        `plain` are what they would be without the template that made them; where a request does not depend on
        others, its plain one takes its place if the platform refuses it. `remembered`: these requests are to be
        gone on with next time even if none of them was taken.
        """
        # A template may tell the time: it is by the plain ones that they are known again.
        mark = f"{_mark(built_in)}-{len(requests)}" if built_in else _mark(requests)
        if len(built_in) == len(requests):
            requests = [_with_plain(one, other) for one, other in zip(requests, built_in, strict=True)]
            self.had_built_in = any(isinstance(one, Request) and one.built_in is not None for one in requests)
        first, refused = _taken(progress, mark)
        outcome: Outcome = Sent(detail="all of it had been taken before")
        message_refs = [kept for request in requests[:first] if (kept := _kept(request)) is not None]
        for at in range(first, len(requests)):
            request = requests[at]
            outcome = await self._tell(request)
            if isinstance(outcome, Sent):
                message_refs += outcome.message_refs
            elif isinstance(outcome, Rejected) and isinstance(request, Request) and request.independent:
                refused = refused or _part(outcome, at, requests)
            else:
                so_far = f"{at}{REFUSED if refused else ''}:{mark}" if at > 0 or keep_progress else None
                outcome = _broken_off(outcome, at, requests, refused, so_far)
                message_refs += [one.edits for one in requests[at:] if isinstance(one, Request) and one.edits]
                break
        ended = outcome if refused is None or isinstance(outcome, Retry) else refused
        return msgspec.structs.replace(ended, message_refs=tuple(message_refs))

    async def _tell(self, request: AnyRequest) -> Outcome:
        """Send one request; if it can't be taken as it is, the one that is there to take its place."""
        outcome = await self._paced(request)
        if not isinstance(request, Request):
            return outcome
        if _is_gone(outcome, request):
            if request.replacement is None:
                return Sent(outcome.status_code, f"the message that this belongs to is gone: {outcome.detail}")
            told = await self._paced(request.replacement)
            words = f"the message to be edited is gone ({outcome.detail}); a new one instead: {told.detail or ''}"
            return _with_reference(msgspec.structs.replace(told, detail=words), request.replacement)
        if not isinstance(outcome, Rejected):
            return _with_reference(outcome, request)
        if request.built_in is not None:
            self.notes.append(refusal_note(outcome))
            return await self._paced(request.built_in)
        return outcome

    async def _paced(self, request: AnyRequest) -> Outcome:
        if self._pace is not None and self._begun:
            await self._pace()
        self._begun = True
        return await self._ask(request)


def _is_gone(outcome: Outcome, request: Request) -> bool:
    """Whether the message that a request edits, or replies to, is not there any more.

    When the destination is gone, it may only have moved, as a channel's name does to another channel: the new
    message will show.
    """
    if isinstance(outcome, Sent) or (request.replacement is None and not request.optional):
        return False
    gone = Reason.MESSAGE_GONE if isinstance(outcome, Rejected) else Reason.DESTINATION_GONE
    return outcome.reason is gone


def refusal_note(outcome: Rejected) -> str:
    """What is noted of a refusal of what a template made."""
    return f"the platform refused what the template made ({outcome.detail}); the built-in message was sent instead"


def continues(progress: str | None, requests: Sequence[AnyRequest]) -> bool:
    """Whether a progress is that of these requests."""
    return progress is not None and progress.partition(":")[2] == _mark(requests)


def _with_plain(request: AnyRequest, built_in: AnyRequest) -> AnyRequest:
    if not isinstance(request, Request) or not isinstance(built_in, Request) or not request.independent:
        return request
    return msgspec.structs.replace(request, built_in=built_in)


def _taken(progress: str | None, mark: str) -> tuple[int, Rejected | None]:
    """How many of the requests the attempts before were done with, and what was refused then.

    None, if they are not the same any more.
    """
    count, _, known = (progress or "").partition(":")
    if known != mark:
        return 0, None
    refused = Rejected(Reason.CLIENT_ERROR, "a part of it was refused in an attempt before")
    return int(count.removesuffix(REFUSED)), refused if count.endswith(REFUSED) else None


def _part(outcome: Rejected, at: int, requests: Sequence[AnyRequest]) -> Rejected:
    if len(requests) == 1:
        return outcome
    return msgspec.structs.replace(outcome, detail=f"part {at + 1} of {len(requests)}: {outcome.detail}")


def _broken_off(
    outcome: Retry | Rejected,
    at: int,
    requests: Sequence[AnyRequest],
    refused: Rejected | None,
    progress: str | None,
) -> Retry | Rejected:
    """The outcome of a message that came as far as the request `at`."""
    if isinstance(outcome, Rejected):
        return _part(outcome, at, requests)
    if len(requests) == 1:
        return msgspec.structs.replace(outcome, progress=progress)
    words = [f"part {at + 1} of {len(requests)}: {outcome.detail}", *([refused.detail] if refused else [])]
    return msgspec.structs.replace(outcome, detail="; ".join(words), progress=progress)


def _mark(requests: Sequence[AnyRequest]) -> str:
    """What names just these requests."""
    digest = hashlib.blake2b(digest_size=16)
    for request in requests:
        digest.update(hashlib.blake2b(request.body, digest_size=16).digest())
    return digest.hexdigest()


def _with_reference(outcome: Outcome, request: Request) -> Outcome:
    """A yes, with the one reference that is kept of a message that may be edited later."""
    if not isinstance(outcome, Sent):
        return outcome
    if request.editable:
        return msgspec.structs.replace(outcome, message_refs=outcome.message_refs[:1] or ("",))
    kept = _kept(request)
    return msgspec.structs.replace(outcome, message_refs=() if kept is None else (kept,))


def _kept(request: AnyRequest) -> str | None:
    """What is kept of a request that was taken before: the reference of what it edits; "" for one that is lost."""
    if not isinstance(request, Request):
        return None
    return request.edits if request.replacement is not None else "" if request.editable else None
