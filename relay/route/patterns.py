"""Evaluation of regular expressions: all patterns for a label at once, and each value once."""

import contextlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

import re2

from relay.domain.matchers import MAX_MATCHED, matches_pattern, program_size

MAX_SET_PROGRAM: Final = 20_000
"""Instructions of the patterns that are matched in one pass."""
SET_MEMORY: Final = 16 << 20
"""Bytes that RE2 may use for one pass; see `Options.max_mem`."""
MAX_CACHED: Final = 500_000
"""Values and matched patterns that are kept."""
CANARY: Final = r"(?s).*"
"""Matches everything. RE2's Set reports no match if it runs out of memory, which this pattern makes visible."""


class Patterns:
    """The patterns of a routing table by label."""

    def __init__(self, patterns: Mapping[str, Iterable[str]]) -> None:
        """Compile the patterns, which are valid, once each."""
        self._passes = {label: tuple(_passes(sorted(set(given)))) for label, given in patterns.items()}
        self._cache: dict[tuple[str, str], frozenset[str]] = {}
        self._cached = 0

    def matched(self, label: str, value: str) -> frozenset[str]:
        """The patterns of a label that match a value as a whole; only the start of a long value is matched."""
        value = value[:MAX_MATCHED]
        found = self._cache.get((label, value))
        if found is None:
            found = frozenset(pattern for one in self._passes.get(label, ()) for pattern in one.matched(value))
            self._keep(label, value, found)
        return found

    def _keep(self, label: str, value: str, found: frozenset[str]) -> None:
        # Long values count as several, so that the memory of the cache is bounded.
        size = 1 + len(found) + len(value) // 64
        if self._cached + size > MAX_CACHED:
            self._cache.clear()
            self._cached = 0
        self._cache[label, value] = found
        self._cached += size


class _Pass:
    """Patterns that are matched together."""

    def __init__(self, patterns: list[str]) -> None:
        options = re2.Options()
        options.log_errors = False
        options.max_mem = SET_MEMORY
        self._patterns = patterns
        self._compiled = False
        self._set = re2.Set.FullMatchSet(options)
        for pattern in (*patterns, CANARY):
            self._set.Add(pattern)
        with contextlib.suppress(re2.error):  # not enough memory; nothing is matched together then
            self._set.Compile()
            self._compiled = True

    def matched(self, value: str) -> Iterator[str]:
        """The patterns that match a value."""
        canary = len(self._patterns)
        found = self._set.Match(value) if self._compiled else []
        if canary not in found:
            return (pattern for pattern in self._patterns if matches_pattern(pattern, value))
        return (self._patterns[at] for at in found if at != canary)


def _passes(patterns: list[str]) -> Iterator[_Pass]:
    together: list[str] = []
    size = 0
    for pattern in patterns:
        own = program_size(pattern)
        if together and size + own > MAX_SET_PROGRAM:
            yield _Pass(together)
            together, size = [], 0
        together.append(pattern)
        size += own
    if together:
        yield _Pass(together)
