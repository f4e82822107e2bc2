"""Evaluation of regular expressions: all patterns for a label at once, and each value once."""

import contextlib
import itertools
from collections.abc import Iterable, Iterator, Mapping
from copy import copy
from typing import ClassVar, Final

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
    """The patterns of a routing table by label; immutable, and mostly shared with the tables after a change."""

    def __init__(self, patterns: Mapping[str, Iterable[str]]) -> None:
        """Compile the patterns, which are valid, once each."""
        self._sets: dict[str, tuple[_Set, ...]] = {label: (_Set(given),) for label, given in patterns.items()}
        self._cache = _Cache()

    @property
    def size(self) -> int:
        """How many patterns are compiled."""
        return sum(len(one.patterns) for sets in self._sets.values() for one in sets)

    def added(self, patterns: Mapping[str, Iterable[str]]) -> "Patterns":
        """Return these patterns and others, of which only those that are new are compiled, and few with them."""
        extended: dict[str, tuple[_Set, ...]] = {}
        for label, given in patterns.items():
            sets = self._sets.get(label, ())
            if new := {pattern for pattern in given if not any(pattern in one.patterns for one in sets)}:
                # Sets of decreasing size: there are few, and a pattern is seldom compiled again.
                while sets and len(sets[-1].patterns) <= len(new):
                    new |= sets[-1].patterns
                    sets = sets[:-1]
                extended[label] = (*sets, _Set(new))
        if not extended:
            return self
        others = copy(self)
        others._sets = self._sets | extended
        return others

    def matched(self, label: str, value: str) -> frozenset[str]:
        """The patterns of a label that match a value as a whole; only the start of a long value is matched."""
        value = value[:MAX_MATCHED]
        sets = self._sets.get(label, ())
        if len(sets) == 1:
            return self._matched(sets[0], value)
        return frozenset(itertools.chain.from_iterable(self._matched(one, value) for one in sets))

    def _matched(self, one: "_Set", value: str) -> frozenset[str]:
        found = self._cache.get((one.number, value))
        if found is None:
            found = one.matched(value)
            self._cache.keep((one.number, value), found)
        return found


class _Cache(dict[tuple[int, str], frozenset[str]]):
    """What the sets have matched, by their numbers and the values."""

    size = 0

    def keep(self, key: tuple[int, str], found: frozenset[str]) -> None:
        # Long values count as several, so that the memory of the cache is bounded.
        size = 1 + len(found) + len(key[1]) // 64
        if self.size + size > MAX_CACHED:
            self.clear()
            self.size = 0
        self[key] = found
        self.size += size


class _Set:
    """Patterns for one label, in as many passes as they need."""

    _numbers: ClassVar = itertools.count()

    def __init__(self, patterns: Iterable[str]) -> None:
        self.number = next(self._numbers)
        self.patterns = frozenset(patterns)
        self._passes = tuple(_passes(sorted(self.patterns)))

    def matched(self, value: str) -> frozenset[str]:
        """The patterns that match a value."""
        return frozenset(pattern for one in self._passes for pattern in one.matched(value))


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
