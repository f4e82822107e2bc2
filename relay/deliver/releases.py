"""Releases: when a suppression ends, what it held back and still fires is queued to be sent."""

import asyncio
import contextlib
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime
from typing import Final

import structlog

from relay.deliver.screening import suppressing_at
from relay.deliver.silences import CurrentSilences
from relay.domain.suppression import ACKNOWLEDGED, SILENCE, Judged, Suppressing, suppressors_of
from relay.route.silences import SilenceTable
from relay.store.outbox import notified, releases, suppression
from relay.store.outbox.notified import Pair
from relay.store.outbox.releases import Handled, Held, Release
from relay.store.postgres.database import FAILED, Database, HeldConnection, error_message
from relay.store.postgres.statements import DriverConnection

INTERVAL: Final = 1.0
"""Seconds at most between looks for suppressions that have ended."""
RELEASE_TIMEOUT: Final = 30.0
"""Seconds for the groups that are released at once."""

log = structlog.get_logger(__name__)


class Releases:
    """Looks for suppressions that have ended; a lock in the database keeps the processes apart."""

    def __init__(self, database: Database, silences: CurrentSilences, wake: Callable[[set[str]], None]) -> None:
        """`wake` is called with the channels that got deliveries."""
        self._connection = HeldConnection(database, RELEASE_TIMEOUT, **suppression.SETTINGS)
        self._silences = silences
        self._wake = wake
        self._woken = asyncio.Event()

    def wake(self) -> None:
        """Look now: a suppression may have ended."""
        self._woken.set()

    async def run(self) -> None:
        """Run until canceled."""
        try:
            while True:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(INTERVAL):
                        await self._woken.wait()
                self._woken.clear()
                try:
                    await self._release()
                except FAILED as error:
                    log.warning("release_failed", error=error_message(error))
        finally:
            await self._connection.drop()

    async def _release(self) -> None:
        """Release all that is no longer suppressed, some groups at a time."""
        async with self._connection.use() as driver:
            table, ended = await self._ended(driver)
        while ended:
            async with self._connection.use() as driver, driver.transaction():
                held = await releases.lock_held(driver, ended)
                if not held:
                    return
                added, handled = await self._plan(driver, table, held)
                channel_ids = await releases.add(driver, ended, added, handled)
            log.info("suppression_ended", groups=len(added), suppressed=len(held))
            if channel_ids:
                self._wake(channel_ids)
            # It may have begun again meanwhile, such as the next window of a silence.
            resumed = {name for one in handled for name in one.suppressors}
            ended = [name for name in ended if name not in resumed]

    async def _ended(self, driver: DriverConnection) -> tuple[SilenceTable, list[str]]:
        """Return the silences of now, and the names of what holds deliveries back, and has ended."""
        names, version = await releases.holding(driver)
        now = self._silences.now()
        table = await self._silences.at(driver, version)
        alert_ids = [int(name.removeprefix(ACKNOWLEDGED)) for name in names if name.startswith(ACKNOWLEDGED)]
        holds = await releases.acknowledged(driver, alert_ids) if alert_ids else frozenset()
        ended = [f"{ACKNOWLEDGED}{alert_id}" for alert_id in alert_ids if alert_id not in holds]
        silences = [name.removeprefix(SILENCE) for name in names if name.startswith(SILENCE)]
        return table, ended + [SILENCE + at for at in silences if not table.is_active(at, now)]

    async def _plan(
        self, driver: DriverConnection, table: SilenceTable, held: Sequence[Held]
    ) -> tuple[list[Release], list[Handled]]:
        alerts, _ = await suppression.judged(driver, [one.id for one in held])
        suppressing = await suppressing_at(driver, table, alerts, self._silences.now())
        targets = {one.id: one.target for one in held}
        pairs = {Pair(targets[one.delivery_id], one.alert_id) for one in alerts if not one.resolved}
        delivered = await notified.firing(driver, pairs)
        return plan(held, alerts, suppressing, delivered)


def plan(
    held: Sequence[Held],
    alerts: Sequence[Judged],
    suppressing: Suppressing,
    delivered: Mapping[tuple[str, int], datetime | None],
) -> tuple[list[Release], list[Handled]]:
    """Decide what becomes of suppressed deliveries, which are all that groups hold back.

    All of a group and channel become one delivery if any of their alerts may be sent: those that fire, and that
    were not delivered since. Sending decides again which of them are suppressed.
    """
    of_delivery: dict[int, list[Judged]] = {}
    for alert in alerts:
        of_delivery.setdefault(alert.delivery_id, []).append(alert)
    groups: dict[tuple[str, int, str], list[Held]] = {}
    for one in held:
        groups.setdefault((one.channel_id, one.group_hash, one.target), []).append(one)
    added: list[Release] = []
    handled: list[Handled] = []
    for (channel_id, group_hash, target), members in groups.items():
        waiting = {
            alert.alert_id: suppressors_of(alert, suppressing)
            for one in members
            for alert in of_delivery.get(one.id, ())
            if not alert.resolved and not _was_delivered(delivered.get((target, alert.alert_id)), one.created_at)
        }
        names: Collection[str] = ()
        if any(not found for found in waiting.values()):
            last = max(members, key=lambda one: one.id)
            added.append(
                Release(
                    channel_id=target,
                    group_hash=group_hash,
                    receipt_id=last.receipt_id,
                    source=last.source,
                    rank=min(one.rank for one in members),
                    alert_ids=tuple(sorted(waiting)),
                    merged=tuple(one.id for one in members),
                )
            )
        else:
            names = dict.fromkeys(name for found in waiting.values() for name in found)
        handled += [Handled(channel_id, group_hash, one.id, tuple(names)) for one in members]
    return added, handled


def _was_delivered(at: datetime | None, since: datetime) -> bool:
    return at is not None and at >= since
