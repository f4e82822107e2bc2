"""Webhooks are stored, and routed by the current configuration, however often that changes."""

import asyncio
import itertools
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from structlog.testing import capture_logs

from relay.domain.alertmanager import decode_webhook
from relay.domain.channel_types import Filters, WebhookChannel
from relay.domain.identity import Sender
from relay.receive.committer import COMMIT_SETTINGS, MAX_OUTDATED, Committer
from relay.receive.incoming import Incoming, Webhook, derive
from relay.store.configuration import channels
from relay.store.configuration.seal import Seal
from relay.store.outbox import ingest
from relay.store.postgres.database import STATEMENT_TIMEOUT, Database, HeldConnection
from relay.telemetry import Metrics
from tests.fixtures.callers import ANYONE
from tests.fixtures.relays import SECRET_KEY, Relay, RelayFactory, alert, webhook

SEAL = Seal(SECRET_KEY)
NAMES = 40
"""The channel accepts the alerts of one name after the other."""
PER_SECOND = 200
SECONDS = 4.0
CONNECTIONS = 4
MANY_CHANNELS = """
    INSERT INTO channels (id, channel_type, config, sealed)
    SELECT 'other-' || n, 'webhook',
      jsonb_build_object('name', 'Other', 'enabled', true, 'tenant_id', 't', 'matchers', ARRAY['x=~a' || n]), ''
    FROM generate_series(1, 1000) AS n
"""


@dataclass
class History:
    """When each configuration began to be committed, and when it had been."""

    began: list[float] = field(default_factory=list)
    ended: dict[int, float] = field(default_factory=dict)

    def possible(self, since: float, until: float) -> set[int]:
        """The configurations that may have been current at some time in an interval."""
        return {
            at
            for at, began in enumerate(self.began)
            if began <= until and self.ended.get(at + 1, float("inf")) >= since
        }


async def change_continuously(database: Database, history: History) -> None:
    """Change the channel as often as possible, up to 200 times a second, on several connections."""
    started, numbers = time.monotonic(), itertools.count(1)

    async def change() -> None:
        while True:
            await asyncio.sleep(max(0.0, started + len(history.began) / PER_SECOND - time.monotonic()))
            async with database.begin() as connection:
                before = await channels.get(connection, "ops", SEAL, None, lock=True)
                at = next(numbers)
                after = msgspec.structs.replace(before, alert_names=(name(at),))
                await channels.change(connection, before, after, SEAL, ANYONE)
                history.began.append(time.monotonic())
            history.ended[at] = time.monotonic()

    async with asyncio.TaskGroup() as tasks:
        for _ in range(CONNECTIONS):
            tasks.create_task(change())


@asynccontextmanager
async def changing(database_url: str, others: str = "") -> AsyncIterator[History]:
    """A channel that another process changes all the time."""
    database = Database(database_url)
    channel = WebhookChannel(id="ops", name="Ops", webhook_url="https://example.com/x", alert_names=(name(0),))
    async with database.begin() as connection:
        await channels.add(connection, channel, SEAL, ANYONE)
        if others:
            await connection.exec_driver_sql(others)
    history = History([time.monotonic()])
    task = asyncio.create_task(change_continuously(database, history))
    try:
        yield history
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await database.close()


def name(at: int) -> str:
    return f"A{at % NAMES}"


def body(number: int, count: int = NAMES) -> dict[str, Any]:
    """A webhook with an alert of each name, which no other webhook has."""
    alerts = (alert(name(at), webhook=str(number), number=str(at)) for at in range(count))
    return webhook(*alerts, group=str(number))


async def accepted(relay: Relay) -> dict[int, set[int]]:
    """The names, by number, whose alerts each webhook delivers to the channel."""
    statement = """
        SELECT r.body, d.positions FROM receipts r LEFT JOIN deliveries d
        ON d.receipt_id = r.id AND d.channel_id = 'ops'
    """
    async with relay.services.database.begin() as connection:
        rows = (await connection.exec_driver_sql(statement)).all()
    return {
        int(json.loads(row.body)["groupLabels"]["group"]): {at % NAMES for at in row.positions or ()}
        for row in rows
    }


@pytest.mark.slow
@pytest.mark.parametrize("others", ["", MANY_CHANNELS], ids=["alone", "among_many"])
async def test_webhooks_are_routed_by_the_current_configuration_while_it_changes_continuously(
    start_relay: RelayFactory, database_url: str, others: str
) -> None:
    relay = await start_relay(deliver=False)
    times: dict[int, tuple[float, float]] = {}
    numbers = itertools.count()

    async def post_continuously(until: float) -> None:
        while (since := time.monotonic()) < until:
            number = next(numbers)
            response = await relay.webhook(body(number))
            assert (response.status, response.json.get("notifications")) == (202, 1)
            times[number] = (since, time.monotonic())

    async with changing(database_url, others) as history:
        await asyncio.gather(*(post_continuously(time.monotonic() + SECONDS) for _ in range(8)))

    found = await accepted(relay)
    assert len(found) == len(times) > 20
    assert len(history.ended) > 20
    for number, (since, until) in times.items():
        [routed] = found[number]
        assert routed in {at % NAMES for at in history.possible(since, until)}


@pytest.mark.slow
async def test_a_large_webhook_is_stored_while_the_configuration_changes_continuously(
    start_relay: RelayFactory, database_url: str
) -> None:
    relay = await start_relay(deliver=False)

    async with changing(database_url) as history:
        for number in range(2):
            since = time.monotonic()
            response = await relay.webhook(body(number, count=6_000))
            until = time.monotonic()
            assert (response.status, response.json["notifications"]) == (202, 1)
            [routed] = (await accepted(relay))[number]
            assert routed in {at % NAMES for at in history.possible(since, until)}


@pytest.fixture
async def committer(database: Database) -> AsyncIterator[Committer]:
    """What a process knows that has loaded a channel."""
    await make(database, "ops")
    made = Committer(database, "tenant_id", timedelta(minutes=1), Metrics())
    await made.load()
    yield made
    await made.drop()


async def make(database: Database, channel_id: str, **fields: Any) -> None:
    channel = WebhookChannel(id=channel_id, name=channel_id, webhook_url="https://example.com/x", **fields)
    async with database.begin() as connection:
        await channels.add(connection, channel, SEAL, ANYONE)


async def test_a_change_of_another_process_is_loaded_alone(
    database: Database, committer: Committer, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded = (await committer.load()).table
    monkeypatch.setattr(channels, "load_filters", None)
    await make(database, "critical", severities=("critical",))

    table = (await committer.load()).table

    assert (table.version, set(table.channels)) == (loaded.version + 1, {"ops", "critical"})
    assert table.channels["ops"] is loaded.channels["ops"]
    assert (await committer.load()).table is table
    async with database.begin() as connection:
        await channels.remove(connection, "ops", ANYONE)
    assert set((await committer.load()).table.channels) == {"critical"}


async def test_a_change_that_is_not_recorded_is_loaded_with_everything(
    database: Database, committer: Committer
) -> None:
    loaded = (await committer.load()).table
    async with database.begin() as connection:
        await connection.exec_driver_sql('UPDATE channels SET config = config || \'{"source": "eu"}\'')

    table = (await committer.load()).table

    assert table.channels == {"ops": Filters(source="eu")}
    assert table.version == loaded.version + 1


async def test_only_an_invalid_channel_that_changed_is_reported(database: Database, committer: Committer) -> None:
    with capture_logs() as logs:
        await make(database, "invalid", matchers=("a",))
        await committer.load()
        await make(database, "valid")
        await committer.load()

    assert [entry["channel_id"] for entry in logs] == ["invalid"]


async def test_after_some_attempts_a_commit_locks_the_configuration(
    database: Database, committer: Committer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every time when a commit has read the state, the configuration changes."""
    changes: list[asyncio.Task[None]] = []
    load = ingest.load

    async def load_and_change(driver: Any, *arguments: Any) -> Any:
        changes.append(asyncio.create_task(make(database, f"c{len(changes)}")))
        await asyncio.wait(changes, timeout=0.5 if driver.is_in_transaction() else None)
        return await load(driver, *arguments)

    monkeypatch.setattr(ingest, "load", load_and_change)
    held = HeldConnection(database, STATEMENT_TIMEOUT, **COMMIT_SETTINGS)
    batch = await committer.commit([incoming()], held)
    await asyncio.gather(*changes)
    await held.drop()

    assert len(changes) == MAX_OUTDATED + 1
    assert batch.decisions[0].channel_ids == ("ops", "c0", "c1", "c2")


def incoming() -> Incoming:
    encoded = json.dumps(webhook()).encode()
    received = Webhook(
        body=encoded,
        group=decode_webhook(encoded),
        sender=Sender("http://am", "a"),
        received_at=datetime.now(UTC),
    )
    return derive(received, "tenant_id")
