"""The summary of a digest's counts, in the space that a platform has for it.

Critical alerts come first and every one of them is named: rather than be omitted, their names lose their numbers,
and then their middles. Other names end in a count where the space ends.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Sequence
from itertools import accumulate, groupby
from typing import Final, Self

import msgspec

from relay.domain.notifications import AlertCount
from relay.domain.severities import SEVERITY_ORDER
from relay.notify.text.bidi import confined
from relay.notify.text.graphemes import ceil_boundary, floor_boundary
from relay.notify.text.plain_text import ELLIPSIS

CRITICAL: Final = SEVERITY_ORDER[0]
MAX_SEVERITIES: Final = 8
"""Severities other than critical that get a line each; the others share one."""
MAX_SEVERITY: Final = 30
MAX_NAME: Final = 100
MIN_NAME: Final = 8
"""Characters that are left of a name. The middle is cut, because names often differ at the end."""
SEPARATOR: Final = ", "


class SummaryLimits(msgspec.Struct, frozen=True, kw_only=True):
    """The size of a summary, in total and of one line, as `size` measures escaped text.

    The size of a text must be the sum of its parts' sizes. Each line costs `overhead` in addition.
    """

    total: int
    line: int
    overhead: int = 1
    escape: Callable[[str], str] = str
    size: Callable[[str], int] = len


def summary_lines(counts: Sequence[AlertCount], limits: SummaryLimits) -> list[str]:
    """The counts as escaped lines within the limits, in the order of severity."""
    grouped = [(severity, tuple(group)) for severity, group in groupby(counts, key=lambda count: count.severity)]
    critical = tuple(count for severity, group in grouped if severity == CRITICAL for count in group)
    others = [
        _SeverityCounts.of(*group, limits)
        for group in _merge_last([group for group in grouped if group[0] != CRITICAL])
    ]
    reserved = sum(severity.min_cost for severity in others)
    lines = _name_all(critical, limits, limits.total - reserved) if critical else []
    left = limits.total - reserved - _cost(lines, limits)
    for severity in others:
        # Half of what is left, so that some space remains for the alerts.
        named = severity.lines(limits, severity.min_cost + max(left, 0) // 2)
        left -= _cost(named, limits) - severity.min_cost
        lines += named
    return lines


class _SeverityCounts(msgspec.Struct, frozen=True):
    """The counts of one severity. `min_cost` is the cost of a line that names none of them."""

    start: str
    counts: tuple[AlertCount, ...]
    min_cost: int

    @classmethod
    def of(cls, severity: str, counts: tuple[AlertCount, ...], limits: SummaryLimits) -> Self:
        title = shorten_middle(" ".join(severity.split()), MAX_SEVERITY) or "no severity"
        start = limits.escape(_start(title, counts))
        return cls(start, counts, _cost(_wrap(start, [_names(len(counts))], limits), limits))

    def lines(self, limits: SummaryLimits, total: int) -> list[str]:
        """Lines with as many names as fit in `total`."""
        # No more than this can fit: a name and its separator have at least three characters.
        first = self.counts[: total // len("a, ")]
        return _name_first(self.start, [_with_numbers(count) for count in first], len(self.counts), limits, total)


def _merge_last(groups: list[tuple[str, tuple[AlertCount, ...]]]) -> list[tuple[str, tuple[AlertCount, ...]]]:
    """The groups, those after MAX_SEVERITIES merged into one."""
    rest = groups[MAX_SEVERITIES:]
    if not rest:
        return groups
    merged = tuple(count for _, group in rest for count in group)
    return [*groups[:MAX_SEVERITIES], (f"{len(rest)} more severities", merged)]


def _name_all(counts: tuple[AlertCount, ...], limits: SummaryLimits, total: int) -> list[str]:
    """Lines that name all of the counts; only if no names of MIN_NAME fit do they end in a number."""
    start = limits.escape(_start(CRITICAL, counts))
    names = [_name(count) for count in counts]

    def with_width(width: int) -> list[str]:
        return _wrap(start, [limits.escape(shorten_middle(name, width)) for name in names], limits)

    numbered = _wrap(start, [limits.escape(_with_numbers(count)) for count in counts], limits)
    if _cost(numbered, limits) <= total:
        return numbered
    if _cost(with_width(MIN_NAME), limits) > total:
        return _name_first(start, [shorten_middle(name, MIN_NAME) for name in names], len(names), limits, total)
    widths = range(MIN_NAME, MAX_NAME + 1)
    # The first width that does not fit follows the largest that does.
    index = bisect_left(widths, True, key=lambda width: _cost(with_width(width), limits) > total)
    return with_width(widths[index - 1])


def _name_first(start: str, names: list[str], count: int, limits: SummaryLimits, total: int) -> list[str]:
    """Lines with as many of the names as fit, and the number of the rest of `count`."""
    pieces = [limits.escape(name) for name in names]
    if len(pieces) == count and _cost(lines := _wrap(start, pieces, limits), limits) <= total:
        return lines
    # A wrapped line leaves less than half of its length unused, and has an overhead.
    wrapping = limits.overhead * (1 + 2 * total // limits.line)
    costs = list(accumulate(limits.size(piece) + len(SEPARATOR) for piece in pieces))
    shown = bisect_right(costs, total - wrapping - limits.size(start) - limits.size(_more_names(count)))
    rest = _more_names(count - shown) if shown else _names(count)
    return _wrap(start, [*pieces[:shown], rest], limits)


def _wrap(start: str, pieces: Sequence[str], limits: SummaryLimits) -> list[str]:
    lines: list[str] = []
    line, used = [start], limits.size(start)
    for index, piece in enumerate(pieces):
        separated = piece + SEPARATOR if index < len(pieces) - 1 else piece
        size = limits.size(separated)
        if used + size > limits.line:
            lines.append("".join(line).rstrip())
            line, used = [], 0
        line.append(separated)
        used += size
    return [*lines, "".join(line)]


def _cost(lines: Iterable[str], limits: SummaryLimits) -> int:
    return sum(limits.size(line) + limits.overhead for line in lines)


def shorten_middle(text: str, limit: int) -> str:
    """The text, its middle replaced by an ellipsis if it has more than `limit` characters."""
    text = confined(text)
    if len(text) <= limit:
        return text
    end = max(limit - len(ELLIPSIS), 0) // 2
    start = max(limit - len(ELLIPSIS) - end, 0)
    shortened = text[: floor_boundary(text, start)] + ELLIPSIS + text[ceil_boundary(text, len(text) - end) :]
    return confined(shortened)


def _name(count: AlertCount) -> str:
    return shorten_middle(" ".join(count.alertname.split()), MAX_NAME) or "no name"


def _start(severity: str, counts: Iterable[AlertCount]) -> str:
    counts = tuple(counts)
    return f"{severity}{_numbers(sum(c.firing for c in counts), sum(c.resolved for c in counts))}: "


def _with_numbers(count: AlertCount) -> str:
    return f"{_name(count)}{_numbers(count.firing, count.resolved)}"


def _numbers(firing: int, resolved: int) -> str:
    return (f" 🔥{firing}" if firing else "") + (f" ✅{resolved}" if resolved else "")


def _names(count: int) -> str:
    return f"{count} name{'s' if count != 1 else ''}"


def _more_names(count: int) -> str:
    return f"{ELLIPSIS} and {count} more name{'s' if count != 1 else ''}"
