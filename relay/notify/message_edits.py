"""How does one message tell a group for as long as it fires: what is edited, and what is sent anew?"""

from collections.abc import Callable, Sequence
from typing import Final, TypeVar

import msgspec

from relay.notify.requests import Request

EMPTIED: Final = "Nothing more is told here: see the message above."
"""Stands in a message of a group that needs fewer of them by now."""

B = TypeVar("B")


def edit_messages(
    message_refs: Sequence[str],
    bodies: Sequence[B],
    emptied: B,
    post: Callable[[B], Request],
    edit: Callable[[str, B], Request],
) -> list[Request]:
    """The requests that make the messages at `posted` say what `bodies` say, one body a message.

    `post` makes the request for a message that is not there yet, `edit` the one that changes what is at a
    reference. What is there and needed no more is made to say `emptied`, and forgotten.
    """
    requests = []
    for at, body in enumerate(bodies):
        replacement = msgspec.structs.replace(post(body), editable=True)
        reference = message_refs[at] if at < len(message_refs) else ""
        edited = (
            msgspec.structs.replace(edit(reference, body), edits=reference, replacement=replacement)
            if reference
            else replacement
        )
        requests.append(edited)
    surplus = [reference for reference in message_refs[len(bodies) :] if reference]
    return requests + [msgspec.structs.replace(edit(ref, emptied), edits=ref, optional=True) for ref in surplus]
