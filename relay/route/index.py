"""The index of a routing table: where each channel is found. A change copies only what it writes."""

import itertools
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Final

import msgspec

from relay.domain.channel_types import Filters
from relay.domain.matchers import REGULAR, Matcher, Op
from relay.domain.severities import label_value
from relay.route.patterns import Patterns

MAX_KEYS: Final = 256
"""Index entries for one channel; filters that would exceed it are evaluated instead."""
RARE: Final = 32
"""Channels with the same value of a label that are indexed by this label alone, which keeps the shapes few."""

Counts = Mapping[tuple[str, str], int]
"""How many channels have a label's value, or a pattern for it."""

Shape = tuple[tuple[str, ...], str | None]
"""The labels whose values are looked up, and the label whose matching pattern is looked up, if there is one."""
Key = tuple[str, ...]


class Entry(msgspec.Struct, frozen=True):
    """A channel in the index, with the conditions that are not indexed."""

    channel_id: str
    send_resolved: bool
    required: tuple[tuple[str, frozenset[str]], ...]
    matchers: tuple[Matcher, ...]

    def matches(self, labels: Mapping[str, str], firing: bool, patterns: Patterns) -> bool:
        """Whether an alert meets the conditions that are not indexed."""
        if not firing and not self.send_resolved:
            return False
        for label, values in self.required:
            if label_value(labels, label) not in values:
                return False
        for matcher in self.matchers:
            if matcher.op in REGULAR:
                found = matcher.value in patterns.matched(matcher.name, labels.get(matcher.name, ""))
                if found is (matcher.op is Op.NOT_MATCHES):
                    return False
            elif not matcher.matches(labels):
                return False
        return True


class Place(msgspec.Struct, frozen=True):
    """Where a channel is in the index: under each combination of the values, followed by the pattern if any."""

    entry: Entry
    source: str | None
    shape: Shape
    values: tuple[frozenset[str], ...]
    pattern: tuple[str] | tuple[()]

    def index_keys(self) -> Iterator[Key]:
        """Yield the keys of the channel."""
        for key in itertools.product(*self.values):
            yield (*key, *self.pattern)

    def required(self) -> Iterator[tuple[str, str]]:
        """Yield each label and each of its accepted values."""
        for label, values in (*zip(self.shape[0], self.values, strict=True), *self.entry.required):
            for value in values:
                yield label, value

    def regular(self) -> Iterator[tuple[str, str]]:
        """Yield the label and the pattern of each regular expression."""
        _, label = self.shape
        if label is not None:
            for pattern in self.pattern:
                yield label, pattern
        for matcher in self.entry.matchers:
            if matcher.op in REGULAR:
                yield matcher.name, matcher.value


Index = dict[str | None, dict[Shape, dict[Key, list[Entry]]]]
"""By the source that the channels are limited to, None for those of any source."""


def place(
    channel_id: str,
    filters: Filters,
    required: Mapping[str, frozenset[str]],
    matchers: Iterable[Matcher],
    patterns: Counts,
    values: Counts,
) -> Place:
    """Choose the place of a channel with these conditions, under what it shares with the fewest channels."""

    def shared(label: str) -> int:
        return max((values[label, value] for value in required[label]), default=0)

    by_rarity = sorted(required, key=lambda label: (shared(label), len(required[label])))
    regular: Matcher | None = None
    if by_rarity and shared(by_rarity[0]) <= RARE and len(required[by_rarity[0]]) <= MAX_KEYS:
        indexed = {by_rarity[0]}
    else:
        indexed = _indexed(required)
        positive = [matcher for matcher in matchers if matcher.op is Op.MATCHES]
        regular = min(positive, key=lambda matcher: patterns[matcher.name, matcher.value], default=None)
    rest = tuple((label, required[label]) for label in by_rarity if label not in indexed)
    evaluated = tuple(matcher for matcher in matchers if matcher is not regular)
    labels = tuple(sorted(indexed))
    return Place(
        entry=Entry(channel_id, filters.send_resolved, rest, evaluated),
        source=filters.source,
        shape=(labels, None if regular is None else regular.name),
        values=tuple(required[label] for label in labels),
        pattern=() if regular is None else (regular.value,),
    )


def _indexed(required: Mapping[str, frozenset[str]]) -> set[str]:
    """The labels whose combinations of values are at most MAX_KEYS, or the one with the fewest values."""
    indexed: set[str] = set()
    combinations = 1
    for label, values in sorted(required.items(), key=lambda item: len(item[1])):
        if indexed and combinations * len(values) > MAX_KEYS:
            break
        indexed.add(label)
        combinations *= len(values)
    return indexed


def build(places: Iterable[Place]) -> Index:
    """Return the index of all channels."""
    index: Index = {}
    for one in places:
        keys = index.setdefault(one.source, {}).setdefault(one.shape, {})
        for key in one.index_keys():
            keys.setdefault(key, []).append(one.entry)
    return index


def changed(index: Index, removed: Collection[Place], added: Collection[Place]) -> Index:
    """Return an index without some places of this one, and with others; this one remains as it is."""
    shapes = {(one.source, one.shape) for one in (*removed, *added)}
    index = _copied(index, shapes)
    for one in removed:
        keys = index[one.source][one.shape]
        for key in one.index_keys():
            keys[key] = [entry for entry in keys[key] if entry is not one.entry]
            if not keys[key]:
                del keys[key]
    for one in added:
        keys = index[one.source][one.shape]
        for key in one.index_keys():
            keys[key] = [*keys.get(key, ()), one.entry]
    # Each match looks into all shapes of a source.
    for source, shape in shapes:
        if not index[source][shape]:
            del index[source][shape]
            if not index[source]:
                del index[source]
    return index


def _copied(index: Index, shapes: Collection[tuple[str | None, Shape]]) -> Index:
    """A copy in which these shapes can be written; the lists of entries are those of the index."""
    copied = dict(index)
    for source in {source for source, _ in shapes}:
        copied[source] = dict(index.get(source, {}))
    for source, shape in shapes:
        copied[source][shape] = dict(copied[source].get(shape, {}))
    return copied
