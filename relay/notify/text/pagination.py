"""Pagination: how the alerts of a message are split over several requests.

A page is one message, or one text of a message. A part, such as an alert, is never split over two pages. Parts
have a cost and pages have a budget, both in as many dimensions as the platform limits: characters, blocks, bytes.
"""

from collections.abc import Callable, Iterable, Sequence
from operator import add, sub
from typing import Final, Generic, TypeVar

import msgspec

from relay.notify.text.content import AlertText, Content

SHORT_DESCRIPTION: Final = 1000
"""Maximum characters of an alert's description when the alerts with whole descriptions exceed one message."""
SHORT_RENDERED_ALERT: Final = 2000
"""Maximum characters of an alert that a template rendered, in that case."""
PAGE_NUMBER_LENGTH: Final = len(" (20/20)")
"""Characters that the number of a page takes in a headline."""

Cost = tuple[int, ...]
P = TypeVar("P")


class Pages(Generic[P]):
    """Pages that are filled in order, with one budget for each page there may be."""

    def __init__(self, budgets: Sequence[Cost], cost: Callable[[P], Cost]) -> None:
        self._budgets, self._cost = list(budgets), cost
        self.pages: list[list[P]] = [[]]
        self.remaining = budgets[0]

    def add(self, part: P) -> bool:
        """Add a part to the current page, or start the next one with it; return False if it fits neither."""
        return self.fill((part,)) == 1

    def fill(self, parts: Iterable[P]) -> int:
        """Add parts up to the first that does not fit; return the number of parts added."""
        page, cost, remaining, count = self.pages[-1], self._cost, self.remaining, 0
        for part in parts:
            needed = cost(part)
            after = tuple(map(sub, remaining, needed))
            if min(after) < 0:
                current = len(self.pages)
                if current == len(self._budgets):
                    break
                after = tuple(map(sub, self._budgets[current], needed))
                if min(after) < 0:
                    break
                page = []
                self.pages.append(page)
            page.append(part)
            remaining = after
            count += 1
        self.remaining = remaining
        return count

    def extend(self, cost: Cost) -> None:
        """Extend the budget of the last page there may be, by what was reserved for the end of a message."""
        self._budgets[-1] = _sum(self._budgets[-1], cost)
        if len(self.pages) == len(self._budgets):
            self.remaining = _sum(self.remaining, cost)


def _sum(cost: Cost, other: Cost) -> Cost:
    return tuple(map(add, cost, other))


class MessagePage(msgspec.Struct, Generic[P], frozen=True, kw_only=True):
    """The parts of one message, as the platform formats them.

    `number` follows the headline: " (2/3)", or empty if there is one page. `not_shown` is the number of alerts on
    no page; only the last page has it.
    """

    parts: Sequence[P]
    number: str = ""
    is_first: bool = True
    is_last: bool = True
    not_shown: int = 0


def paginate(
    content: Content,
    budgets: Sequence[Cost],
    format_alert: Callable[[AlertText, int, int], P],
    cost: Callable[[P], Cost],
    preamble: Sequence[P] = (),
) -> list[MessagePage[P]]:
    """Split the alerts of a message over pages with these budgets, at least one.

    Descriptions are whole if all alerts then fit the first page, or, after a `preamble`, the pages; otherwise they
    are shortened. `format_alert(alert, description, limit)` formats an alert with at most `description` characters
    of its description, at a cost of at most `limit` in the first dimension.
    """
    pages, shown = _fill(content.alerts, budgets if preamble else budgets[:1], format_alert, cost, preamble)
    if shown < content.total:
        pages, shown = _fill(content.alerts, budgets, format_alert, cost, preamble, SHORT_DESCRIPTION)
    count = len(pages)
    return [
        MessagePage(
            parts=parts,
            number=f" ({number}/{count})" if count > 1 else "",
            is_first=number == 1,
            is_last=number == count,
            not_shown=content.total - shown if number == count else 0,
        )
        for number, parts in enumerate(pages, start=1)
    ]


def rendered_alert_limit(description: int, limit: int) -> int:
    """The length of an alert that a template rendered, where descriptions have this length."""
    return limit if description > SHORT_DESCRIPTION else min(limit, SHORT_RENDERED_ALERT)


def _fill(
    alerts: Sequence[AlertText],
    budgets: Sequence[Cost],
    format_alert: Callable[[AlertText, int, int], P],
    cost: Callable[[P], Cost],
    preamble: Sequence[P],
    description: int | None = None,
) -> tuple[list[list[P]], int]:
    """Fill pages with the preamble and the first alerts; return the pages and the number of these alerts."""
    pages = Pages(budgets, cost)
    for part in preamble:
        pages.add(part)
    limit = pages.remaining[0]
    length = limit if description is None else description
    shown = pages.fill(format_alert(alert, length, limit) for alert in alerts)
    return pages.pages, shown
