"""Ingest: a batch of webhooks is written as a whole or not at all."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from typing import Any

from relay.domain.alertmanager import decode_webhook
from relay.domain.channel_types import Filters
from relay.receive.batch import Webhook, build_batch
from relay.route.table import RoutingTable
from relay.store.configuration import channels
from relay.store.outbox import ingest
from relay.store.outbox.ingest import IngestResult
from relay.store.postgres.statements import DriverConnection
from tests.fixtures.relays import alert, webhook

WINDOW = timedelta(minutes=1)


async def write(
    driver: DriverConnection, *bodies: dict[str, Any], version: int | None = None
) -> list[IngestResult] | None:
    """Write webhooks as the one writer of a process would."""
    known, filters = await channels.load_filters(driver)
    received = [json.dumps(body).encode() for body in bodies]
    webhooks = [Webhook(body, decode_webhook(body)) for body in received]
    now = datetime.now(UTC)
    batch = build_batch(webhooks, RoutingTable(known, filters, "tenant_id"), now)
    return await ingest.write(driver, version or known, now, WINDOW, batch.alerts, batch.webhooks)


async def count(driver: DriverConnection, table: str) -> int:
    found: int = await driver.fetchval(f"SELECT count(*) FROM {table}")
    return found


async def test_filters_are_read_with_their_version(driver: DriverConnection, ops: str) -> None:
    version, filters = await channels.load_filters(driver)

    assert filters == {ops: Filters()}
    await driver.execute("UPDATE channels SET updated_at = now()")
    assert (await channels.load_filters(driver))[0] == version + 1


async def test_on_an_older_configuration_nothing_is_written(driver: DriverConnection, ops: str) -> None:
    version, _ = await channels.load_filters(driver)

    assert await write(driver, webhook(), version=version - 1) is None

    for table in ("alerts", "group_states", "receipts", "deliveries"):
        assert await count(driver, table) == 0
    assert await driver.fetchval("SELECT next_due FROM lanes") is None
    assert await write(driver, webhook()) == [IngestResult(duplicate=False, late=0, notifications=1)]


async def test_a_batch_is_written_as_a_whole(driver: DriverConnection, ops: str) -> None:
    assert await write(driver, webhook(alert("A"), alert("B")), webhook(alert("A"), group="h")) == [
        IngestResult(duplicate=False, late=0, notifications=1),
        IngestResult(duplicate=False, late=0, notifications=1),
    ]

    assert [await count(driver, table) for table in ("alerts", "receipts", "deliveries")] == [2, 2, 2]
    assert await driver.fetchval("SELECT next_due <= now() FROM lanes")


async def test_the_same_alerts_in_opposite_orders_do_not_deadlock(
    driver: DriverConnection, other: DriverConnection, ops: str
) -> None:
    alerts = [alert(instance=str(at)) for at in range(200)]

    async def write_repeatedly(connection: DriverConnection, sent: list[dict[str, Any]], name: str) -> None:
        for at in range(15):
            groups = [webhook(*sent, group=f"{name}-{at}"), webhook(*sent[::-1], group=f"{name}-{at}-back")]
            assert await write(connection, *groups) is not None

    await asyncio.gather(write_repeatedly(driver, alerts, "one"), write_repeatedly(other, alerts[::-1], "two"))

    assert await count(driver, "alerts") == 200
    assert await count(driver, "receipts") == 60


async def test_group_states_too_old_for_a_duplicate_are_purged(driver: DriverConnection, ops: str) -> None:
    await write(driver, webhook(group="old"))
    await driver.execute("UPDATE group_states SET accepted_at = now() - interval '3 minutes'")
    await write(driver, webhook(group="new"))

    await ingest.purge_group_states(driver, WINDOW * 2)

    assert await count(driver, "group_states") == 1
    assert await write(driver, webhook(group="new")) == [IngestResult(duplicate=True, late=0, notifications=0)]
    assert await write(driver, webhook(group="old")) == [IngestResult(duplicate=False, late=0, notifications=1)]
