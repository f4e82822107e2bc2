"""Ingest: a batch of webhooks is written as a whole or not at all."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest

from relay.domain.alertmanager import decode_webhook
from relay.domain.channel_types import Filters
from relay.domain.identity import Sender
from relay.receive.batch import Batch, decide
from relay.receive.incoming import Incoming, Webhook, derive, series_keys
from relay.route.configuration import Configuration
from relay.route.silences import SilenceTable
from relay.route.table import RoutingTable
from relay.store.configuration import channels
from relay.store.outbox import aging, ingest
from relay.store.postgres.statements import DriverConnection
from tests.fixtures.relays import alert, webhook

WINDOW = timedelta(minutes=1)
ANSWER = tuple[bool, int]


def receive(*bodies: dict[str, Any], sender: str = "A", source: str = "") -> list[Incoming]:
    encoded = [json.dumps(body).encode() for body in bodies]
    return [
        derive(
            Webhook(
                body=body,
                group=decode_webhook(body),
                sender=Sender("http://am", sender),
                received_at=datetime.now(UTC),
                source=source,
            ),
            "tenant_id",
        )
        for body in encoded
    ]


async def decided(driver: DriverConnection, incoming: list[Incoming]) -> tuple[int, Batch]:
    """Read what is stored, and decide."""
    version, filters = await channels.load_filters(driver)
    keys, groups = series_keys(incoming), sorted({one.group_hash for one in incoming})
    alerts = sum(len(one.keys) + len(one.keys_without_source) for one in incoming)
    stored = await ingest.load(driver, groups, keys, alerts, len(incoming))
    return version, decide(
        incoming,
        stored,
        Configuration(RoutingTable(version, filters, "tenant_id"), SilenceTable(version, {})),
        WINDOW,
    )


async def write(driver: DriverConnection, *bodies: dict[str, Any], sender: str = "A") -> list[ANSWER] | None:
    """Write webhooks in one batch; return whether each is a duplicate, and its deliveries."""
    version, batch = await decided(driver, receive(*bodies, sender=sender))
    if await ingest.write(driver, version, batch.rows) is None:
        return None
    return [(decision.duplicate, len(decision.channel_ids)) for decision in batch.decisions]


async def write_again(driver: DriverConnection, *bodies: dict[str, Any], sender: str) -> list[ANSWER]:
    """Write webhooks as the writer of a process does: decide again when another process was faster."""
    while True:
        try:
            if (answers := await write(driver, *bodies, sender=sender)) is not None:
                return answers
        except (asyncpg.UniqueViolationError, asyncpg.DeadlockDetectedError):
            continue


async def count(driver: DriverConnection, table: str) -> int:
    found: int = await driver.fetchval(f"SELECT count(*) FROM {table}")
    return found


async def test_filters_are_read_with_their_version(driver: DriverConnection, ops: str) -> None:
    version, filters = await channels.load_filters(driver)

    assert filters == {ops: Filters()}
    await driver.execute("UPDATE channels SET updated_at = now()")
    assert (await channels.load_filters(driver))[0] == version + 1


TABLES = ("series", "alerts", "group_states", "receipts", "deliveries", "senders")


async def test_on_an_older_configuration_nothing_is_written(driver: DriverConnection, ops: str) -> None:
    version, batch = await decided(driver, receive(webhook()))

    assert await ingest.write(driver, version - 1, batch.rows) is None

    assert [await count(driver, table) for table in TABLES] == [0] * 6
    assert await driver.fetchval("SELECT next_due FROM lanes") is None
    assert await write(driver, webhook()) == [(False, 1)]


async def test_a_batch_is_written_as_a_whole(driver: DriverConnection, ops: str) -> None:
    assert await write(driver, webhook(alert("A"), alert("B")), webhook(alert("A"), group="h")) == [(False, 1)] * 2

    assert [await count(driver, table) for table in TABLES] == [2, 2, 2, 2, 2, 1]
    assert await driver.fetchval("SELECT next_due <= now() FROM lanes")


async def test_what_another_process_has_added_undoes_the_whole_batch(
    driver: DriverConnection, other: DriverConnection, ops: str
) -> None:
    version, batch = await decided(driver, receive(webhook(alert("A"), alert("B"))))
    await write(other, webhook(alert("B"), group="h"))

    assert await ingest.write(driver, version, batch.rows) is None

    assert [await count(driver, table) for table in TABLES] == [1, 1, 1, 1, 1, 1]


async def test_what_another_process_has_changed_undoes_the_whole_batch(
    driver: DriverConnection, other: DriverConnection, ops: str
) -> None:
    await write(driver, webhook(alert("A")))
    version, batch = await decided(driver, receive(webhook(alert("A", "resolved"), alert("B"))))
    await write(other, webhook(alert("A", "resolved"), group="h"))
    before = [await count(driver, table) for table in TABLES]

    assert await ingest.write(driver, version, batch.rows) is None

    assert [await count(driver, table) for table in TABLES] == before


async def test_a_write_waits_for_another_one_of_the_same_series(
    driver: DriverConnection, other: DriverConnection, ops: str
) -> None:
    await write(driver, webhook(alert("A")))
    version, batch = await decided(driver, receive(webhook(alert("A", "resolved"))))
    await other.execute("BEGIN")
    await write(other, webhook(alert("A", "resolved"), group="h"), sender="B")

    waiting = asyncio.create_task(ingest.write(driver, version, batch.rows))
    await asyncio.sleep(0.2)
    assert not waiting.done()
    await other.execute("COMMIT")

    assert await waiting is None


async def test_two_processes_that_race_for_one_series_open_one_occurrence(
    driver: DriverConnection, other: DriverConnection, ops: str
) -> None:
    async def play(connection: DriverConnection, sender: str) -> list[ANSWER]:
        answers = []
        for number in range(40):
            status = "resolved" if number % 2 else "firing"
            # A group of its own for each, so that every webhook is new and only the series is shared.
            body = webhook(alert("A", status), group=f"{sender}-{number}")
            answers += await write_again(connection, body, sender=sender)
        return answers

    both = await asyncio.gather(play(driver, "A"), play(other, "B"))

    assert [len(answers) for answers in both] == [40, 40]
    assert await count(driver, "series") == 1
    assert await driver.fetchval("SELECT count(*) FROM alerts WHERE status = 'firing'") <= 1
    open_alert = "SELECT id FROM alerts WHERE status = 'firing'"
    assert await driver.fetchval("SELECT open_alert_id FROM series") == await driver.fetchval(open_alert)
    assert await driver.fetchval("SELECT version FROM series") == 80


async def test_the_same_group_through_two_processes_is_accepted_once(
    driver: DriverConnection, other: DriverConnection, ops: str
) -> None:
    async def play(connection: DriverConnection, sender: str) -> list[ANSWER]:
        answers = []
        for number in range(30):
            answers += await write_again(connection, webhook(group=str(number)), sender=sender)
        return answers

    one, two = await asyncio.gather(play(driver, "A"), play(other, "B"))

    assert sorted([*one, *two]) == [(False, 1)] * 30 + [(True, 0)] * 30
    assert await driver.fetchval("SELECT sum(count) FROM repeats") == 30


@pytest.mark.parametrize("rounds", [4, pytest.param(15, marks=pytest.mark.slow)])
async def test_the_same_alerts_in_opposite_orders_do_not_deadlock(
    driver: DriverConnection, other: DriverConnection, ops: str, rounds: int
) -> None:
    alerts = [alert(instance=str(at)) for at in range(200)]

    async def write_repeatedly(connection: DriverConnection, sent: list[dict[str, Any]], name: str) -> None:
        for at in range(rounds):
            groups = [webhook(*sent, group=f"{name}-{at}"), webhook(*sent[::-1], group=f"{name}-{at}-back")]
            await write_again(connection, *groups, sender=name)

    await asyncio.gather(write_repeatedly(driver, alerts, "one"), write_repeatedly(other, alerts[::-1], "two"))

    assert await count(driver, "alerts") == 200
    assert await count(driver, "receipts") == 4 * rounds


async def test_group_states_that_are_too_old_are_purged(driver: DriverConnection, ops: str) -> None:
    await write(driver, webhook(group="old"))
    await driver.execute("UPDATE group_states SET updated_at = now() - interval '3 minutes'")
    await write(driver, webhook(group="new"))

    await aging.purge_group_states(driver, datetime.now(UTC), WINDOW * 2)

    assert await count(driver, "group_states") == 1
    assert await write(driver, webhook(group="new")) == [(True, 0)]
    assert await write(driver, webhook(group="old")) == [(False, 1)]


async def test_a_sender_is_stored_with_the_minute_when_it_was_last_seen(driver: DriverConnection) -> None:
    await write(driver, webhook(group="one"))
    await write(driver, webhook(group="two"))
    seen = "SELECT source, external_url, address, first_seen_at = last_seen_at FROM senders"
    [row] = await driver.fetch(seen)
    assert list(row.values()) == ["", "http://am", "A", True]

    await driver.execute(
        "UPDATE senders SET last_seen_at = now() - interval '2 minutes', first_seen_at = now() - interval '1 hour'"
    )
    await write(driver, webhook(group="three"))
    assert await driver.fetchval("SELECT last_seen_at > now() - interval '10 seconds' FROM senders")


async def test_an_alert_without_a_report_becomes_stale_and_a_report_makes_it_firing_again(
    driver: DriverConnection,
) -> None:
    async def statuses() -> list[str]:
        return [row["status"] for row in await driver.fetch("SELECT status FROM alerts ORDER BY id")]

    await write(driver, webhook(alert("A"), alert("B", "resolved")))
    later = datetime.now(UTC) + timedelta(hours=26)

    assert await aging.mark_stale(driver, later - timedelta(hours=2), 90_000.0) == 0
    assert await aging.mark_stale(driver, later, 90_000.0) == 1
    assert await statuses() == ["stale", "resolved"]
    await write(driver, webhook(alert("A")))
    assert await statuses() == ["firing", "resolved"]


async def test_a_source_may_have_its_own_time_until_an_alert_is_stale(driver: DriverConnection) -> None:
    version, batch = await decided(driver, receive(webhook(), source="eu"))
    await ingest.write(driver, version, batch.rows)
    await driver.execute("INSERT INTO sources (name, stale_after) VALUES ('eu', 60)")

    assert await aging.mark_stale(driver, datetime.now(UTC) + timedelta(minutes=2), 90_000.0) == 1
