"""Deliveries that are moved to the fallback channel."""

from relay.store.outbox import overdue
from relay.store.postgres.statements import DriverConnection
from tests.store.makers import queue


async def channel(
    driver: DriverConnection, channel_id: str, fallback: str | None = None, *, enabled: bool = True
) -> None:
    """Create a channel with a lane, whose circuit breaker has been open for an hour."""
    await driver.execute(
        """
        INSERT INTO channels (id, channel_type, config, sealed)
        VALUES ($1, 'webhook', jsonb_build_object('enabled', $2::boolean, 'fallback_channel_id', $3::text), '')
        """,
        channel_id,
        enabled,
        fallback,
    )
    await driver.execute(
        "INSERT INTO lanes (channel_id, opened_at) VALUES ($1, now() - interval '1 hour')", channel_id
    )


async def test_the_number_of_deliveries_moved_at_once_is_limited_over_all_channels(
    driver: DriverConnection,
) -> None:
    await channel(driver, "spare")
    for name in ("a", "b", "c"):
        await channel(driver, name, "spare")
        await queue(driver, name, *range(1, overdue.MOVED_AT_ONCE * 2 // 3))

    moved = [len(await overdue.fall_back(driver, 60)) for _ in range(3)]

    assert moved == [overdue.MOVED_AT_ONCE, 3 * (overdue.MOVED_AT_ONCE * 2 // 3 - 1) - overdue.MOVED_AT_ONCE, 0]


async def test_a_fallback_that_a_person_disabled_gets_nothing(driver: DriverConnection) -> None:
    await channel(driver, "spare", enabled=False)
    await channel(driver, "first", "spare")
    await queue(driver, "first", 1)

    assert await overdue.fall_back(driver, 60) == []

    await driver.execute("UPDATE channels SET config = config || '{\"enabled\": true}' WHERE id = 'spare'")
    assert [moved.fallback for moved in await overdue.fall_back(driver, 60)] == ["spare"]


async def test_a_fallback_that_the_relay_disabled_gets_deliveries_for_its_own_fallback(
    driver: DriverConnection,
) -> None:
    await channel(driver, "last")
    await channel(driver, "spare", "last", enabled=False)
    await channel(driver, "first", "spare")
    await driver.execute("UPDATE channels SET disabled_reason = '404' WHERE id = 'spare'")
    await queue(driver, "first", 1)

    assert [moved.fallback for moved in await overdue.fall_back(driver, 60)] == ["spare"]
