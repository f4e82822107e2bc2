"""The configuration that decides on a webhook: which channels match, and what is silenced."""

from collections.abc import Iterable, Mapping
from datetime import datetime

import msgspec

from relay.domain.alerts import Alert
from relay.domain.silences import Silence
from relay.route.silences import SilenceTable, governs
from relay.route.table import RoutingTable


class Configuration(msgspec.Struct, frozen=True):
    """Both tables, at the same version of the configuration."""

    table: RoutingTable
    silences: SilenceTable

    @property
    def version(self) -> int:
        """The version of the configuration."""
        return self.table.version


class Silenced:
    """The firing alerts of a webhook that are silenced at a time, for one channel after the other."""

    def __init__(self, configuration: Configuration, alerts: Mapping[int, Alert], at: datetime) -> None:
        """Look up the silences of each alert; the keys are its positions."""
        self._configuration = configuration
        silences = configuration.silences
        found = {
            position: silences.active(alert.labels, at)
            for position, alert in (alerts.items() if silences.silences else ())
            if alert.firing
        }
        self._found: dict[int, list[Silence]] = {at: silences for at, silences in found.items() if silences}
        self.held: set[int] = set()
        """The positions of alerts that any channel does not get now."""
        self.queued: set[int] = set()
        """Those that any channel gets, as far as any are silenced."""

    def sent(self, positions: Iterable[int]) -> None:
        """Record that a channel gets the alerts at positions."""
        if self._found:
            self.queued.update(positions)

    def for_channel(self, channel_id: str) -> dict[int, list[Silence]]:
        """The silences of the alerts that are not to be sent to a channel, by position."""
        if not self._found:
            return {}
        tenant_id = self._configuration.table.channels[channel_id].tenant_id
        governing = {
            position: [silence for silence in silences if governs(silence, channel_id, tenant_id)]
            for position, silences in self._found.items()
        }
        return {position: silences for position, silences in governing.items() if silences}
