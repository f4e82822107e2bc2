"""Requests that edit the messages of a group, and send the ones it lacks."""

from collections.abc import Callable, Sequence
from typing import Final, TypeVar

import msgspec

from relay.notify.requests import Request

UNUSED_MESSAGE: Final = "No longer in use. See the message above."
"""Text of the surplus messages of a group that needs fewer than before."""

B = TypeVar("B")


def edit_messages(
    message_refs: Sequence[str],
    bodies: Sequence[B],
    unused: B,
    post: Callable[[B], Request],
    edit: Callable[[str, B], Request],
    mention: Callable[[B], B] = lambda body: body,
) -> list[Request]:
    """The requests after which the group's messages have the given bodies, one body for each message.

    `message_refs` are the existing messages, "" for one whose reference is unknown. `post` makes the request for
    a new message, `edit` the one for an existing message. Surplus messages get the body `unused`. `mention` adds a
    mention to a body; it applies to the first new message, and to one that replaces the first message.
    """
    requests = []
    references = [*message_refs, *("" for _ in bodies)]
    mentioning = (0, references.index("")) if bodies else ()
    for position, (reference, body) in enumerate(zip(references, bodies, strict=False)):
        posted = mention(body) if position in mentioning else body
        replacement = msgspec.structs.replace(post(posted), editable=True)
        if reference:
            requests.append(
                msgspec.structs.replace(edit(reference, body), edits=reference, replacement=replacement)
            )
        else:
            requests.append(replacement)
    surplus = [reference for reference in message_refs[len(bodies) :] if reference]
    return requests + [msgspec.structs.replace(edit(ref, unused), edits=ref, optional=True) for ref in surplus]


def announcing(request: Request) -> Request:
    """A request that only makes the edits before it heard."""
    return msgspec.structs.replace(request, optional=True, announces=True)
