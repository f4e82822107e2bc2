"""How are a message's alerts spread over as many requests as they need?

A page is what one request holds. Alerts are kept whole; what the last page allowed has no room for is counted.
"""

import sys
from collections.abc import Callable, Sequence
from typing import Final, Generic, TypeVar

import msgspec

from relay.notify.text.content import AlertText, Content

SHORT_DESCRIPTION: Final = 1000
"""Characters of an alert's description, where not all of them can be shown whole in one message."""
SHORT_ALERT: Final = 2000
"""Characters of what a template made of an alert, in that case."""
NUMBER_ROOM: Final = len(" (20/20)")
"""Characters that a page's number takes in a headline."""

P = TypeVar("P")


class Space(msgspec.Struct, frozen=True):
    """What a page holds: the size of its alerts in all, and how many there may be."""

    size: int
    alerts: int = sys.maxsize


class MessagePage(msgspec.Struct, Generic[P], frozen=True, kw_only=True):
    """One message's alerts, as the platform writes them. `number` goes behind the headline: " (2/3)", or nothing.

    `left_out` is how many are on no page; it is said on the last one.
    """

    alerts: Sequence[P]
    number: str = ""
    is_first: bool = True
    is_last: bool = True
    left_out: int = 0


def paginate(
    content: Content,
    max_messages: int,
    space: Space,
    write: Callable[[AlertText, int], P],
    size: Callable[[P], int],
) -> list[MessagePage[P]]:
    """The pages that tell a message, at least one.

    `write` makes an alert of no more than the size of a page, with at most so many characters of description; for
    what a template made of it, `shortened_to` says how many.
    Where one page holds all the alerts, they are told with the whole of their descriptions. A digest has one.
    """
    most = 1 if content.counts else max_messages
    filled = _filled(content.alerts, 1, space, lambda alert: write(alert, space.size), size)
    if len(filled[0]) < content.total:
        filled = _filled(content.alerts, most, space, lambda alert: write(alert, SHORT_DESCRIPTION), size)
    left_out = content.total - sum(map(len, filled))
    last = len(filled)
    return [
        MessagePage(
            alerts=alerts,
            number=f" ({number}/{last})" if last > 1 else "",
            is_first=number == 1,
            is_last=number == last,
            left_out=left_out if number == last else 0,
        )
        for number, alerts in enumerate(filled, start=1)
    ]


def shortened_to(description: int, limit: int) -> int:
    """How much is shown of what a template made of an alert, where so much is of a description."""
    return limit if description > SHORT_DESCRIPTION else min(limit, SHORT_ALERT)


def _filled(
    alerts: Sequence[AlertText],
    most: int,
    space: Space,
    write: Callable[[AlertText], P],
    size: Callable[[P], int],
) -> list[list[P]]:
    """The first of the alerts on as many pages as they need, and no more than so many."""
    pages: list[list[P]] = [[]]
    room = space.size
    for alert in alerts:
        written = write(alert)
        needed = size(written)
        if needed > room or len(pages[-1]) >= space.alerts:
            if len(pages) == most or needed > space.size:
                break
            pages.append([])
            room = space.size
        pages[-1].append(written)
        room -= needed
    return pages
