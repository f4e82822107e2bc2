"""Tests of the gauges that are read from the database, also while it is down."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from relay import gauges
from relay.store.postgres.database import Database, HeldConnection
from relay.telemetry import Metrics
from tests.fixtures.postgres import execute, sibling, temporary_database

DAY = 86_400.0


async def channel(
    database: Database, name: str, channel_type: str, *, enabled: bool = True, waiting: int = 0
) -> None:
    """Create a channel with deliveries that have waited for a minute."""
    config = json.dumps({"enabled": enabled})
    await run(
        database,
        f"""
        INSERT INTO channels (id, channel_type, config, sealed)
        VALUES ('{name}', '{channel_type}', '{config}', '')
        """,
        f"INSERT INTO lanes (channel_id) VALUES ('{name}') ON CONFLICT DO NOTHING",
        f"""
        INSERT INTO deliveries (receipt_id, channel_id, group_hash, rank, state, created_at, waiting_since)
        SELECT 1, '{name}', 1, 0, 'pending', now(), now() - interval '1 minute' FROM generate_series(1, {waiting})
        """,
    )


async def run(database: Database, *statements: str) -> None:
    async with database.begin() as connection:
        for statement in statements:
            await connection.exec_driver_sql(statement)


async def updated(database: Database, metrics: Metrics) -> Callable[..., float]:
    connection = HeldConnection(database)
    await gauges.update(connection, metrics, give_up_after=DAY)
    await connection.drop()
    return reader(metrics)


def reader(metrics: Metrics) -> Callable[..., float]:
    def read(name: str, channel_type: str | None = None, **labels: str) -> float:
        all_labels = labels if channel_type is None else {"channel_type": channel_type} | labels
        value = metrics.registry.get_sample_value(f"relay_{name}", all_labels)
        assert value is not None
        return value

    return read


@asynccontextmanager
async def running(database: Database, metrics: Metrics) -> AsyncIterator[None]:
    task = asyncio.create_task(gauges.run(database, metrics, give_up_after=DAY, interval=0.1))
    try:
        yield
        assert not task.done()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def wait_until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.02)


async def test_waiting_deliveries_are_summed_by_type_with_the_age_of_the_oldest(database: Database) -> None:
    await channel(database, "a", "slack", waiting=2)
    await channel(database, "b", "slack", waiting=3)
    await channel(database, "c", "teams")

    read = await updated(database, Metrics())

    assert read("deliveries_waiting", "slack") == 5
    assert 60 <= read("oldest_waiting_seconds", "slack") < 120
    assert read("deliveries_waiting", "teams") == read("oldest_waiting_seconds", "teams") == 0
    assert read("channels", "slack", state="healthy") == 2
    assert read("channels", "teams", state="healthy") == 1


async def test_deliveries_of_a_disabled_channel_are_held_and_do_not_age_the_queue(database: Database) -> None:
    await channel(database, "a", "slack", enabled=False, waiting=4)
    await channel(database, "b", "discord", enabled=False)
    await run(database, "UPDATE channels SET disabled_reason = '404: unknown webhook' WHERE id = 'b'")

    read = await updated(database, Metrics())

    assert read("deliveries_held", "slack") == 4
    assert read("deliveries_waiting", "slack") == read("oldest_waiting_seconds", "slack") == 0
    assert read("channels", "slack", state="disabled") == read("channels", "discord", state="disabled") == 1
    assert (read("channels_gone", "slack"), read("channels_gone", "discord")) == (0, 1)


async def test_gauges_return_to_zero(database: Database) -> None:
    metrics = Metrics()
    await channel(database, "a", "slack", waiting=2)
    await run(database, "UPDATE lanes SET failures = 3", "UPDATE deliveries SET state = 'dead'")
    read = await updated(database, metrics)
    assert (read("channels", "slack", state="failing"), read("dead_letters", "slack")) == (1, 2)

    await run(database, "DELETE FROM channels")
    await updated(database, metrics)

    assert (read("channels", "slack", state="failing"), read("dead_letters", "slack")) == (0, 0)


async def test_gauges_are_updated_periodically(database: Database) -> None:
    metrics = Metrics()
    read = reader(metrics)
    async with running(database, metrics):
        await channel(database, "a", "slack", waiting=1)
        await wait_until(lambda: read("deliveries_waiting", "slack") == 1)
        await run(database, "UPDATE deliveries SET state = 'delivered'")
        await wait_until(lambda: read("deliveries_waiting", "slack") == 0)


async def test_without_a_database_gauges_keep_their_values_until_it_returns(
    postgres_url: str, migrated_template: str
) -> None:
    metrics = Metrics()
    read = reader(metrics)
    name = "dropped_while_running"
    async with temporary_database(postgres_url, name, template=migrated_template):
        database = Database(sibling(postgres_url, name))
        await channel(database, "a", "slack", waiting=2)
        async with running(database, metrics):
            await wait_until(lambda: read("deliveries_waiting", "slack") == 2)

            await execute(postgres_url, f"DROP DATABASE {name} WITH (FORCE)")
            await wait_until(lambda: read("database_up") == 0)
            assert read("deliveries_waiting", "slack") == 2

            await execute(postgres_url, f"CREATE DATABASE {name} TEMPLATE {migrated_template}")
            await wait_until(lambda: read("database_up") == 1 and read("deliveries_waiting", "slack") == 0)
        await database.close()


@pytest.mark.slow
async def test_a_locked_table_only_delays_updates(database: Database) -> None:
    metrics = Metrics()
    read = reader(metrics)
    await channel(database, "a", "slack", waiting=2)
    async with database.engine.connect() as connection, running(database, metrics):
        await wait_until(lambda: read("deliveries_waiting", "slack") == 2)

        await connection.exec_driver_sql("LOCK TABLE channels IN ACCESS EXCLUSIVE MODE")
        await wait_until(lambda: read("database_up") == 0)
        await connection.rollback()

        await wait_until(lambda: read("database_up") == 1)
