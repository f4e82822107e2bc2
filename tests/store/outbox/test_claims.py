"""Claims: order, merging, limits and digests, and the settlement of attempts."""

from relay.domain.history import State
from relay.domain.outcomes import OutcomeKind
from relay.store.outbox import digests, lanes
from relay.store.outbox.settle import settle
from relay.store.postgres.statements import DriverConnection
from tests.store.makers import SEAL, ask, claim, ended, expire, queue, release, states, take


async def test_a_late_result_of_an_older_attempt_changes_nothing(
    driver: DriverConnection, other: DriverConnection, ops: str
) -> None:
    await queue(driver, ops, 1)
    [late] = await claim(driver, "one", await take(driver, "one"))
    await expire(driver)
    [current] = await claim(other, "two", await take(other, "two"))

    await settle(driver, [ended(late, State.DEAD, outcome=OutcomeKind.REJECTED)])
    assert await states(driver) == ["sending"]

    await settle(other, [ended(current)])
    await settle(driver, [ended(late, State.PENDING)])
    assert await states(driver) == ["delivered"]
    outcomes = await driver.fetch("SELECT number, outcome FROM attempts ORDER BY number")
    assert [tuple(row.values()) for row in outcomes] == [(1, "retry"), (2, "sent")]


async def test_a_delivery_waits_while_another_one_of_its_group_is_in_flight(
    driver: DriverConnection, ops: str
) -> None:
    [first] = await queue(driver, ops, 1)
    lease = await take(driver, "one")
    [sending] = await claim(driver, "one", lease)
    second, elsewhere = await queue(driver, ops, 1, 2)

    assert [delivery.id for delivery in await claim(driver, "one", lease)] == [elsewhere]
    assert await claim(driver, "one", lease) == []

    await settle(driver, [ended(sending)])
    assert sending.id == first
    assert [delivery.id for delivery in await claim(driver, "one", lease)] == [second]


async def test_the_newest_delivery_of_a_group_carries_the_pending_ones(driver: DriverConnection, ops: str) -> None:
    oldest, between, newest = await queue(driver, ops, 1, 1, 1)
    lease = await take(driver, "one")

    [claimed] = await claim(driver, "one", lease)

    assert (claimed.id, claimed.carries, claimed.merged, claimed.attempt) == (newest, True, 2, 1)
    rows = await driver.fetch("SELECT id, merged_into FROM deliveries WHERE state = 'merged' ORDER BY id")
    assert [tuple(row.values()) for row in rows] == [(oldest, newest), (between, newest)]

    await settle(driver, [ended(claimed, State.PENDING)])
    [later] = await queue(driver, ops, 1)
    [again] = await claim(driver, "one", lease)
    assert (again.id, again.carries, again.merged) == (later, True, 1)


async def test_a_group_waits_for_the_retry_of_its_delivery(driver: DriverConnection, ops: str) -> None:
    await queue(driver, ops, 1)
    lease = await take(driver, "one")
    [claimed] = await claim(driver, "one", lease)
    await settle(driver, [ended(claimed, State.PENDING, delay=60)])

    await queue(driver, ops, 1)
    assert await claim(driver, "one", lease) == []

    await driver.execute("UPDATE deliveries SET next_attempt_at = now() WHERE id = $1", claimed.id)
    [again] = await claim(driver, "one", lease)
    assert again.merged == 1


async def test_critical_deliveries_are_claimed_first(driver: DriverConnection, ops: str) -> None:
    [warning] = await queue(driver, ops, 1, rank=2)
    [critical] = await queue(driver, ops, 2, rank=0)
    lease = await take(driver, "one")

    assert [delivery.id for delivery in await claim(driver, "one", lease, room=1)] == [critical]
    assert [delivery.id for delivery in await claim(driver, "one", lease, room=1)] == [warning]


async def test_a_bucket_lets_its_burst_through_and_returns_when_the_next_token_comes(
    driver: DriverConnection, ops: str
) -> None:
    await queue(driver, ops, *range(1, 6))
    lease = await take(driver, "one")

    answer = await ask(driver, "one", lease, per_second=0.5, burst=3)
    assert (len(answer.claimed), answer.crowded, answer.tokens) == (3, False, 3.0)
    assert answer.next_in == 2.0
    assert (await ask(driver, "one", lease, per_second=0.5, burst=3)).claimed == ()

    await driver.execute("UPDATE lanes SET tokens_at = now() - interval '2 seconds'")
    assert len((await ask(driver, "one", lease, per_second=0.5, burst=3)).claimed) == 1


async def test_the_next_holder_of_a_lane_continues_with_its_bucket(
    driver: DriverConnection, other: DriverConnection, ops: str
) -> None:
    await queue(driver, ops, *range(1, 6))
    lease = await take(driver, "one")
    await ask(driver, "one", lease, per_second=0.5, burst=3)
    await expire(driver)

    answer = await ask(other, "two", await take(other, "two"), per_second=0.5, burst=3)
    assert answer.claimed == ()
    assert 1 < answer.next_in <= 2


async def test_in_a_crowded_lane_only_critical_deliveries_are_claimed_between_digests(
    driver: DriverConnection, ops: str
) -> None:
    await queue(driver, ops, *range(1, 31), rank=2)
    [critical] = await queue(driver, ops, 99, rank=0)
    lease = await take(driver, "one")

    answer = await ask(driver, "one", lease, per_second=1, burst=2)
    assert (answer.crowded, answer.digest_in, answer.claimed) == (True, 0.0, ())

    await driver.execute("UPDATE lanes SET digested_at = now()")
    answer = await ask(driver, "one", lease, per_second=1, burst=2)
    assert (answer.crowded, [delivery.id for delivery in answer.claimed]) == (True, [critical])


async def test_a_digest_contains_all_that_is_pending_and_nothing_else_is_claimed_before_it(
    driver: DriverConnection, ops: str
) -> None:
    await queue(driver, ops, *range(1, 31), rank=2)
    lease = await take(driver, "one")
    assert (await ask(driver, "one", lease, per_second=1, burst=1)).crowded

    assert await digests.gather(driver, "one", ops, lease.epoch) == 30
    later = await queue(driver, ops, 50)
    answer = await ask(driver, "one", lease, per_second=1, burst=1)
    assert (answer.crowded, answer.digest_in, answer.claimed) == (True, 0.0, ())
    assert await digests.gather(driver, "one", ops, lease.epoch) == 1

    digest, _ = await digests.claim_digest(driver, "one", ops, lease.epoch, 1, 1)
    assert digest is not None
    assert (digest.receipt_id, digest.carries, digest.attempt) == (None, True, 1)
    merged = await driver.fetch("SELECT id FROM deliveries WHERE merged_into = $1", digest.id)
    assert len(merged) == 31
    assert later[0] in {row["id"] for row in merged}

    await settle(driver, [ended(digest)])
    await queue(driver, ops, *range(1, 31), rank=2)
    answer = await ask(driver, "one", lease, per_second=1, burst=1)
    assert (answer.crowded, answer.claimed) == (True, ())
    assert 9 < answer.digest_in <= 10


async def test_a_delivery_without_an_attempt_is_pending_as_before(driver: DriverConnection, ops: str) -> None:
    await queue(driver, ops, 1)
    lease = await take(driver, "one")
    [claimed] = await claim(driver, "one", lease)

    await settle(driver, [ended(claimed, State.PENDING, outcome=None, reason=None, bucket=None)])

    [row] = await driver.fetch("SELECT state, attempt, last_reason FROM deliveries")
    assert tuple(row.values()) == ("pending", 0, None)
    assert await driver.fetchval("SELECT count(*) FROM attempts") == 0
    assert [delivery.attempt for delivery in await claim(driver, "one", lease)] == [1]


async def test_a_dead_delivery_is_queued_for_the_fallback(driver: DriverConnection, ops: str, backup: str) -> None:
    [dead] = await queue(driver, ops, 1)
    [claimed] = await claim(driver, "one", await take(driver, "one"))

    woken = await settle(driver, [ended(claimed, State.DEAD, outcome=OutcomeKind.REJECTED, fallback=backup)])

    assert woken == {backup}
    [row] = await driver.fetch(
        "SELECT state, fallback_of, receipt_id FROM deliveries WHERE channel_id = $1", backup
    )
    assert tuple(row.values()) == ("pending", dead, 1)
    taken = await lanes.claim_lanes(driver, "one", SEAL, 10, held=[])
    assert backup in {lease.channel_id for lease in taken}


async def test_attempts_are_counted_by_outcome_and_duration(driver: DriverConnection, ops: str) -> None:
    await queue(driver, ops, *range(1, 6))
    lease = await take(driver, "one")
    claimed = await claim(driver, "one", lease)
    await settle(driver, [ended(one) for one in claimed[:3]])
    await settle(driver, [ended(claimed[3]), ended(claimed[4], State.PENDING)])

    rows = await driver.fetch("SELECT outcome, bucket, attempts FROM tallies ORDER BY outcome")
    assert [tuple(row.values()) for row in rows] == [("retry", 21, 1), ("sent", 21, 4)]


async def test_a_delivery_that_succeeded_after_its_channel_was_deleted_is_delivered(
    driver: DriverConnection, ops: str
) -> None:
    await queue(driver, ops, 1)
    [claimed] = await claim(driver, "one", await take(driver, "one"))
    await driver.execute("UPDATE deliveries SET state = 'dead', last_reason = 'channelDeleted'")

    await settle(driver, [ended(claimed)])

    assert await states(driver) == ["delivered"]


async def test_claiming_and_settling_never_scan_the_outbox(driver: DriverConnection, ops: str) -> None:
    await driver.execute(
        """
        INSERT INTO deliveries (
          receipt_id, channel_id, group_hash, rank, state, created_at, waiting_since, next_attempt_at
        )
        SELECT n, 'ops', n % 50000, 0, CASE WHEN n <= 100000 THEN 'delivered' ELSE 'pending' END, now(), now(),
          CASE WHEN n > 100000 THEN now() END
        FROM generate_series(1, 120000) AS n
        """
    )
    await driver.execute("ANALYZE deliveries")
    await queue(driver, ops, 1)

    async def scans() -> int:
        await driver.fetchval("SELECT pg_stat_force_next_flush()")
        count: int = await driver.fetchval(
            "SELECT sum(seq_scan) FROM pg_stat_user_tables WHERE relname LIKE 'deliveries%'"
        )
        return count

    before = await scans()
    lease = await take(driver, "one")
    answer = await ask(driver, "one", lease, room=0)
    for _ in range(10):  # more often than the server makes a plan for the given values
        answer = await ask(driver, "one", lease, room=32)
        assert len(answer.claimed) == 32
        await settle(driver, [ended(delivery) for delivery in answer.claimed])
    released, _ = await release(driver, "one", lease, answer.enqueued)
    assert released
    assert await scans() == before


async def test_a_claim_that_merges_waits_for_the_disk(driver: DriverConnection, ops: str) -> None:
    await driver.execute("SET synchronous_commit = off")
    await queue(driver, ops, 1, 1)
    lease = await take(driver, "one")

    [claimed] = await claim(driver, "one", lease)

    assert claimed.merged == 1
    assert await driver.fetchval("SELECT pg_current_wal_flush_lsn() >= pg_current_wal_insert_lsn()")
    assert await driver.fetchval("SHOW synchronous_commit") == "off"
