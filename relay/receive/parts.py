"""The commit of a large webhook: one transaction that decides and writes a part of its alerts at a time.

What is in memory, and how long anything waits, depend on the size of a part, and not on that of the webhook. The
parts are in the order in which rows of series are locked everywhere.
"""

import asyncio
from array import array
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Final

import msgspec

from relay.domain import repeats
from relay.domain.repeats import GroupState
from relay.receive.batch import Batch, State
from relay.receive.incoming import Incoming, series_keys
from relay.receive.rows import Placed, unmatched
from relay.route.configuration import Configuration
from relay.store.outbox import ingest, routing_marks
from relay.store.outbox.ingest_rows import BatchRows, SeriesKey, StoredState
from relay.store.postgres.statements import DriverConnection

PART_ALERTS: Final = 1_000
MAX_PART_ALERTS: Final = 4 * PART_ALERTS

NOWHERE: Final = Placed(0, delivered=False, late=False)

Load = Callable[[DriverConnection, int], Awaitable[Configuration]]
"""Load the configuration after so many attempts with one that was outdated."""


class Conflict(Exception):
    """What a commit builds on has changed; it has to begin again."""


class LargeWebhook:
    """One webhook with many alerts."""

    def __init__(self, incoming: Incoming, driver: DriverConnection, window: timedelta) -> None:
        """Nothing is read or written yet."""
        self._incoming, self._driver, self._window = incoming, driver, window
        self._parts = parts_of(incoming.keys)

    async def commit(self, configuration: Configuration, load: Load) -> Batch:
        """Decide and write the webhook; it is durable when this returns.

        `load` is called when the configuration is no longer this one.

        Raises:
            Conflict: what it builds on has changed meanwhile; nothing was written.
        """
        incoming = self._incoming
        async with self._driver.transaction():
            stored = await ingest.load(self._driver, [incoming.group_hash], [], 0, 1)
            group = State(stored, self._window).group_of(incoming.group_hash)
            repeated = repeats.repeated_receipt(group, incoming.report, self._window)
            changes, adopted = True, False
            if repeated is not None or incoming.webhook.source:
                changes, adopted = await self._survey()
            if repeated is not None and not changes:
                return await self._commit_duplicate(group, repeated)
            [receipt_id] = stored.receipt_ids
            placed = await self._place(receipt_id, adopted=adopted)
            outdated = 0
            while True:
                routes = await self._route(configuration)
                state = self._state_of(group)
                decision = await asyncio.to_thread(
                    state.record_accepted,
                    incoming,
                    state.group_of(incoming.group_hash),
                    receipt_id,
                    placed,
                    routes,
                    configuration,
                    adopted=adopted,
                )
                batch = Batch(state.rows(), (decision,))
                if await ingest.write(self._driver, configuration.version, batch.rows) is not None:
                    await self._mark_routed(placed, routes)
                    return batch
                version, outdated = configuration.version, outdated + 1
                configuration = await load(self._driver, outdated)
                if configuration.version == version:
                    raise Conflict

    async def _survey(self) -> tuple[bool, bool]:
        """Whether the webhook changes an occurrence, and whether it adopts any or has adopted ones."""
        changes = adopted = False
        for positions in self._parts:
            part, stored = await self._load(positions)

            def survey(part: Incoming = part, stored: StoredState = stored) -> tuple[bool, bool]:
                state = State(stored, self._window)  # changed by `adopt`, and not written
                return state.changes(part), state.adopt(part)

            changed, adopts = await asyncio.to_thread(survey)
            changes, adopted = changes or changed, adopted or adopts
        return changes, adopted

    async def _commit_duplicate(self, group: GroupState, repeated: int) -> Batch:
        for positions in self._parts:
            part, stored = await self._load(positions)

            def observe(part: Incoming = part, stored: StoredState = stored) -> BatchRows:
                state = State(stored, self._window)
                if state.changes(part):  # since the survey
                    raise Conflict
                state.observe(part)
                return state.rows()

            await self._write(await asyncio.to_thread(observe))
        state = self._state_of(group)
        decision = state.record_duplicate(self._incoming, state.group_of(group.group_hash), repeated)
        batch = Batch(state.rows(), (decision,))
        await self._write(batch.rows)
        return batch

    async def _place(self, receipt_id: int, *, adopted: bool) -> list[Placed]:
        """Place and write all alerts; return where, in the order of the body."""
        placed = [NOWHERE] * len(self._incoming.keys)
        adopts = False
        for positions in self._parts:
            part, stored = await self._load(positions)

            def place(part: Incoming = part, stored: StoredState = stored) -> tuple[bool, list[Placed], BatchRows]:
                state = State(stored, self._window)
                adopts = state.adopt(part)
                return adopts, state.place(part, receipt_id, adopted=adopted), state.rows()

            adopts_any, part_placed, rows = await asyncio.to_thread(place)
            await self._write(rows)
            adopts = adopts or adopts_any
            for position, one in zip(positions, part_placed, strict=True):
                placed[position] = one
        if adopts is not adopted:  # since the survey
            raise Conflict
        return placed

    async def _route(self, configuration: Configuration) -> dict[str, Sequence[int] | None]:
        """The positions of the alerts that each channel matches, None for all; see `RoutingTable.route`."""
        group = self._incoming.webhook.group
        total = len(group.alerts)
        matched: dict[str, array[int]] = {}
        for start in range(0, total, PART_ALERTS):
            alerts = group.alerts[start : start + PART_ALERTS]
            part = msgspec.structs.replace(group, alerts=alerts)
            routes = await asyncio.to_thread(configuration.table.route, part, self._incoming.webhook.source)
            for channel_id, positions in routes.items():
                found = range(len(alerts)) if positions is None else positions
                matched.setdefault(channel_id, array("I")).extend([start + at for at in found])
        return {
            channel_id: None if len(positions) == total else positions for channel_id, positions in matched.items()
        }

    async def _mark_routed(self, placed: Sequence[Placed], routes: Mapping[str, Sequence[int] | None]) -> None:
        """Write which alerts matched a channel; the parts were written before that was known."""
        unrouted = [placed[position].alert_id for position in unmatched(routes, len(placed))]
        routed = {one.alert_id for one in placed}.difference(unrouted)
        await routing_marks.mark(self._driver, routed, unrouted, self._incoming.webhook.received_at)

    async def _load(self, positions: Sequence[int]) -> tuple[Incoming, StoredState]:
        part = self._incoming.part(positions)
        alerts = len(part.keys) + len(part.keys_without_source)
        return part, await ingest.load(self._driver, [], series_keys([part]), alerts, 0)

    async def _write(self, rows: BatchRows) -> None:
        if await ingest.write(self._driver, None, rows) is None:
            raise Conflict

    def _state_of(self, group: GroupState) -> State:
        """The state of the group alone, which may be decided again."""
        return State(StoredState([msgspec.structs.replace(group)], [], [], []), self._window)


def parts_of(keys: Sequence[SeriesKey]) -> list[Sequence[int]]:
    """The positions of keys in parts, ordered by identity; those of one series are in their order."""
    by_identity: list[list[int]] = [[] for _ in range(256)]
    for position, key in enumerate(keys):
        by_identity[key.identity[0]].append(position)
    return list(_merged(by_identity))


def _merged(buckets: Sequence[list[int]]) -> Iterator[Sequence[int]]:
    part: list[int] = []
    for bucket in buckets:
        part += bucket
        if len(part) >= PART_ALERTS:
            # Only alerts of a few series are cut: identities are hashes.
            yield from (part[at : at + MAX_PART_ALERTS] for at in range(0, len(part), MAX_PART_ALERTS))
            part = []
    if part:
        yield part
