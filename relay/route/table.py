"""Which channels match an alert, at a cost that follows the matches and not the channels?

Every filter that demands a label to be one of a few values is a key. Channels that demand the same labels
share a shape; in a shape, the values an alert has lead with one look-up to the channels that want them.
Only what can't be looked up (regular expressions, negations) is evaluated, for those channels alone.
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
"""Index entries one channel may take; the filters beyond that are evaluated."""

Shape = tuple[str, ...]
Key = tuple[str, ...]


class Entry(msgspec.Struct, frozen=True):
    """A channel in the index, with what is left to evaluate."""

    channel_id: str
    send_resolved: bool
    demands: tuple[tuple[str, frozenset[str]], ...]
    matchers: tuple[Matcher, ...]

    def matches(self, alert: Alert) -> bool:
        """Whether the alert fulfils what the index did not look up."""
        labels = alert.labels
        return (
            (self.send_resolved or alert.status is Status.FIRING)
            and all(labels.get(label, "") in values for label, values in self.demands)
            and all(matcher.matches(labels) for matcher in self.matchers)
        )


class RoutingTable:
    """An immutable snapshot of all channels' filters at one version of the configuration."""

    def __init__(self, version: int, channels: Mapping[str, Filters], tenant_label: str) -> None:
        """Index the channels. `tenant_label` names the label that holds an alert's tenant."""
        self.version = version
        self.tenant_label = tenant_label
        self.channels = channels
        self.broken: dict[str, str] = {}
        """Channels that can't be indexed, and why: one of them must not keep the others from being told."""
        self._shapes: dict[Shape, dict[Key, list[Entry]]] = {}
        for channel_id, filters in channels.items():
            if filters.enabled:
                try:
                    self._add(channel_id, filters)
                except InvalidInput as error:
                    self.broken[channel_id] = str(error)

    def match(self, alert: Alert) -> Iterator[str]:
        """The ids of the channels that want the alert."""
        labels = alert.labels
        for shape, channels in self._shapes.items():
            for entry in channels.get(tuple([labels.get(label, "") for label in shape]), ()):
                if entry.matches(alert):
                    yield entry.channel_id

    def route(self, group: Group) -> dict[str, tuple[int, ...] | None]:
        """For each channel that wants some of the group: the positions of those alerts, or None for all."""
        wanted: dict[str, list[int]] = {}
        for position, alert in enumerate(group.alerts):
            for channel_id in self.match(alert):
                wanted.setdefault(channel_id, []).append(position)
        everything = len(group.alerts)
        return {
            channel_id: None if len(positions) == everything else tuple(positions)
            for channel_id, positions in wanted.items()
        }

    def _add(self, channel_id: str, filters: Filters) -> None:
        demands, matchers = required_labels(filters, self.tenant_label)
        indexed: dict[str, frozenset[str]] = {}
        for label, values in sorted(demands.items(), key=lambda item: len(item[1])):
            if indexed and math.prod(map(len, indexed.values())) * len(values) > MAX_KEYS:
                break
            indexed[label] = values
        left = tuple((label, values) for label, values in demands.items() if label not in indexed)
        entry = Entry(channel_id, filters.send_resolved, left, matchers)
        shape = tuple(sorted(indexed))
        keys = self._shapes.setdefault(shape, {})
        for key in itertools.product(*(indexed[label] for label in shape)):
            keys.setdefault(key, []).append(entry)


def required_labels(filters: Filters, tenant_label: str) -> tuple[dict[str, frozenset[str]], tuple[Matcher, ...]]:
    """Read filters as "this label must be one of these values", and the matchers that say something else."""
    demands: dict[str, frozenset[str]] = {}

    def demand(label: str, values: frozenset[str]) -> None:
        demands[label] = demands[label] & values if label in demands else values

    if filters.tenant_id is not None:
        demand(tenant_label, frozenset({filters.tenant_id}))
    for label, values in (
        ("severity", filters.severities),
        ("alertname", filters.alert_names),
        ("category", filters.alert_categories),
    ):
        if values:
            demand(label, frozenset(values))
    others = []
    for matcher in filters.parsed_matchers():
        if matcher.op is Op.EQUAL:
            demand(matcher.name, frozenset({matcher.value}))
        else:
            others.append(matcher)
    return demands, tuple(others)
