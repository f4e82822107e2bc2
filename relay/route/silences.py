"""The silences that an alert meets, found through the index of the routing table."""

from collections.abc import Mapping
from copy import copy
from datetime import datetime

from relay.domain.channel_types import Filters
from relay.domain.matchers import Matcher
from relay.domain.recurrence import is_active
from relay.domain.silences import Silence
from relay.route.table import RoutingTable


class SilenceTable:
    """An immutable snapshot of silences at one configuration version."""

    def __init__(self, version: int, silences: Mapping[str, Silence]) -> None:
        """Index the silences, which are given by their ids."""
        self.version = version
        self.silences = silences
        self._table = RoutingTable(version, {at: _filters(one) for at, one in silences.items()}, "")

    def changed(self, version: int, changes: Mapping[str, Silence | None]) -> "SilenceTable":
        """Return the table after changes of silences, None for one that is no longer needed.

        It shares what has not changed with this table, which remains as it is.
        """
        table = copy(self)
        table.version = version
        table.silences = {at: one for at, one in {**self.silences, **changes}.items() if one is not None}
        filters = {at: None if one is None else _filters(one) for at, one in changes.items()}
        table._table = self._table.changed(version, filters)
        return table

    def is_active(self, silence_id: str, at: datetime) -> bool:
        """Whether a silence suppresses anything at a time; an unknown one has ended."""
        silence = self.silences.get(silence_id)
        return silence is not None and is_active(silence, at)

    def matching(self, labels: Mapping[str, str]) -> list[Silence]:
        """The silences whose matchers the labels meet, whether they are active or not."""
        return [self.silences[at] for at in self._table.match_labels(labels)]

    def active(self, labels: Mapping[str, str], at: datetime) -> list[Silence]:
        """The silences that apply to the labels at a time, for the channels that they govern."""
        return [one for one in self.matching(labels) if is_active(one, at)]

    def suppressing(
        self, labels: Mapping[str, str], channel_id: str, channel_tenant: str | None, at: datetime
    ) -> list[Silence]:
        """The silences that keep an alert with these labels from a channel at a time."""
        return [one for one in self.active(labels, at) if governs(one, channel_id, channel_tenant)]


def governs(silence: Silence, channel_id: str, channel_tenant: str | None) -> bool:
    """Whether a silence applies to a channel: one of its channels, and of its tenant, if it has these."""
    if silence.channels and channel_id not in silence.channels:
        return False
    return silence.tenant_id is None or silence.tenant_id == channel_tenant


class _SilenceFilters(Filters, frozen=True, kw_only=True):
    """The filters of a silence, whose matchers need no parsing."""

    parsed: tuple[Matcher, ...]

    def parsed_matchers(self) -> tuple[Matcher, ...]:
        return self.parsed


def _filters(silence: Silence) -> Filters:
    return _SilenceFilters(parsed=silence.matchers)
