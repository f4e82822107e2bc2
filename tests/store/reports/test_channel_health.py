"""Is a channel's health told from its tallies, its lane and what waits for it?"""

from typing import Any

import pytest

from relay.domain.errors import NotFound
from relay.domain.health import ChannelHealth, ChannelState, latency_bucket
from relay.store.postgres.database import Database
from relay.store.reports import channel_health


async def tally(driver: Any, outcome: str, count: int, *, seconds: float = 0.1, minutes_ago: int = 1) -> None:
    """Count attempts of `ops`, as the delivery does: in periods of five minutes."""
    await driver.execute(
        """
        INSERT INTO tallies (channel_id, period, outcome, bucket, attempts)
        SELECT 'ops', date_bin('5 minutes', now() - make_interval(mins => $1), 'epoch'), $2, $3, $4
        """,
        *(minutes_ago, outcome, latency_bucket(seconds), count),
    )


async def wait(driver: Any, count: int, state: str = "pending", minutes: int = 0) -> None:
    """Deliveries of `ops` that have been waiting for some minutes."""
    await driver.execute(
        """
        INSERT INTO deliveries (receipt_id, channel_id, state, group_hash, rank, created_at, waiting_since)
        SELECT 1, 'ops', $2, 0, 0, now(), now() - make_interval(mins => $3) FROM generate_series(1, $1::int)
        """,
        *(count, state, minutes),
    )


async def found(database: Database) -> ChannelHealth:
    async with database.begin() as connection:
        return await channel_health.of_channel(connection, "ops")


async def test_rates_are_of_the_last_hour_and_the_last_day(database: Database, driver: Any, ops: str) -> None:
    await tally(driver, "sent", 3)
    await tally(driver, "retry", 1)
    await tally(driver, "rejected", 6, minutes_ago=120)
    await tally(driver, "sent", 1000, minutes_ago=25 * 60)

    shown = await found(database)

    assert (shown.success_rate_1h, shown.success_rate_24h) == (0.75, 0.3)


async def test_latencies_are_of_the_last_hours_successes_alone(database: Database, driver: Any, ops: str) -> None:
    await tally(driver, "sent", 90, seconds=0.2)
    await tally(driver, "sent", 10, seconds=3.0)
    await tally(driver, "retry", 500, seconds=15.0)
    await tally(driver, "sent", 500, seconds=15.0, minutes_ago=120)

    shown = await found(database)

    assert shown.latency_p50 == pytest.approx(0.2, rel=0.12)
    assert shown.latency_p95 == pytest.approx(3.0, rel=0.12)


async def test_what_was_never_tried_has_neither_rates_nor_latencies(database: Database, ops: str) -> None:
    shown = await found(database)

    assert shown.state is ChannelState.HEALTHY
    assert (shown.success_rate_1h, shown.success_rate_24h, shown.latency_p50, shown.latency_p95) == (None,) * 4


async def test_a_day_without_success_has_a_rate_and_no_latency(database: Database, driver: Any, ops: str) -> None:
    await tally(driver, "retry", 4)

    shown = await found(database)

    assert (shown.state, shown.success_rate_1h, shown.latency_p50) == (ChannelState.FAILING, 0.0, None)


async def test_what_waits_is_counted_since_its_oldest(database: Database, driver: Any, ops: str) -> None:
    await wait(driver, 3)
    await wait(driver, 1, "sending", minutes=4)
    await wait(driver, 5, "dead", minutes=60)

    shown = await found(database)

    assert (shown.state, shown.waiting) == (ChannelState.HEALTHY, 4)
    oldest = await driver.fetchval("SELECT min(waiting_since) FROM deliveries WHERE state = 'sending'")
    assert shown.oldest_waiting == oldest


async def test_the_state_is_the_worst_that_is_seen(database: Database, driver: Any, ops: str) -> None:
    async def state() -> str:
        return (await found(database)).state.value

    await tally(driver, "sent", 1)
    assert await state() == "healthy"
    await wait(driver, 1, minutes=6)
    assert await state() == "degraded"
    await driver.execute("UPDATE lanes SET failures = 3")
    assert await state() == "failing"
    await driver.execute("UPDATE lanes SET opened_at = now()")
    assert await state() == "open"
    await driver.execute("""UPDATE channels SET config = config || '{"enabled": false}'""")
    assert await state() == "disabled"


async def test_a_hold_that_is_over_is_not_shown(database: Database, driver: Any, ops: str) -> None:
    await driver.execute("UPDATE lanes SET held_until = now() - interval '1 second'")
    assert (await found(database)).held_until is None

    await driver.execute("UPDATE lanes SET held_until = now() + interval '1 hour'")
    assert (await found(database)).held_until is not None


async def test_a_channel_without_a_lane_is_told_all_the_same(database: Database, driver: Any, ops: str) -> None:
    await driver.execute("DELETE FROM lanes")

    assert (await found(database)).state is ChannelState.HEALTHY


async def test_many_channels_take_two_statements(database: Database, driver: Any, ops: str) -> None:
    await driver.execute(
        "INSERT INTO channels (id, channel_type, config, sealed)"
        " SELECT 'c' || n, channel_type, config, sealed FROM channels, generate_series(1, 99) AS n"
    )
    await tally(driver, "sent", 1)
    ids = [row["id"] for row in await driver.fetch("SELECT id FROM channels")]

    async with database.begin() as connection:
        shown = await channel_health.of_channels(connection, [*ids, "gone"])

    assert len(shown) == 100
    assert {name for name, one in shown.items() if one.success_rate_1h == 1.0} == {"ops"}


async def test_what_is_not_there_is_not_found(database: Database) -> None:
    async with database.begin() as connection:
        with pytest.raises(NotFound, match="'gone'"):
            await channel_health.of_channel(connection, "gone")
