"""The silences as a process that delivers knows them."""

import asyncio
from collections.abc import Callable
from datetime import datetime

from relay.route.silences import SilenceTable
from relay.store.configuration import silences
from relay.store.postgres.statements import DriverConnection


class CurrentSilences:
    """The table of all silences, read again when the configuration has changed."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        """Nothing is read yet. `now` is the clock by which silences are active."""
        self.now = now
        self._table: SilenceTable | None = None
        self._loading = asyncio.Lock()

    async def at(self, connection: DriverConnection, version: int) -> SilenceTable:
        """Return the silences as of a version of the configuration, or a later one."""
        async with self._loading:
            last = self._table
            if last is not None and last.version >= version:
                return last
            found = None if last is None else await silences.load_changes(connection, last.version)
            if last is None or found is None:
                current, every = await silences.load(connection)
                self._table = await asyncio.to_thread(SilenceTable, current, every)
            else:
                current, changes = found
                self._table = last.changed(current, changes)
            return self._table
