"""The routing table: an index that finds the channels for an alert at a cost of the matches, not of the channels.

A filter that requires a label to have one of a few values is indexed. Channels that require the same labels share
a shape; within a shape, one lookup by the alert's values finds the channels. Only conditions that can't be indexed
(regular expressions, negations) are evaluated, and only for the channels found.
"""

import itertools
import math
from collections.abc import Iterator, Mapping
from typing import Final

import msgspec

from relay.domain.alerts import Alert, Group, Status
from relay.domain.channel_types import Filters
from relay.domain.errors import InvalidInput
from relay.domain.matchers import Matcher, Op

MAX_KEYS: Final = 256
"""Index entries for one channel; filters that would exceed it are evaluated instead."""

Shape = tuple[str, ...]
Key = tuple[str, ...]


class Entry(msgspec.Struct, frozen=True):
    """A channel in the index, with the conditions that are not indexed."""

    channel_id: str
    send_resolved: bool
    required: tuple[tuple[str, frozenset[str]], ...]
    matchers: tuple[Matcher, ...]

    def matches(self, alert: Alert) -> bool:
        """Whether the alert meets the conditions that are not indexed."""
        labels = alert.labels
        if not self.send_resolved and alert.status is not Status.FIRING:
            return False
        for label, values in self.required:
            if labels.get(label, "") not in values:
                return False
        return all(matcher.matches(labels) for matcher in self.matchers)


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
        for channel_id, filters in channels.items():
            if filters.enabled:
                try:
                    self._add(channel_id, filters)
                except InvalidInput as error:
                    self.invalid[channel_id] = str(error)

    def match(self, alert: Alert, source: str = "") -> Iterator[str]:
        """Yield the ids of the channels that match an alert of a source."""
        labels = alert.labels
        for limited_to in (None, source):
            for shape, channels in self._shapes.get(limited_to, {}).items():
                for entry in channels.get(tuple([labels.get(label, "") for label in shape]), ()):
                    if entry.matches(alert):
                        yield entry.channel_id

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

    def _add(self, channel_id: str, filters: Filters) -> None:
        required, matchers = required_labels(filters, self.tenant_label)
        indexed: dict[str, frozenset[str]] = {}
        for label, values in sorted(required.items(), key=lambda item: len(item[1])):
            if indexed and math.prod(map(len, indexed.values())) * len(values) > MAX_KEYS:
                break
            indexed[label] = values
        rest = tuple((label, values) for label, values in required.items() if label not in indexed)
        entry = Entry(channel_id, filters.send_resolved, rest, matchers)
        shape = tuple(sorted(indexed))
        keys = self._shapes.setdefault(filters.source, {}).setdefault(shape, {})
        for key in itertools.product(*(indexed[label] for label in shape)):
            keys.setdefault(key, []).append(entry)


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
