"""The configuration as a process that receives knows it."""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Final, TypeVar

import structlog

from relay.route.configuration import Configuration
from relay.route.silences import SilenceTable
from relay.route.table import RoutingTable
from relay.store.configuration import channels, filter_changes, silences
from relay.store.postgres.statements import DriverConnection
from relay.telemetry import Metrics

MANY: Final = 200
"""Channels, or silences, whose table is built in some tens of milliseconds, and changed in less than one."""

log = structlog.get_logger(__name__)
Table = TypeVar("Table")


class CurrentConfiguration:
    """The tables of channels and silences at one version of the configuration."""

    def __init__(self, tenant_label: str, metrics: Metrics) -> None:
        """Nothing is known."""
        self.known: Configuration | None = None
        self._tenant_label = tenant_label
        self._metrics = metrics
        self._loading = asyncio.Lock()

    def forget(self) -> None:
        """Read everything the next time."""
        self.known = None

    async def load(self, driver: DriverConnection, *, lock: bool = False) -> Configuration:
        """Read what has changed since the last time, or everything.

        With `lock`, the configuration does not change until the caller's transaction ends.
        """
        if lock:
            await filter_changes.lock_version(driver)
        async with self._loading:
            last = self.known
            table = await self._load_table(driver, None if last is None else last.table)
            silenced = await self._load_silences(driver, None if last is None else last.silences)
            while table.version != silenced.version:  # changed between the two
                if table.version < silenced.version:
                    table = await self._load_table(driver, table)
                else:
                    silenced = await self._load_silences(driver, silenced)
            if last is not None and last.table is table and last.silences is silenced:
                return last
            self.known = Configuration(table, silenced)
            self._metrics.config_version.set(table.version)
            return self.known

    async def _load_table(self, driver: DriverConnection, last: RoutingTable | None) -> RoutingTable:
        found = None if last is None else await filter_changes.load_changes(driver, last.version)
        if last is None or found is None:
            version, filters = await channels.load_filters(driver)
            table = await _build(len(filters), partial(RoutingTable, version, filters, self._tenant_label))
            invalid = table.invalid
        else:
            version, changes = found
            if version == last.version:
                return last
            table = await _build(len(last.channels), partial(last.changed, version, changes))
            invalid = {at: error for at, error in table.invalid.items() if at in changes}
        for channel_id, error in invalid.items():
            log.error("channel_not_routable", channel_id=channel_id, detail=error)
        return table

    async def _load_silences(self, driver: DriverConnection, last: SilenceTable | None) -> SilenceTable:
        found = None if last is None else await silences.load_changes(driver, last.version)
        if last is None or found is None:
            version, every = await silences.load(driver)
            return await _build(len(every), partial(SilenceTable, version, every))
        version, changes = found
        if version == last.version:
            return last
        return await _build(len(last.silences), partial(last.changed, version, changes))


async def _build(count: int, build: Callable[[], Table]) -> Table:
    return await asyncio.to_thread(build) if count > MANY else build()
