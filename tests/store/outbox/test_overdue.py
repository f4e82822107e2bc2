"""What goes to the fallback channel, how much of it at once, and what stays where it is?"""

from typing import Any

from relay.store.outbox import overdue
from tests.store.makers import queue


async def channel(driver: Any, channel_id: str, fallback: str | None = None, *, enabled: bool = True) -> None:
    """A channel with its lane; its circuit breaker is open since an hour."""
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


async def test_so_many_move_at_once_over_all_channels(driver: Any) -> None:
    await channel(driver, "spare")
    for name in ("a", "b", "c"):
        await channel(driver, name, "spare")
        await queue(driver, name, *range(1, overdue.MOVED_AT_ONCE * 2 // 3))

    moved = [len(await overdue.fall_back(driver, 60)) for _ in range(3)]

    assert moved == [overdue.MOVED_AT_ONCE, 3 * (overdue.MOVED_AT_ONCE * 2 // 3 - 1) - overdue.MOVED_AT_ONCE, 0]


async def test_nothing_goes_to_a_fallback_that_people_disabled(driver: Any) -> None:
    await channel(driver, "spare", enabled=False)
    await channel(driver, "first", "spare")
    await queue(driver, "first", 1)

    assert await overdue.fall_back(driver, 60) == []

    await driver.execute("UPDATE channels SET config = config || '{\"enabled\": true}' WHERE id = 'spare'")
    assert [one.fallback for one in await overdue.fall_back(driver, 60)] == ["spare"]


async def test_what_is_gone_passes_on_what_comes_to_it(driver: Any) -> None:
    await channel(driver, "last")
    await channel(driver, "spare", "last", enabled=False)
    await channel(driver, "first", "spare")
    await driver.execute("UPDATE channels SET disabled_reason = '404' WHERE id = 'spare'")
    await queue(driver, "first", 1)

    assert [one.fallback for one in await overdue.fall_back(driver, 60)] == ["spare"]
