"""Screening: what is suppressed is held back of deliveries when they are claimed, and before a digest."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Final, TypeVar

import msgspec

from relay.deliver.batcher import Batcher
from relay.deliver.silences import CurrentSilences
from relay.domain.history import Kind
from relay.domain.silences import Silence
from relay.domain.suppression import (
    Judged,
    Suppressing,
    Withheld,
    by_suppressor,
    doubtful,
    reason_of,
    withhold,
)
from relay.route.silences import SilenceTable
from relay.store.outbox import notified, suppression
from relay.store.outbox.claims import Claimed
from relay.store.outbox.notified import Pair
from relay.store.outbox.suppression import Change, Part, Waiting
from relay.store.postgres.database import Database, HeldConnection
from relay.store.postgres.statements import DriverConnection
from relay.telemetry import Metrics

MAX_LANES_AT_ONCE: Final = 64
"""Lanes that share a statement."""
SCREEN_TIMEOUT: Final = 30.0
"""Seconds to screen a digest of very many groups."""

Item = TypeVar("Item")
Key = TypeVar("Key")


class Screening:
    """Decides what of deliveries is suppressed at this moment, and stores it as suppressed."""

    def __init__(self, database: Database, silences: CurrentSilences, metrics: Metrics) -> None:
        """Nothing is read yet."""
        self._connection = HeldConnection(database, SCREEN_TIMEOUT, **suppression.SETTINGS)
        # What waits for a digest, and the digest, may be many groups: others do not wait for them.
        self._digest_connection = HeldConnection(database, SCREEN_TIMEOUT, **suppression.SETTINGS)
        self._batcher: Batcher[Sequence[Claimed], list[Claimed]] = Batcher(self._screen, MAX_LANES_AT_ONCE)
        self._silences = silences
        self._metrics = metrics

    async def run(self) -> None:
        """Serve `screen` until canceled."""
        await self._batcher.run()

    async def drop(self) -> None:
        """Discard the connections."""
        await self._connection.drop()
        await self._digest_connection.drop()

    async def screen(self, claimed: Sequence[Claimed]) -> list[Claimed]:
        """Hold back what is suppressed of claimed deliveries; return those of which anything is left."""
        return await self._batcher.submit(claimed)

    async def screen_digest(self, claimed: Sequence[Claimed]) -> list[Claimed]:
        """The same for a digest."""
        async with self._digest_connection.use() as driver:
            if await suppression.is_quiet(driver):
                return list(claimed)
            withheld, suppressed = await self._hold(driver, claimed, frozenset())
        return [left for digest in claimed for left in self._left(digest, withheld, suppressed)]

    async def _screen(self, requests: Sequence[Sequence[Claimed]]) -> list[list[Claimed]]:
        claimed = [delivery for request in requests for delivery in request]
        refreshes = {delivery.id for delivery in claimed if delivery.kind is Kind.REFRESH}
        async with self._connection.use() as driver:
            withheld, suppressed = await self._hold(driver, claimed, refreshes)
        return [
            [left for delivery in request for left in self._left(delivery, withheld, suppressed)]
            for request in requests
        ]

    @staticmethod
    def _left(delivery: Claimed, withheld: Mapping[int, set[int]], suppressed: Collection[int]) -> list[Claimed]:
        """What is left of a delivery, if anything."""
        if delivery.id in suppressed:
            return []
        if delivery.id not in withheld:
            return [delivery]
        return [msgspec.structs.replace(delivery, withheld=(*delivery.withheld, *withheld[delivery.id]))]

    async def screen_waiting(self, channel_id: str) -> int:
        """Hold back what is suppressed of a channel's pending deliveries; return how many are suppressed now.

        Nothing of the channel may be claimed meanwhile.
        """
        count, last = 0, None
        async with self._digest_connection.use() as driver:
            if await suppression.is_quiet(driver):
                return 0
            while found := await suppression.waiting(driver, channel_id, last):
                last = found[-1]
                count += len((await self._hold(driver, found, frozenset()))[1])
        return count

    async def _hold(
        self, driver: DriverConnection, deliveries: Sequence[Claimed | Waiting], refreshes: Collection[int]
    ) -> tuple[dict[int, set[int]], set[int]]:
        """Return the alerts that are left out of each delivery, and the deliveries of which nothing is left."""
        alerts, version = await suppression.judged(driver, [delivery.id for delivery in deliveries])
        table = await self._silences.at(driver, version)
        suppressing = await suppressing_at(driver, table, alerts, self._silences.now())
        doubts = doubtful(alerts, suppressing)
        pairs = {Pair(channel, one.alert_id) for one in doubts for channel in (one.channel_id, *one.via)}
        firing = await notified.firing(driver, pairs, [delivery.id for delivery in deliveries])
        held = _by(withhold(alerts, suppressing, firing), lambda one: one.alert.delivery_id)
        if not held:
            return {}, set()
        contained = _by(alerts, lambda one: one.delivery_id)
        changes: list[Change] = []
        parts: list[Part] = []
        for delivery in deliveries:
            if delivery.id in held and delivery.id not in refreshes:
                whole = len(held[delivery.id]) == len(contained[delivery.id])
                changes.append(change_of(delivery, held[delivery.id], whole=whole))
                if delivery.kind is Kind.DIGEST or not whole:
                    parts += parts_of(delivery, held[delivery.id])
        if changes:
            await suppression.hold(driver, table.version, changes, parts)
            self._count(one for change in changes for one in held[change.delivery_id])
        withheld = {at: {one.alert.alert_id for one in found} for at, found in held.items()}
        return withheld, {change.delivery_id for change in changes if change.whole}

    def _count(self, withheld: Iterable[Withheld]) -> None:
        for one in withheld:
            self._metrics.notifications_suppressed.labels(reason_of(one.suppressors[0])).inc()


async def suppressing_at(
    driver: DriverConnection, table: SilenceTable, alerts: Sequence[Judged], now: datetime
) -> Suppressing:
    """The silences of a table that are active at a time, as a function of labels and a channel."""
    channel_ids = {at for alert in alerts for at in (alert.channel_id, *alert.via)}
    tenants: Mapping[str, str | None] = {}
    if table.silences:
        tenants = await suppression.tenants_of(driver, channel_ids)

    def suppressing(labels: Mapping[str, str], channel_id: str) -> list[Silence]:
        return table.suppressing(labels, channel_id, tenants.get(channel_id), now)

    return suppressing


def change_of(delivery: Claimed | Waiting, held: Sequence[Withheld], *, whole: bool) -> Change:
    """The change of a delivery of which alerts are held back; the groups of a digest are held separately."""
    is_digest = delivery.kind is Kind.DIGEST
    return Change(
        delivery_id=delivery.id,
        attempt=delivery.attempt,
        whole=whole,
        is_held=not is_digest and any(one.firing for one in held),
        alert_ids=() if is_digest and whole else tuple(sorted({one.alert.alert_id for one in held})),
        suppressed_by=by_suppressor(held),
    )


def parts_of(delivery: Claimed | Waiting, held: Sequence[Withheld]) -> list[Part]:
    """The deliveries for what is held back of another one, of each group and for each channel it was meant for."""
    return [
        Part(
            delivery_id=delivery.id,
            receipt_id=max(one.alert.receipt_id for one in of_group),
            group_hash=group_hash,
            source=of_group[0].alert.source,
            fallback_of=in_place_of or None,
            is_held=any(one.firing for one in of_group),
            alert_ids=tuple(sorted({one.alert.alert_id for one in of_group})),
            suppressed_by=by_suppressor(of_group),
        )
        for (group_hash, in_place_of), of_group in _by(
            held, lambda one: (one.alert.group_hash, one.alert.in_place_of or 0)
        ).items()
    ]


def _by(items: Iterable[Item], key: Callable[[Item], Key]) -> dict[Key, list[Item]]:
    found: dict[Key, list[Item]] = {}
    for item in items:
        found.setdefault(key(item), []).append(item)
    return found
