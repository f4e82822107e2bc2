"""How are a digest's counts put in the room that a platform leaves for them?

Critical alerts are named before all else, and all of them: rather than leave one out, the names lose their
numbers, and then their middles. Other names end in a count where the room ends.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Sequence
from itertools import accumulate, groupby
from typing import Final, Self

import msgspec

from relay.domain.alerts import SEVERITY_ORDER
from relay.domain.notifications import AlertCount
from relay.notify.text.content import ELLIPSIS
from relay.notify.text.graphemes import end_of, start_of

CRITICAL: Final = SEVERITY_ORDER[0]
MAX_SEVERITIES: Final = 8
"""Severities other than critical that get a line each; the rest share one."""
LONGEST_SEVERITY: Final = 30
LONGEST_NAME: Final = 100
SHORTEST_NAME: Final = 8
"""Characters of a name that is cut in the middle, so that its end, where names often differ, stays."""
SEPARATOR: Final = ", "


class Room(msgspec.Struct, frozen=True, kw_only=True):
    """The room for a summary: in all, and in one line, each as `size` measures escaped text.

    A piece of text is as large as its parts together. `overhead` is what each line costs by itself.
    """

    total: int
    line: int
    overhead: int = 1
    escape: Callable[[str], str] = str
    size: Callable[[str], int] = len


def summary_lines(counts: Sequence[AlertCount], room: Room) -> list[str]:
    """The counts as escaped lines, worst severity first, each line and all of them within the room."""
    grouped = [(severity, tuple(group)) for severity, group in groupby(counts, key=lambda count: count.severity)]
    critical = tuple(count for severity, group in grouped if severity == CRITICAL for count in group)
    others = [_Kind.of(*group, room) for group in _few([group for group in grouped if group[0] != CRITICAL])]
    least = sum(kind.least for kind in others)
    lines = _all_named(critical, room, room.total - least) if critical else []
    left = room.total - least - _cost(lines, room)
    for kind in others:
        # Half of what is left: the alerts themselves want room too.
        named = kind.named(room, kind.least + max(left, 0) // 2)
        left -= _cost(named, room) - kind.least
        lines += named
    return lines


class _Kind(msgspec.Struct, frozen=True):
    """The counts of one severity. `least` is the cost of the line that names none of them."""

    start: str
    counts: tuple[AlertCount, ...]
    least: int

    @classmethod
    def of(cls, severity: str, counts: tuple[AlertCount, ...], room: Room) -> Self:
        title = shortened(" ".join(severity.split()), LONGEST_SEVERITY) or "no severity"
        start = room.escape(_start(title, counts))
        return cls(start, counts, _cost(_wrapped(start, [_names(len(counts))], room), room))

    def named(self, room: Room, limit: int) -> list[str]:
        """Lines with as many names as fit in `limit`."""
        # A name and what separates it is no less than this, so that more of them can't fit.
        shown = self.counts[: limit // len("a, ")]
        return _as_many(self.start, [_with_numbers(count) for count in shown], len(self.counts), room, limit)


def _few(groups: list[tuple[str, tuple[AlertCount, ...]]]) -> list[tuple[str, tuple[AlertCount, ...]]]:
    rest = groups[MAX_SEVERITIES:]
    if not rest:
        return groups
    together = tuple(count for _, group in rest for count in group)
    return [*groups[:MAX_SEVERITIES], (f"{len(rest)} more severities", together)]


def _all_named(counts: tuple[AlertCount, ...], room: Room, total: int) -> list[str]:
    """Lines that name every one of the counts; only what no platform could hold ends in a count."""
    start = room.escape(_start(CRITICAL, counts))
    names = [_name(count) for count in counts]

    def cut_to(width: int) -> list[str]:
        return _wrapped(start, [room.escape(shortened(name, width)) for name in names], room)

    numbered = _wrapped(start, [room.escape(_with_numbers(count)) for count in counts], room)
    if _cost(numbered, room) <= total:
        return numbered
    if _cost(cut_to(SHORTEST_NAME), room) > total:
        return _as_many(start, [shortened(name, SHORTEST_NAME) for name in names], len(names), room, total)
    widths = range(SHORTEST_NAME, LONGEST_NAME + 1)
    # The first width that is too much follows the widest that fits.
    at = bisect_left(widths, True, key=lambda width: _cost(cut_to(width), room) > total)
    return cut_to(widths[at - 1])


def _as_many(start: str, texts: list[str], count: int, room: Room, total: int) -> list[str]:
    """Lines with the first of the texts, as many as fit; what is left of `count` stands at the end as a number."""
    pieces = [room.escape(text) for text in texts]
    if len(pieces) == count and _cost(made := _wrapped(start, pieces, room), room) <= total:
        return made
    # A line ends early by less than half of it, and costs something by itself.
    lines = room.overhead * (1 + 2 * total // room.line)
    costs = list(accumulate(room.size(piece) + len(SEPARATOR) for piece in pieces))
    shown = bisect_right(costs, total - lines - room.size(start) - room.size(_more(count)))
    rest = _more(count - shown) if shown else _names(count)
    return _wrapped(start, [*pieces[:shown], rest], room)


def _wrapped(start: str, pieces: Sequence[str], room: Room) -> list[str]:
    lines: list[str] = []
    line, used = [start], room.size(start)
    for at, piece in enumerate(pieces):
        written = piece + SEPARATOR if at < len(pieces) - 1 else piece
        size = room.size(written)
        if used + size > room.line:
            lines.append("".join(line).rstrip())
            line, used = [], 0
        line.append(written)
        used += size
    return [*lines, "".join(line)]


def _cost(lines: Iterable[str], room: Room) -> int:
    return sum(room.size(line) + room.overhead for line in lines)


def shortened(text: str, limit: int) -> str:
    """The text, its middle cut out if it has more than `limit` characters."""
    if len(text) <= limit:
        return text
    end = max(limit - len(ELLIPSIS), 0) // 2
    start = max(limit - len(ELLIPSIS) - end, 0)
    return text[: start_of(text, start)] + ELLIPSIS + text[end_of(text, len(text) - end) :]


def _name(count: AlertCount) -> str:
    return shortened(" ".join(count.alertname.split()), LONGEST_NAME) or "no name"


def _start(severity: str, counts: Iterable[AlertCount]) -> str:
    counts = tuple(counts)
    return f"{severity}{_numbers(sum(c.firing for c in counts), sum(c.resolved for c in counts))}: "


def _with_numbers(count: AlertCount) -> str:
    return f"{_name(count)}{_numbers(count.firing, count.resolved)}"


def _numbers(firing: int, resolved: int) -> str:
    return (f" 🔥{firing}" if firing else "") + (f" ✅{resolved}" if resolved else "")


def _names(count: int) -> str:
    return f"{count} name{'s' if count != 1 else ''}"


def _more(count: int) -> str:
    return f"{ELLIPSIS} and {count} more name{'s' if count != 1 else ''}"
