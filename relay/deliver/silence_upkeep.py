"""Upkeep of silences: end those that have nothing to silence any longer, and send reminders before an end."""

import asyncio
import time
from collections.abc import Callable, Collection
from datetime import UTC, datetime
from typing import Final

import structlog

from relay.domain.durations import parse_duration
from relay.domain.errors import NotFound
from relay.domain.principals import RELAY
from relay.domain.silence_reminders import end_of, is_due, reminder, reminder_hash
from relay.domain.silences import MAX_WAIT, Silence, has_expired
from relay.route.silences import SilenceTable
from relay.store.configuration import silence_upkeep, silences
from relay.store.configuration.silence_upkeep import Announced, Kept
from relay.store.postgres.database import FAILED, Database, HeldConnection, error_message
from relay.store.reports import silenced_alerts
from relay.store.reports.silenced_alerts import FIRST, FoundAlert

INTERVAL: Final = 5.0
"""Seconds between runs; more if a run takes long."""
MAX_SHARE: Final = 0.1
"""Of the time that runs may take."""
MAX_INTERVAL: Final = 60.0
AT_ONCE: Final = 100
"""Alerts that are matched before other tasks get a turn."""

log = structlog.get_logger(__name__)


class Matches:
    """Which alerts the silences of one run match."""

    def __init__(self, silences: Collection[Silence], counted: Collection[str]) -> None:
        """For the silences with the ids `counted` all alerts are counted; for the others one is enough."""
        self._table = SilenceTable(0, {silence.id: silence for silence in silences})
        self._counted = bool(counted)
        self._open = {silence.id for silence in silences}
        self.matched: set[str] = set()
        """Those that match an alert that fires, or that fired since the last run."""
        self.firing: dict[str, int] = {}
        self.names: dict[str, dict[str, None]] = {}

    @property
    def complete(self) -> bool:
        """Whether more alerts would change nothing."""
        return not self._counted and self._open <= self.firing.keys()

    def add(self, alert: FoundAlert) -> None:
        """Add an alert. A silence of a tenant matches only alerts of that tenant."""
        for silence in self._table.matching(alert.labels):
            if silence.tenant_id is None or silence.tenant_id == alert.tenant_id:
                self.matched.add(silence.id)
                if alert.ends_at is None:
                    self.firing[silence.id] = self.firing.get(silence.id, 0) + 1
                    self.names.setdefault(silence.id, {})[alert.alertname] = None


class SilenceUpkeep:
    """Runs every few seconds in each process that delivers; only one of them works at a time.

    What it does to a silence is decided again with the silence's row locked, also if two should work at once.
    """

    def __init__(self, database: Database, wake: Callable[[set[str]], None], tenant_label: str) -> None:
        """`wake` is called with the channels that are sent a reminder."""
        self._database = database
        self._connection = HeldConnection(database)
        self._wake = wake
        self._tenant_label = tenant_label
        self._newest: int | None = None
        """The id of the newest alert of the last run: one that has begun and ended since counts as matched."""

    async def run(self) -> None:
        """Run until canceled."""
        pause = INTERVAL
        try:
            while True:
                await asyncio.sleep(pause)
                started = time.monotonic()
                try:
                    await self.check(datetime.now(UTC))
                except FAILED as error:
                    log.warning("silence_upkeep_failed", error=error_message(error))
                pause = max(INTERVAL, min((time.monotonic() - started) / MAX_SHARE, MAX_INTERVAL))
        finally:
            await self._connection.drop()

    async def check(self, now: datetime) -> None:
        """Look after all silences once, unless another process does."""
        async with self._connection.use() as driver:
            if not await silence_upkeep.try_lock(driver):
                return
        try:
            await self._check(now)
        finally:
            async with self._connection.use() as driver:
                await silence_upkeep.unlock(driver)

    async def _check(self, now: datetime) -> None:
        async with self._connection.use() as driver:
            kept = await silence_upkeep.load(driver, now)
            _, newest = await silenced_alerts.bounds(driver)
        over = {one.silence.id for one in kept if has_expired(one.silence, now)}
        due = {one.silence.id: end for one in kept if (end := _due(one, now)) is not None}
        wanted = [one.silence for one in kept if _needs_match(one) or one.silence.id in due]
        matches = await self._matches(wanted, due)
        self._newest = newest
        if matches.matched:
            async with self._connection.use() as driver:
                await silence_upkeep.matched(driver, matches.matched, now)
        for one in kept:
            if one.silence.id in over or _ends(one, matches, now):
                await self._end(one.silence, now)
            elif one.silence.id in due and one.silence.id in matches.firing:
                await self._remind(one.silence, due[one.silence.id], matches, now)
        await self._resolve_reminders(now)

    async def _matches(self, wanted: Collection[Silence], counted: Collection[str]) -> Matches:
        matches = Matches(wanted, counted)
        before = FIRST
        while wanted and not matches.complete:
            async with self._connection.use() as driver:
                found = await silenced_alerts.unresolved(driver, {}, None, before)
            await _add(matches, found)
            if len(found) < silenced_alerts.PAGE:
                break
            before = found[-1].id
        if wanted and self._newest is not None:
            async with self._connection.use() as driver:
                await _add(matches, await silenced_alerts.ended_since(driver, self._newest))
        return matches

    async def _end(self, silence: Silence, now: datetime) -> None:
        """End a silence, unless it was changed meanwhile."""
        async with self._database.begin() as connection:
            try:
                current = (await silences.get(connection, silence.id, None, lock=True)).silence
            except NotFound:
                return
            if current == silence:
                await silences.close(connection, silence, now, RELAY)
                log.info("silence_ended", silence_id=silence.id)

    async def _remind(self, silence: Silence, ends_at: datetime, matches: Matches, now: datetime) -> None:
        message = reminder(
            silence, ends_at, now, matches.firing[silence.id], list(matches.names[silence.id]), self._tenant_label
        )
        async with self._connection.use() as driver:
            is_first, is_queued = await silence_upkeep.remind(driver, silence, ends_at, message, now)
        channel_id = silence.remind_channel_id
        if is_queued and channel_id is not None:
            log.info("silence_reminder_queued", silence_id=silence.id, channel_id=channel_id)
            self._wake({channel_id})
        elif is_first:
            log.warning("silence_reminder_without_channel", silence_id=silence.id, channel_id=channel_id)

    async def _resolve_reminders(self, now: datetime) -> None:
        async with self._connection.use() as driver:
            if over := await silence_upkeep.announced(driver):
                hashed = [Announced(silence_id, reminder_hash(silence_id, end)) for silence_id, end in over]
                await silence_upkeep.resolve(driver, hashed, now)


async def _add(matches: Matches, alerts: list[FoundAlert]) -> None:
    for at, alert in enumerate(alerts):
        if at % AT_ONCE == 0:
            await asyncio.sleep(0)
        matches.add(alert)


def _due(kept: Kept, now: datetime) -> datetime | None:
    """The end of which a reminder is due."""
    end = end_of(kept.silence, now)
    return end if end is not None and is_due(kept.silence, end, now) and kept.reminded_for != end else None


def _needs_match(kept: Kept) -> bool:
    return kept.silence.expire_when_resolved or kept.silence.expires_if_unmatched_for is not None


def _ends(kept: Kept, matches: Matches, now: datetime) -> bool:
    """Whether nothing that the silence matches fires any longer, or has not for as long as it says."""
    silence = kept.silence
    if silence.id in matches.firing:
        return False
    if silence.expire_when_resolved and (kept.matched_at is not None or silence.id in matches.matched):
        return True
    if silence.expires_if_unmatched_for is None or silence.id in matches.matched:
        return False
    wait = parse_duration("expires_if_unmatched_for", silence.expires_if_unmatched_for, MAX_WAIT)
    return max(silence.starts_at, kept.matched_at or silence.starts_at) + wait <= now
