"""How does one message tell a group for as long as it fires: what is edited, and what is sent anew?"""

from collections.abc import Callable, Sequence
from typing import Final, TypeVar

import msgspec

from relay.notify.base import Request

EMPTIED: Final = "Nothing more is told here: see the message above."
"""Stands in a message of a group that needs fewer of them by now."""

B = TypeVar("B")


def kept_up(
    posted: Sequence[str],
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
        anew = msgspec.structs.replace(post(body), lasting=True)
        reference = posted[at] if at < len(posted) else ""
        edited = msgspec.structs.replace(edit(reference, body), edits=reference, anew=anew) if reference else anew
        requests.append(edited)
    surplus = [reference for reference in posted[len(bodies) :] if reference]
    return requests + [
        msgspec.structs.replace(edit(ref, emptied), edits=ref, needless_when_gone=True) for ref in surplus
    ]
