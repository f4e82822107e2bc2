"""The backlog: pending deliveries, channel states and dead letters, and the cost of reading them."""

import json
from collections.abc import Sequence
from typing import Any

import pytest

from relay.domain.health import ChannelState
from relay.store.postgres.statements import DriverConnection, Statement
from relay.store.reports import backlog
from relay.store.reports.backlog import ChannelBacklog

DAY = 86_400.0


async def channel(
    driver: DriverConnection, name: str = "ops", channel_type: str = "webhook", *, enabled: bool = True
) -> None:
    await driver.execute(
        "INSERT INTO channels (id, channel_type, config, sealed) VALUES ($1, $2, $3::text::jsonb, '')",
        name,
        channel_type,
        json.dumps({"enabled": enabled}),
    )
    await driver.execute("INSERT INTO lanes (channel_id) VALUES ($1) ON CONFLICT DO NOTHING", name)


async def deliveries(
    driver: DriverConnection,
    states: Sequence[str],
    age: float = 0.0,
    reason: str | None = None,
    channel_id: str = "ops",
) -> None:
    """Insert a delivery for each state, which became pending `age` seconds ago."""
    await driver.execute(
        """
        INSERT INTO deliveries (
          receipt_id, channel_id, group_hash, rank, state, created_at, waiting_since, last_reason
        )
        SELECT 1, $1, 1, 0, state, now() - interval '9 days', now() - make_interval(secs => $3), $4
        FROM unnest($2::text[]) AS state
        """,
        channel_id,
        list(states),
        age,
        reason,
    )


async def tally(driver: DriverConnection, outcome: str, attempts: int, ago: str = "0 minutes") -> None:
    await driver.execute(
        """
        INSERT INTO tallies VALUES ('ops', date_bin('5 minutes', now(), 'epoch') - $3::text::interval, $1, 7, $2)
        """,
        outcome,
        attempts,
        ago,
    )


async def only(driver: DriverConnection) -> ChannelBacklog:
    [found] = await backlog.of_channels(driver)
    return found


async def test_a_channel_without_pending_deliveries(driver: DriverConnection) -> None:
    await channel(driver, channel_type="slack")
    await deliveries(driver, ["delivered", "merged", "dead"], age=3600)

    assert await only(driver) == ChannelBacklog(
        channel_type="slack", state=ChannelState.HEALTHY, disabled_by_relay=False, waiting=0, oldest_age=None
    )


async def test_pending_and_sending_deliveries_are_counted_and_aged_since_they_became_pending(
    driver: DriverConnection,
) -> None:
    await channel(driver)
    await deliveries(driver, ["pending", "sending"], age=100)
    await deliveries(driver, ["pending"], age=5)

    found = await only(driver)

    assert found.waiting == 3
    assert found.oldest_age is not None
    assert 100 <= found.oldest_age < 200


async def test_channels_are_counted_separately(driver: DriverConnection) -> None:
    await channel(driver, "a", "slack")
    await channel(driver, "b", "teams")
    await deliveries(driver, ["pending"] * 2, channel_id="a")
    await deliveries(driver, ["pending"] * 3, channel_id="b")

    found = {each.channel_type: each.waiting for each in await backlog.of_channels(driver)}

    assert found == {"slack": 2, "teams": 3}


@pytest.mark.parametrize(
    ("lane", "state"),
    [
        ("failures = 0", ChannelState.HEALTHY),
        ("failures = 1", ChannelState.DEGRADED),
        ("failures = 3", ChannelState.FAILING),
        ("failures = 5, opened_at = now()", ChannelState.OPEN),
    ],
)
async def test_the_state_depends_on_the_lane(driver: DriverConnection, lane: str, state: ChannelState) -> None:
    await channel(driver)
    await driver.execute(f"UPDATE lanes SET {lane}")

    assert (await only(driver)).state is state


@pytest.mark.parametrize(
    ("sent", "failed", "state"),
    [
        (0, 0, ChannelState.HEALTHY),
        (99, 1, ChannelState.HEALTHY),
        (9, 1, ChannelState.DEGRADED),
        (1, 9, ChannelState.FAILING),
        (0, 3, ChannelState.FAILING),
        (0, 1, ChannelState.DEGRADED),
    ],
)
async def test_the_state_depends_on_the_attempts_of_the_last_hour(
    driver: DriverConnection, sent: int, failed: int, state: ChannelState
) -> None:
    await channel(driver)
    await tally(driver, "sent", 1000, ago="3 hours")
    await tally(driver, "retry", 1000, ago="2 hours")
    if sent:
        await tally(driver, "sent", sent)
    if failed:
        await tally(driver, "rejected", failed, ago="30 minutes")

    assert (await only(driver)).state is state


async def test_a_delivery_pending_for_long_degrades_its_channel(driver: DriverConnection) -> None:
    await channel(driver)
    await deliveries(driver, ["pending"], age=400)

    assert (await only(driver)).state is ChannelState.DEGRADED


async def test_a_channel_disabled_by_the_relay_differs_from_one_disabled_by_a_person(
    driver: DriverConnection,
) -> None:
    await channel(driver, enabled=False)
    assert ((await only(driver)).state, (await only(driver)).disabled_by_relay) == (ChannelState.DISABLED, False)

    await driver.execute("UPDATE channels SET disabled_reason = '404: no_team'")
    assert (await only(driver)).disabled_by_relay

    await driver.execute("""UPDATE channels SET config = '{"enabled": true}'""")
    assert not (await only(driver)).disabled_by_relay


async def test_dead_letters_are_counted_for_a_day_after_their_latest_possible_end(
    driver: DriverConnection,
) -> None:
    await channel(driver, channel_type="teams")
    await deliveries(driver, ["dead"], age=60, reason="clientError")
    await deliveries(driver, ["dead"], age=DAY + 60, reason="expired")
    await deliveries(driver, ["dead"], age=2 * DAY + 60, reason="expired")
    await deliveries(driver, ["pending", "delivered", "merged"], age=60)

    assert await backlog.dead_letters(driver, give_up_after=DAY) == {"teams": 2}
    assert await backlog.dead_letters(driver, give_up_after=0) == {"teams": 1}


async def test_a_delivery_that_died_with_its_channel_is_no_dead_letter(driver: DriverConnection) -> None:
    await channel(driver)
    await deliveries(driver, ["dead"], reason="channelDeleted")
    await deliveries(driver, ["dead"], reason="clientError", channel_id="deleted-meanwhile")

    assert await backlog.dead_letters(driver, give_up_after=DAY) == {}


async def test_neither_all_finished_deliveries_nor_all_tallies_are_read(driver: DriverConnection) -> None:
    await driver.execute(
        """
        INSERT INTO channels (id, channel_type, config, sealed)
        SELECT 'channel-' || n, 'slack', '{"enabled": true}', '' FROM generate_series(1, 200) n
        """
    )
    await driver.execute(
        """
        INSERT INTO deliveries (receipt_id, channel_id, group_hash, rank, state, created_at, waiting_since)
        SELECT n, 'channel-' || n % 200, n, 0,
          CASE WHEN n % 10 = 0 THEN 'pending' WHEN n % 10 = 1 THEN 'dead' ELSE 'delivered' END, now(), now()
        FROM generate_series(1, 50000) n
        """
    )
    await driver.execute(
        """
        INSERT INTO tallies
        SELECT 'channel-' || n, date_bin('5 minutes', now(), 'epoch') - p * interval '5 minutes', 'sent', 7, 1
        FROM generate_series(1, 200) n, generate_series(0, 287) p
        """
    )
    await driver.execute("ANALYZE")

    channels = await plan(driver, backlog.CHANNELS)
    dead = await plan(driver, backlog.DEAD_LETTERS, counted_for=DAY)

    assert "deliveries_finished" not in channels
    assert "Seq Scan on tallies" not in channels
    assert "deliveries_finished_dead" in dead
    assert "Seq Scan on deliveries_finished" not in dead


async def plan(driver: DriverConnection, statement: Statement, **values: Any) -> str:
    rows = await driver.fetch(f"EXPLAIN {statement.sql}", *statement.arguments(values))
    return "\n".join(row["QUERY PLAN"] for row in rows)
