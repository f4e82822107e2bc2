"""The routing table: an index that finds the channels for an alert at a cost of the matches, not of the channels.

A filter that requires a label to have one of a few values is indexed. Channels that require the same labels share
a shape; within a shape, one lookup by the alert's values finds the channels. Of the regular expressions that a
channel requires, the one that the fewest channels share is part of its key. Only other conditions (more regular
expressions, negations) are evaluated, and only for the channels found.
"""

import itertools
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

import msgspec

from relay.domain.alerts import Alert, Group, Status
from relay.domain.channel_types import Filters
from relay.domain.errors import InvalidInput
from relay.domain.identity import named_source
from relay.domain.matchers import REGULAR, Matcher, Op
from relay.domain.severities import FOLDED_SEVERITY, label_value
from relay.route.patterns import Patterns

MAX_KEYS: Final = 256
"""Index entries for one channel; filters that would exceed it are evaluated instead."""

Shape = tuple[tuple[str, ...], str | None]
"""The labels whose values are looked up, and the label whose matching pattern is looked up, if there is one."""
Key = tuple[str, ...]


class Entry(msgspec.Struct, frozen=True):
    """A channel in the index, with the conditions that are not indexed."""

    channel_id: str
    send_resolved: bool
    required: tuple[tuple[str, frozenset[str]], ...]
    matchers: tuple[Matcher, ...]

    def matches(self, alert: Alert, patterns: Patterns) -> bool:
        """Whether the alert meets the conditions that are not indexed."""
        labels = alert.labels
        if not self.send_resolved and alert.status is not Status.FIRING:
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


class RoutingTable:
    """An immutable snapshot of all channels' filters at one configuration version."""

    def __init__(self, version: int, channels: Mapping[str, Filters], tenant_label: str) -> None:
        """Index the channels. `tenant_label` is the label with an alert's tenant."""
        self.version = version
        self.tenant_label = tenant_label
        self.channels = channels
        self.invalid: dict[str, str] = {}
        """Channels that can't be indexed, with the error. They are skipped, and the other channels are routed."""
        self._shapes: dict[str | None, dict[Shape, dict[Key, list[Entry]]]] = {}
        """By the source that the channels are limited to, None for those of any source."""
        conditions: dict[str, tuple[dict[str, frozenset[str]], tuple[Matcher, ...]]] = {}
        for channel_id, filters in channels.items():
            if filters.enabled:
                try:
                    conditions[channel_id] = required_labels(filters, tenant_label)
                except InvalidInput as error:
                    self.invalid[channel_id] = str(error)
        shared = Counter(
            (matcher.name, matcher.value)
            for _, matchers in conditions.values()
            for matcher in matchers
            if matcher.op in REGULAR
        )
        by_label: dict[str, list[str]] = {}
        for name, pattern in shared:
            by_label.setdefault(name, []).append(pattern)
        self._patterns = Patterns(by_label)
        for channel_id, (required, matchers) in conditions.items():
            self._add(channel_id, channels[channel_id], required, matchers, shared)

    def match(self, alert: Alert, source: str = "") -> Iterator[str]:
        """Yield the ids of the channels that match an alert of a source."""
        labels = alert.labels
        value_of, severity = labels.get, label_value(labels, FOLDED_SEVERITY)
        for limited_to in (None, named_source(source)):
            for (shape, pattern_label), channels in self._shapes.get(limited_to, {}).items():
                key = tuple([severity if label is FOLDED_SEVERITY else value_of(label, "") for label in shape])
                for entry in self._candidates(channels, key, pattern_label, labels):
                    if entry.matches(alert, self._patterns):
                        yield entry.channel_id

    def _candidates(
        self,
        channels: Mapping[Key, list[Entry]],
        key: Key,
        pattern_label: str | None,
        labels: Mapping[str, str],
    ) -> Iterable[Entry]:
        """The entries of a shape under a key, and under each pattern that the alert matches."""
        if pattern_label is None:
            return channels.get(key, ())
        matched = self._patterns.matched(pattern_label, labels.get(pattern_label, ""))
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

    def _add(
        self,
        channel_id: str,
        filters: Filters,
        required: dict[str, frozenset[str]],
        matchers: tuple[Matcher, ...],
        shared: Mapping[tuple[str, str], int],
    ) -> None:
        positive = [matcher for matcher in matchers if matcher.op is Op.MATCHES]
        regular = min(positive, key=lambda matcher: shared[matcher.name, matcher.value], default=None)
        indexed: dict[str, frozenset[str]] = {}
        for label, values in sorted(required.items(), key=lambda item: len(item[1])):
            if indexed and math.prod(map(len, indexed.values())) * len(values) > MAX_KEYS:
                break
            indexed[label] = values
        rest = tuple((label, values) for label, values in required.items() if label not in indexed)
        evaluated = tuple(matcher for matcher in matchers if matcher is not regular)
        entry = Entry(channel_id, filters.send_resolved, rest, evaluated)
        shape = tuple(sorted(indexed))
        pattern_label, pattern = (None, ()) if regular is None else (regular.name, (regular.value,))
        keys = self._shapes.setdefault(filters.source, {}).setdefault((shape, pattern_label), {})
        for key in itertools.product(*(indexed[label] for label in shape)):
            keys.setdefault((*key, *pattern), []).append(entry)


def required_labels(filters: Filters, tenant_label: str) -> tuple[dict[str, frozenset[str]], tuple[Matcher, ...]]:
    """Convert filters into the accepted values of each label, and the matchers that are not such a condition."""
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
