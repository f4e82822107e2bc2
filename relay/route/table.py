"""The routing table: an index that finds the channels for an alert at a cost of the matches, not of the channels.

A filter that requires a label to have one of a few values is indexed. Channels that require the same labels share
a shape; within a shape, one lookup by the alert's values finds the channels. A channel that requires a value which
few others require is indexed by this label alone, so that there are few shapes. For the others, the regular
expression that the fewest channels share is part of the key. Only the remaining conditions are evaluated, and only
for the channels found.
"""

import itertools
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from copy import copy
from typing import Final, TypeVar

from relay.domain.alerts import Alert, Group, Status
from relay.domain.channel_types import Filters
from relay.domain.errors import InvalidInput
from relay.domain.identity import named_source
from relay.domain.matchers import REGULAR, Matcher, Op
from relay.domain.severities import FOLDED_SEVERITY, label_value
from relay.route import index
from relay.route.index import Entry, Index, Key, Place
from relay.route.patterns import Patterns

FEW_CHANGES: Final = 64
MAX_CHANGED: Final = 1 / 8
"""Changes at once for which the index is not built again: a few, or this part of the channels."""
MAX_UNUSED_PATTERNS: Final = 1_000
"""Patterns that are kept although no channel has them any longer, in addition to as many as the channels have."""

Value = TypeVar("Value")
Conditions = tuple[dict[str, frozenset[str]], tuple[Matcher, ...]]
"""The accepted values of each label, and the matchers that are not such a condition."""


class RoutingTable:
    """An immutable snapshot of all channels' filters at one configuration version."""

    def __init__(self, version: int, channels: Mapping[str, Filters], tenant_label: str) -> None:
        """Index the channels. `tenant_label` is the label with an alert's tenant."""
        self.version = version
        self.tenant_label = tenant_label
        self.channels = channels
        self.invalid: dict[str, str] = {}
        """Channels that can't be indexed, with the error. They are skipped, and the other channels are routed."""
        conditions = self._conditions(channels)
        self._shared = dict(Counter(_regular(conditions)))
        self._values = dict(Counter(_required(conditions)))
        self._patterns = Patterns(_by_label(self._shared))
        self._places = self._place(conditions)
        self._index: Index = index.build(self._places.values())

    def changed(self, version: int, changes: Mapping[str, Filters | None]) -> "RoutingTable":
        """Return the table after changes of channels, None for a deleted one.

        It shares what has not changed with this table, which remains as it is, and routes as a new one would.
        """
        changes = {at: filters for at, filters in changes.items() if self.channels.get(at) != filters}
        table = copy(self)
        table.version = version
        if changes:
            table.channels = _with_changes(self.channels, changes)
            if len(changes) > max(FEW_CHANGES, MAX_CHANGED * len(table.channels)):
                return RoutingTable(version, table.channels, self.tenant_label)
            table._change(changes)
            if table._patterns.size > 2 * len(table._shared) + MAX_UNUSED_PATTERNS:
                return RoutingTable(version, table.channels, self.tenant_label)
        return table

    def _change(self, changes: Mapping[str, Filters | None]) -> None:
        """Replace what changes in a copy of a table."""
        self.invalid = {at: error for at, error in self.invalid.items() if at not in changes}
        conditions = self._conditions({at: filters for at, filters in changes.items() if filters is not None})
        removed = {at: self._places[at] for at in changes if at in self._places}
        used = list(_regular(conditions))
        unused = [pattern for one in removed.values() for pattern in one.regular()]
        self._shared = _recounted(self._shared, used, unused)
        self._patterns = self._patterns.added(_by_label(used))
        no_longer = [value for one in removed.values() for value in one.required()]
        self._values = _recounted(self._values, list(_required(conditions)), no_longer)
        added = self._place(conditions)
        self._places = _with_changes(self._places, {at: added.get(at) for at in changes})
        self._index = index.changed(self._index, removed.values(), added.values())

    def _conditions(self, channels: Mapping[str, Filters]) -> dict[str, Conditions]:
        """The conditions of the channels that are enabled and valid; the others become `invalid`."""
        conditions = {}
        for channel_id, filters in channels.items():
            if filters.enabled:
                try:
                    conditions[channel_id] = required_labels(filters, self.tenant_label)
                except InvalidInput as error:
                    self.invalid[channel_id] = str(error)
        return conditions

    def _place(self, conditions: Mapping[str, Conditions]) -> dict[str, Place]:
        return {
            channel_id: index.place(
                channel_id, self.channels[channel_id], required, matchers, self._shared, self._values
            )
            for channel_id, (required, matchers) in conditions.items()
        }

    def match(self, alert: Alert, source: str = "") -> Iterator[str]:
        """Yield the ids of the channels that match an alert of a source."""
        return self.match_labels(alert.labels, alert.status is Status.FIRING, source)

    def match_labels(self, labels: Mapping[str, str], firing: bool = True, source: str = "") -> Iterator[str]:
        """Yield the ids of the channels that match an alert with these labels."""
        value_of, severity = labels.get, label_value(labels, FOLDED_SEVERITY)
        for limited_to in (None, named_source(source)):
            for (shape, pattern_label), channels in self._index.get(limited_to, {}).items():
                key = tuple([severity if label is FOLDED_SEVERITY else value_of(label, "") for label in shape])
                found: Iterable[Entry]
                if pattern_label is None:
                    found = channels.get(key, ())
                else:
                    found = self._by_pattern(channels, key, pattern_label, labels)
                for entry in found:
                    if entry.matches(labels, firing, self._patterns):
                        yield entry.channel_id

    def _by_pattern(
        self, channels: Mapping[Key, list[Entry]], key: Key, label: str, labels: Mapping[str, str]
    ) -> Iterable[Entry]:
        """The entries of a shape under a key and each pattern that the alert matches."""
        matched = self._patterns.matched(label, labels.get(label, ""))
        return itertools.chain.from_iterable(channels.get((*key, pattern), ()) for pattern in matched)

    def route(self, group: Group, source: str = "") -> dict[str, tuple[int, ...] | None]:
        """Return, for each channel that matches, the positions of the matching alerts, or None for all of them."""
        matches: dict[str, list[int]] = {}
        for position, alert in enumerate(group.alerts):
            for channel_id in self.match(alert, source):
                matches.setdefault(channel_id, []).append(position)
        total = len(group.alerts)
        return {
            channel_id: None if len(positions) == total else tuple(positions)
            for channel_id, positions in matches.items()
        }


def required_labels(filters: Filters, tenant_label: str) -> Conditions:
    """Convert filters into conditions."""
    required: dict[str, frozenset[str]] = {}

    def require(label: str, values: frozenset[str]) -> None:
        required[label] = required[label] & values if label in required else values

    for _, label, values in filters.label_filters(tenant_label):
        require(label, frozenset(values))
    others = []
    for matcher in filters.parsed_matchers():
        if matcher.op is Op.EQUAL:
            require(matcher.name, frozenset({matcher.value}))
        else:
            others.append(matcher)
    return required, tuple(others)


def _regular(conditions: Mapping[str, Conditions]) -> Iterator[tuple[str, str]]:
    """Yield the label and the pattern of each regular expression."""
    for _, matchers in conditions.values():
        for matcher in matchers:
            if matcher.op in REGULAR:
                yield matcher.name, matcher.value


def _required(conditions: Mapping[str, Conditions]) -> Iterator[tuple[str, str]]:
    """Yield each label and each of its accepted values."""
    for required, _ in conditions.values():
        for label, values in required.items():
            for value in values:
                yield label, value


def _recounted(
    counts: dict[tuple[str, str], int], more: Collection[tuple[str, str]], fewer: Collection[tuple[str, str]]
) -> dict[tuple[str, str], int]:
    """The counts after a change; the same object if there is none."""
    if not more and not fewer:
        return counts
    counts = dict(counts)
    for one in more:
        counts[one] = counts.get(one, 0) + 1
    for one in fewer:
        counts[one] -= 1
        if not counts[one]:
            del counts[one]
    return counts


def _by_label(patterns: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    by_label: dict[str, list[str]] = {}
    for label, pattern in patterns:
        by_label.setdefault(label, []).append(pattern)
    return by_label


def _with_changes(values: Mapping[str, Value], changes: Mapping[str, Value | None]) -> dict[str, Value]:
    """A copy with the changes; None deletes."""
    copied = dict(values)
    for key, value in changes.items():
        if value is None:
            copied.pop(key, None)
        else:
            copied[key] = value
    return copied
