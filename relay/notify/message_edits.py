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
    a new message, `edit` the one for an existing message. Surplus messages get the body `unused`.
    `mention` adds a mention to the body of a new message; it is for the first one alone.
    """
    requests = []
    mentioning = (0, next((at for at in range(len(bodies)) if not any(message_refs[at : at + 1])), 0))
    for position, body in enumerate(bodies):
        posted = mention(body) if position in mentioning else body
        replacement = msgspec.structs.replace(post(posted), editable=True)
        reference = message_refs[position] if position < len(message_refs) else ""
        if reference:
            requests.append(
                msgspec.structs.replace(edit(reference, body), edits=reference, replacement=replacement)
            )
        else:
            requests.append(replacement)
    surplus = [reference for reference in message_refs[len(bodies) :] if reference]
    return requests + [msgspec.structs.replace(edit(ref, unused), edits=ref, optional=True) for ref in surplus]
