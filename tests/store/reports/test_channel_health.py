"""The health of a channel, from its tallies, its lane and its pending deliveries."""

import pytest

from relay.domain.errors import NotFound
from relay.domain.health import ChannelHealth, ChannelState, latency_bucket
from relay.store.postgres.database import Database
from relay.store.postgres.statements import DriverConnection
from relay.store.reports import channel_health


async def tally(
    driver: DriverConnection, outcome: str, count: int, *, seconds: float = 0.1, minutes_ago: int = 1
) -> None:
    """Add attempts of `ops` to the tallies, in periods of five minutes."""
    await driver.execute(
        """
        INSERT INTO tallies (channel_id, period, outcome, bucket, attempts)
        SELECT 'ops', date_bin('5 minutes', now() - make_interval(mins => $1), 'epoch'), $2, $3, $4
        """,
        *(minutes_ago, outcome, latency_bucket(seconds), count),
    )


async def insert(driver: DriverConnection, count: int, state: str = "pending", minutes: int = 0) -> None:
    """Insert deliveries of `ops` that became pending some minutes ago."""
    await driver.execute(
        """
        INSERT INTO deliveries (receipt_id, channel_id, state, group_hash, rank, created_at, waiting_since)
        SELECT 1, 'ops', $2, 0, 0, now(), now() - make_interval(mins => $3) FROM generate_series(1, $1::int)
        """,
        *(count, state, minutes),
    )


async def read(database: Database) -> ChannelHealth:
    async with database.begin() as connection:
        return await channel_health.of_channel(connection, "ops", None)


async def test_rates_cover_the_last_hour_and_the_last_day(
    database: Database, driver: DriverConnection, ops: str
) -> None:
    await tally(driver, "sent", 3)
    await tally(driver, "retry", 1)
    await tally(driver, "rejected", 6, minutes_ago=120)
    await tally(driver, "sent", 1000, minutes_ago=25 * 60)

    health = await read(database)

    assert (health.success_rate_1h, health.success_rate_24h) == (0.75, 0.3)


async def test_latencies_cover_only_the_successes_of_the_last_hour(
    database: Database, driver: DriverConnection, ops: str
) -> None:
    await tally(driver, "sent", 90, seconds=0.2)
    await tally(driver, "sent", 10, seconds=3.0)
    await tally(driver, "retry", 500, seconds=15.0)
    await tally(driver, "sent", 500, seconds=15.0, minutes_ago=120)

    health = await read(database)

    assert health.latency_p50 == pytest.approx(0.2, rel=0.12)
    assert health.latency_p95 == pytest.approx(3.0, rel=0.12)


async def test_a_channel_without_attempts_has_neither_rates_nor_latencies(database: Database, ops: str) -> None:
    health = await read(database)

    assert health.state is ChannelState.HEALTHY
    assert (health.success_rate_1h, health.success_rate_24h, health.latency_p50, health.latency_p95) == (None,) * 4


async def test_a_day_without_success_has_a_rate_and_no_latency(
    database: Database, driver: DriverConnection, ops: str
) -> None:
    await tally(driver, "retry", 4)

    health = await read(database)

    assert (health.state, health.success_rate_1h, health.latency_p50) == (ChannelState.FAILING, 0.0, None)


async def test_pending_deliveries_are_counted_with_the_time_of_the_oldest(
    database: Database, driver: DriverConnection, ops: str
) -> None:
    await insert(driver, 3)
    await insert(driver, 1, "sending", minutes=4)
    await insert(driver, 5, "dead", minutes=60)

    health = await read(database)

    assert (health.state, health.waiting) == (ChannelState.HEALTHY, 4)
    oldest = await driver.fetchval("SELECT min(waiting_since) FROM deliveries WHERE state = 'sending'")
    assert health.oldest_waiting == oldest


async def test_the_state_is_the_worst_that_applies(database: Database, driver: DriverConnection, ops: str) -> None:
    async def state() -> str:
        return (await read(database)).state.value

    await tally(driver, "sent", 1)
    assert await state() == "healthy"
    await insert(driver, 1, minutes=6)
    assert await state() == "degraded"
    await driver.execute("UPDATE lanes SET failures = 3")
    assert await state() == "failing"
    await driver.execute("UPDATE lanes SET opened_at = now()")
    assert await state() == "open"
    await driver.execute("""UPDATE channels SET config = config || '{"enabled": false}'""")
    assert await state() == "disabled"


async def test_a_hold_in_the_past_is_not_shown(database: Database, driver: DriverConnection, ops: str) -> None:
    await driver.execute("UPDATE lanes SET held_until = now() - interval '1 second'")
    assert (await read(database)).held_until is None

    await driver.execute("UPDATE lanes SET held_until = now() + interval '1 hour'")
    assert (await read(database)).held_until is not None


async def test_a_channel_without_a_lane_has_a_state(
    database: Database, driver: DriverConnection, ops: str
) -> None:
    await driver.execute("DELETE FROM lanes")

    assert (await read(database)).state is ChannelState.HEALTHY


async def test_many_channels_take_two_statements(database: Database, driver: DriverConnection, ops: str) -> None:
    await driver.execute(
        "INSERT INTO channels (id, channel_type, config, sealed)"
        " SELECT 'c' || n, channel_type, config, sealed FROM channels, generate_series(1, 99) AS n"
    )
    await tally(driver, "sent", 1)
    ids = [row["id"] for row in await driver.fetch("SELECT id FROM channels")]

    async with database.begin() as connection:
        health = await channel_health.of_channels(connection, [*ids, "gone"], None)

    assert len(health) == 100
    assert {name for name, one in health.items() if one.success_rate_1h == 1.0} == {"ops"}


async def test_an_unknown_channel_is_not_found(database: Database) -> None:
    async with database.begin() as connection:
        with pytest.raises(NotFound, match="'gone'"):
            await channel_health.of_channel(connection, "gone", None)
