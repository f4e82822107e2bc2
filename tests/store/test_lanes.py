"""Is a channel served by one worker at a time, in order, and is nothing lost when that one dies?"""

import asyncio
from datetime import UTC, datetime
from typing import Any

from relay.store import lanes
from relay.store.lanes import Claimed, Lease, Settlement


async def queue(driver: Any, channel_id: str, *groups: int) -> list[int]:
    """Put one delivery for each group into the outbox, as an ingest would."""
    rows = await driver.fetch(
        """
        INSERT INTO deliveries (
          receipt_id, channel_id, group_hash, rank, state, created_at, waiting_since, next_attempt_at
        )
        SELECT 1, $1, g, 0, 'pending', now(), now(), now() FROM unnest($2::bigint[]) WITH ORDINALITY AS t (g, n)
        ORDER BY n RETURNING id
        """,
        channel_id,
        groups,
    )
    await driver.execute(
        "UPDATE lanes SET enqueued = enqueued + 1, next_due = least(next_due, now()) WHERE channel_id = $1",
        channel_id,
    )
    return [row["id"] for row in rows]


async def take(driver: Any, worker: str) -> Lease:
    [lease] = await lanes.claim_lanes(driver, worker, 10, held=[])
    return lease


def ended(claimed: Claimed, state: str = "delivered", delay: float = 0.0, **changed: Any) -> Settlement:
    sent = state == "delivered"
    fields: dict[str, Any] = {
        "delivery_id": claimed.id,
        "attempt": claimed.attempt,
        "state": state,
        "delay": delay,
        "started_at": datetime.now(UTC),
        "duration": 0.1,
        "outcome": "sent" if sent else "retry",
        "reason": None if sent else "serverError",
        "status_code": 200 if sent else 500,
        "detail": "ok" if sent else "500 oh",
    }
    return Settlement(**fields | changed)


async def states(driver: Any) -> list[str]:
    return [row["state"] for row in await driver.fetch("SELECT state FROM deliveries ORDER BY id")]


async def expire(driver: Any) -> None:
    await driver.execute("UPDATE lanes SET lease_until = now() - interval '1 second'")


async def test_two_workers_never_hold_one_lane(driver: Any, other: Any, ops: str) -> None:
    await queue(driver, ops, 1)

    for _ in range(20):
        taken = await asyncio.gather(
            lanes.claim_lanes(driver, "one", 10, held=[]), lanes.claim_lanes(other, "two", 10, held=[])
        )
        assert sorted(map(len, taken)) == [0, 1]
        await driver.execute("UPDATE lanes SET owner = NULL, lease_until = NULL")


async def test_a_lane_with_nothing_due_is_left_alone(driver: Any, ops: str) -> None:
    assert await lanes.claim_lanes(driver, "one", 10, held=[]) == []


async def test_a_lease_that_ran_out_is_taken_over_with_what_was_half_done(
    driver: Any, other: Any, ops: str
) -> None:
    [delivery] = await queue(driver, ops, 1)
    lost = await take(driver, "one")
    [claimed] = await lanes.claim_deliveries(driver, "one", lost, 10)
    assert await states(driver) == ["sending"]
    await expire(driver)

    lease = await take(other, "two")

    row = await driver.fetchrow("SELECT * FROM deliveries")
    assert (row["state"], row["last_reason"], row["attempt"]) == ("pending", "interrupted", 1)
    [tried] = await driver.fetch("SELECT * FROM attempts")
    assert (tried["delivery_id"], tried["number"], tried["reason"]) == (delivery, 1, "interrupted")

    assert await lanes.claim_deliveries(driver, "one", lost, 10) == []
    assert await lanes.renew(driver, "one", [ops]) == []
    [again] = await lanes.claim_deliveries(other, "two", lease, 10)
    assert (again.id, again.attempt) == (claimed.id, 2)


async def test_a_late_result_of_an_older_attempt_changes_nothing(driver: Any, other: Any, ops: str) -> None:
    await queue(driver, ops, 1)
    [late] = await lanes.claim_deliveries(driver, "one", await take(driver, "one"), 10)
    await expire(driver)
    [current] = await lanes.claim_deliveries(other, "two", await take(other, "two"), 10)

    await lanes.settle(driver, [ended(late, "dead", outcome="rejected")])
    assert await states(driver) == ["sending"]

    await lanes.settle(other, [ended(current)])
    await lanes.settle(driver, [ended(late, "pending")])
    assert await states(driver) == ["delivered"]
    outcomes = await driver.fetch("SELECT number, outcome FROM attempts ORDER BY number")
    assert [tuple(row) for row in outcomes] == [(1, "retry"), (2, "sent")]


async def test_in_a_group_the_second_waits_for_the_first(driver: Any, ops: str) -> None:
    first, second, elsewhere = await queue(driver, ops, 1, 1, 2)
    lease = await take(driver, "one")

    claimed = await lanes.claim_deliveries(driver, "one", lease, 10)
    assert [one.id for one in claimed] == [first, elsewhere]
    assert await lanes.claim_deliveries(driver, "one", lease, 10) == []

    await lanes.settle(driver, [ended(claimed[0], "pending", delay=60)])
    assert await lanes.claim_deliveries(driver, "one", lease, 10) == []

    await driver.execute("UPDATE deliveries SET next_attempt_at = now() WHERE id = $1", first)
    [again] = await lanes.claim_deliveries(driver, "one", lease, 10)
    await lanes.settle(driver, [ended(again)])
    assert [one.id for one in await lanes.claim_deliveries(driver, "one", lease, 10)] == [second]


async def test_a_lane_is_not_given_back_when_something_was_queued_meanwhile(
    driver: Any, other: Any, ops: str
) -> None:
    await queue(driver, ops, 1)
    lease = await take(driver, "one")
    [claimed] = await lanes.claim_deliveries(driver, "one", lease, 10)
    await lanes.settle(driver, [ended(claimed)])
    await queue(other, ops, 2)

    assert await lanes.release(driver, "one", lease) == (False, None)

    [renewed] = await lanes.renew(driver, "one", [ops])
    [claimed] = await lanes.claim_deliveries(driver, "one", renewed, 10)
    await lanes.settle(driver, [ended(claimed)])
    assert await lanes.release(driver, "one", renewed) == (True, None)


async def test_a_lane_given_back_says_when_it_is_due_again(driver: Any, ops: str) -> None:
    await queue(driver, ops, 1, 1)
    lease = await take(driver, "one")
    [claimed] = await lanes.claim_deliveries(driver, "one", lease, 10)
    await lanes.settle(driver, [ended(claimed, "pending", delay=60)])

    released, due_in = await lanes.release(driver, "one", lease)

    assert released
    assert due_in is not None
    assert 59 < due_in <= 60
    assert await lanes.claim_lanes(driver, "two", 10, held=[]) == []


async def test_a_disabled_channel_is_not_claimed(driver: Any, ops: str) -> None:
    await queue(driver, ops, 1)
    lease = await take(driver, "one")
    await driver.execute("""UPDATE channels SET config = config || '{"enabled": false}'""")

    assert await lanes.claim_deliveries(driver, "one", lease, 10) == []
    await lanes.give_back(driver, "one")
    assert await lanes.claim_lanes(driver, "one", 10, held=[]) == []


async def test_what_arrived_although_its_channel_was_deleted_is_told_so(driver: Any, ops: str) -> None:
    await queue(driver, ops, 1)
    [claimed] = await lanes.claim_deliveries(driver, "one", await take(driver, "one"), 10)
    await driver.execute("UPDATE deliveries SET state = 'dead', last_reason = 'channelDeleted'")

    await lanes.settle(driver, [ended(claimed)])

    assert await states(driver) == ["delivered"]


async def test_claiming_and_settling_never_scan_the_outbox(driver: Any, ops: str) -> None:
    await driver.execute(
        """
        INSERT INTO deliveries (
          receipt_id, channel_id, group_hash, rank, state, created_at, waiting_since, next_attempt_at
        )
        SELECT n, 'ops', n % 5000, 0, CASE WHEN n <= 100000 THEN 'delivered' ELSE 'pending' END, now(), now(),
          CASE WHEN n > 100000 THEN now() END
        FROM generate_series(1, 120000) AS n
        """
    )
    await driver.execute("ANALYZE deliveries")
    await queue(driver, ops, 1)

    async def scans() -> int:
        await driver.fetchval("SELECT pg_stat_force_next_flush()")
        count: int = await driver.fetchval("SELECT seq_scan FROM pg_stat_user_tables WHERE relname = 'deliveries'")
        return count

    before = await scans()
    lease = await take(driver, "one")
    for _ in range(10):  # more often than the server plans anew for the values at hand
        claimed = await lanes.claim_deliveries(driver, "one", lease, 32)
        assert len(claimed) == 32
        await lanes.settle(driver, [ended(one) for one in claimed])
    released, _ = await lanes.release(driver, "one", lease)
    assert released
    assert await scans() == before
