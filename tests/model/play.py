"""Plays histories into the relay's writer, on a clock that the histories set, and reads what it stored."""

import asyncio
import itertools
import json
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from sqlalchemy import text

from relay.domain.alertmanager import decode_webhook
from relay.domain.channel_types import WebhookChannel
from relay.domain.identity import Sender
from relay.receive.writer import Writer
from relay.store.configuration import channels
from relay.store.postgres.database import Database
from relay.telemetry import Metrics
from tests.fixtures.callers import ANYONE
from tests.model.webhooks import ALERTS, History, Report, Webhook
from tests.store.makers import SEAL

WINDOW: Final = 60.5
"""RELAY_REPEAT_AFTER. Not a whole number, because webhooks of one second arrive some microseconds apart."""
START: Final = datetime(2026, 11, 25, 10, 0, tzinfo=UTC)
WRITERS: Final = 2
TURNS: Final = (0, 0, 1, 0, 1, 1, 1)
"""Which of the writers gets a batch, in rotation: each also meets what the other one has stored."""
FILTERED: Final = "x"
"""The value of the label that the second channel filters by."""
_NAMES: Final = {identity: name for name, identity in ALERTS.items()}


@dataclass
class Outcome:
    """What the relay did with one webhook. `delivered` has the positions for each channel."""

    received_at: float
    """Seconds of the history, to the microsecond: webhooks of one second are received one after the other."""
    duplicate: bool
    occurrences: tuple[int, ...] = ()
    late: tuple[int, ...] = ()
    delivered: dict[str, tuple[int, ...]] = field(default_factory=dict)
    delivery_ids: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Stored:
    """An occurrence, with times in seconds of the history."""

    id: int
    start: float
    end: float | None
    end_reason: str | None
    open: bool


@dataclass
class Played:
    """All that the relay did with a history."""

    outcomes: list[Outcome] = field(default_factory=list)
    occurrences: dict[tuple[str, str], list[Stored]] = field(default_factory=lambda: defaultdict(list))


class Player:
    """Writers on one database, as of two replicas. Each history has a tenant and group keys of its own."""

    def __init__(self, database: Database) -> None:
        """Use a migrated database."""
        self._database = database
        self._now = START
        self._count = 0
        self._batches = 0
        self._writers = [
            Writer(
                database, "tenant_id", timedelta(seconds=WINDOW), 1e9, Metrics(), lambda _: None, lambda: self._now
            )
            for _ in range(WRITERS)
        ]

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Player"]:
        """Create the channels and run the writer."""
        filters: dict[str, tuple[str, ...]] = {"all": (), "filtered": (f'series="{FILTERED}"',)}
        for channel_id, matchers in filters.items():
            channel = WebhookChannel(
                id=channel_id, name=channel_id, webhook_url="https://example.com/x", matchers=matchers
            )
            async with self._database.begin() as connection:
                await channels.add(connection, channel, SEAL, ANYONE)
        tasks = [asyncio.create_task(writer.run()) for writer in self._writers]
        try:
            yield self
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def play(self, histories: Sequence[History], batches: Sequence[int]) -> list[Played]:
        """Play histories at the same time, in the order of their webhooks' arrival.

        `batches` are, in rotation, how many webhooks are submitted together; the writer commits them together.
        """
        tenants = [f"t{self._count + number}" for number in range(len(histories))]
        self._count += len(histories)
        played = [Played() for _ in histories]
        arrivals = [(number, webhook) for number, history in enumerate(histories) for webhook in history.webhooks]
        arrivals.sort(key=lambda arrival: arrival[1].at)
        start, sizes, first = self._now, itertools.cycle(batches), 0
        writers = itertools.cycle([self._writers[at] for at in TURNS])
        while first < len(arrivals):
            batch = arrivals[first : first + next(sizes)]
            first += len(batch)
            writer = next(writers)
            results = await self._submit_all(
                writer, [(tenants[number], webhook) for number, webhook in batch], start
            )
            for (number, _), outcome in zip(batch, results, strict=True):
                played[number].outcomes.append(outcome)
        await self._read(dict(zip(tenants, played, strict=True)), start)
        self._now += timedelta(hours=1)
        return played

    async def _submit_all(
        self, writer: Writer, batch: Sequence[tuple[str, Webhook]], start: datetime
    ) -> list[Outcome]:
        """Submit webhooks. Every other time half of them arrive while the others are committed."""
        self._batches += 1
        tasks = []
        for number, (tenant, webhook) in enumerate(batch):
            if self._batches % 2 and number == len(batch) // 2:
                await asyncio.sleep(0.001)
            tasks.append(asyncio.create_task(self._submit(writer, tenant, webhook, start)))
        return await asyncio.gather(*tasks)

    async def _submit(self, writer: Writer, tenant: str, webhook: Webhook, start: datetime) -> Outcome:
        body = json.dumps(body_of(tenant, webhook, start)).encode()
        sender = Sender(webhook.sender.external_url, webhook.sender.address)
        # The writer reads its clock before it waits. No two webhooks are received at the same time by any writer.
        self._now = max(start + timedelta(seconds=webhook.at), self._now + timedelta(microseconds=1))
        received_at = _seconds(self._now, start)
        result = await writer.submit(body, decode_webhook(body), sender, webhook.source)
        return Outcome(received_at, result.duplicate)

    async def _read(self, played: Mapping[str, Played], start: datetime) -> None:
        tenants = list(played)
        receipts, occurrences = await self._rows(RECEIPTS, tenants), await self._rows(OCCURRENCES, tenants)
        accepted = {
            tenant: iter([one for one in one_played.outcomes if not one.duplicate])
            for tenant, one_played in played.items()
        }
        by_receipt = {}
        for row in receipts:
            outcome = by_receipt[row.id] = next(accepted[row.tenant])
            outcome.occurrences, outcome.late = tuple(row.alert_ids), tuple(row.late)
        for row in await self._rows(DELIVERIES, tenants):
            outcome = by_receipt[row.receipt_id]
            everything = range(len(outcome.occurrences))
            outcome.delivered[row.channel_id] = tuple(everything if row.positions is None else row.positions)
            outcome.delivery_ids[row.channel_id] = row.id
        for row in occurrences:
            is_open = row.end_reason is None
            end = None if row.ends_at is None or is_open else _seconds(row.ends_at, start)
            stored = Stored(
                row.id, _seconds(row.starts_at, start), end, row.end_reason, row.id == row.open_alert_id
            )
            played[row.tenant_id].occurrences[row.source, _NAMES[row.fingerprint, row.series]].append(stored)

    async def _rows(self, statement: str, tenants: list[str]) -> Sequence[Any]:
        async with self._database.begin() as connection:
            return (await connection.execute(text(statement), {"tenants": tenants})).all()


RECEIPTS: Final = """
SELECT id, split_part(group_key, '/', 1) AS tenant, alert_ids, late FROM receipts
WHERE split_part(group_key, '/', 1) = ANY (:tenants) ORDER BY received_at, id
"""
DELIVERIES: Final = """
SELECT d.id, d.receipt_id, d.channel_id, d.positions FROM deliveries d JOIN receipts r ON r.id = d.receipt_id
WHERE split_part(r.group_key, '/', 1) = ANY (:tenants) ORDER BY d.id
"""
OCCURRENCES: Final = """
SELECT a.id, a.starts_at, a.ends_at, a.end_reason, a.fingerprint, s.tenant_id, s.source, s.open_alert_id,
  s.labels ->> 'series' AS series
FROM alerts a JOIN series s ON s.id = a.series_id WHERE s.tenant_id = ANY (:tenants)
"""


def body_of(tenant: str, webhook: Webhook, start: datetime) -> dict[str, Any]:
    """A webhook's body. `start` is the time of second 0 of the history."""
    return {
        "version": "4",
        "groupKey": f"{tenant}/{webhook.group}",
        "receiver": "relay",
        "externalURL": webhook.sender.external_url,
        "alerts": [_alert(tenant, report, start) for report in webhook.reports],
    }


def _alert(tenant: str, report: Report, start: datetime) -> dict[str, Any]:
    fingerprint, series = ALERTS[report.alert]
    ends_at = "0001-01-01T00:00:00Z" if report.ends_at is None else _time(report.ends_at, start)
    return {
        "status": "firing" if report.firing else "resolved",
        "labels": {"series": series, "tenant_id": tenant},
        "annotations": {},
        "startsAt": _time(report.starts_at, start),
        "endsAt": ends_at,
        "generatorURL": "",
        "fingerprint": fingerprint,
    }


def _time(seconds: int, start: datetime) -> str:
    return (start + timedelta(seconds=seconds)).isoformat()


def _seconds(moment: datetime, start: datetime) -> float:
    return round((moment - start).total_seconds(), 6)
