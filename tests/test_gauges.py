"""Does a process show what waits in the database, and what of it when the database is away?"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from relay import gauges
from relay.store.postgres.database import Database, HeldConnection
from relay.telemetry import Metrics
from tests.fixtures.postgres import execute, sibling, temporary_database

DAY = 86_400.0


async def channel(database: Database, name: str, kind: str, *, enabled: bool = True, waiting: int = 0) -> None:
    """A channel with deliveries that wait since a minute."""
    config = json.dumps({"enabled": enabled})
    await run(
        database,
        f"INSERT INTO channels (id, channel_type, config, sealed) VALUES ('{name}', '{kind}', '{config}', '')",
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


async def sampled(database: Database, metrics: Metrics) -> Callable[..., float]:
    connection = HeldConnection(database)
    await gauges.update(connection, metrics, give_up_after=DAY)
    await connection.drop()
    return reader(metrics)


def reader(metrics: Metrics) -> Callable[..., float]:
    def read(name: str, kind: str | None = None, **labels: str) -> float:
        given = labels if kind is None else {"channel_type": kind} | labels
        value = metrics.registry.get_sample_value(f"relay_{name}", given)
        assert value is not None
        return value

    return read


@asynccontextmanager
async def watching(database: Database, metrics: Metrics) -> AsyncIterator[None]:
    task = asyncio.create_task(gauges.run(database, metrics, give_up_after=DAY, interval=0.1))
    try:
        yield
        assert not task.done()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not holds():
            await asyncio.sleep(0.02)


async def test_what_waits_is_added_up_by_type_and_the_oldest_counts(database: Database) -> None:
    await channel(database, "a", "slack", waiting=2)
    await channel(database, "b", "slack", waiting=3)
    await channel(database, "c", "teams")

    read = await sampled(database, Metrics())

    assert read("deliveries_waiting", "slack") == 5
    assert 60 <= read("oldest_waiting_seconds", "slack") < 120
    assert read("deliveries_waiting", "teams") == read("oldest_waiting_seconds", "teams") == 0
    assert read("channels", "slack", state="healthy") == 2
    assert read("channels", "teams", state="healthy") == 1


async def test_what_waits_for_a_disabled_channel_is_held_and_makes_no_queue_old(database: Database) -> None:
    await channel(database, "a", "slack", enabled=False, waiting=4)
    await channel(database, "b", "discord", enabled=False)
    await run(database, "UPDATE channels SET disabled_reason = '404: unknown webhook' WHERE id = 'b'")

    read = await sampled(database, Metrics())

    assert read("deliveries_held", "slack") == 4
    assert read("deliveries_waiting", "slack") == read("oldest_waiting_seconds", "slack") == 0
    assert read("channels", "slack", state="disabled") == read("channels", "discord", state="disabled") == 1
    assert (read("channels_gone", "slack"), read("channels_gone", "discord")) == (0, 1)


async def test_what_is_over_goes_back_to_zero(database: Database) -> None:
    metrics = Metrics()
    await channel(database, "a", "slack", waiting=2)
    await run(database, "UPDATE lanes SET failures = 3", "UPDATE deliveries SET state = 'dead'")
    read = await sampled(database, metrics)
    assert (read("channels", "slack", state="failing"), read("dead_letters", "slack")) == (1, 2)

    await run(database, "DELETE FROM channels")
    await sampled(database, metrics)

    assert (read("channels", "slack", state="failing"), read("dead_letters", "slack")) == (0, 0)


async def test_the_numbers_stay_fresh(database: Database) -> None:
    metrics = Metrics()
    read = reader(metrics)
    async with watching(database, metrics):
        await channel(database, "a", "slack", waiting=1)
        await until(lambda: read("deliveries_waiting", "slack") == 1)
        await run(database, "UPDATE deliveries SET state = 'delivered'")
        await until(lambda: read("deliveries_waiting", "slack") == 0)


async def test_without_its_database_it_says_so_keeps_the_last_numbers_and_goes_on(
    postgres_url: str, migrated_template: str
) -> None:
    metrics = Metrics()
    read = reader(metrics)
    name = "dropped_under_watch"
    async with temporary_database(postgres_url, name, template=migrated_template):
        database = Database(sibling(postgres_url, name))
        await channel(database, "a", "slack", waiting=2)
        async with watching(database, metrics):
            await until(lambda: read("deliveries_waiting", "slack") == 2)

            await execute(postgres_url, f"DROP DATABASE {name} WITH (FORCE)")
            await until(lambda: read("database_up") == 0)
            assert read("deliveries_waiting", "slack") == 2

            await execute(postgres_url, f"CREATE DATABASE {name} TEMPLATE {migrated_template}")
            await until(lambda: read("database_up") == 1 and read("deliveries_waiting", "slack") == 0)
        await database.close()


async def test_a_table_that_is_locked_costs_samples_and_nothing_else(database: Database) -> None:
    metrics = Metrics()
    read = reader(metrics)
    await channel(database, "a", "slack", waiting=2)
    async with database.engine.connect() as connection, watching(database, metrics):
        await until(lambda: read("deliveries_waiting", "slack") == 2)

        await connection.exec_driver_sql("LOCK TABLE channels IN ACCESS EXCLUSIVE MODE")
        await until(lambda: read("database_up") == 0)
        await connection.rollback()

        await until(lambda: read("database_up") == 1)
