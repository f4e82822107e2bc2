"""Leases of lanes, the state that lanes keep, and their release."""

import asyncio

from relay.domain.history import State
from relay.domain.outcomes import Reason
from relay.store.outbox import lane_states, lanes
from relay.store.outbox.lane_states import LaneState
from relay.store.outbox.settle import settle
from relay.store.postgres.statements import DriverConnection
from tests.store.makers import SEAL, ask, claim, ended, expire, queue, release, states, take


async def test_two_workers_never_lease_the_same_lane(
    driver: DriverConnection, other: DriverConnection, ops: str
) -> None:
    await queue(driver, ops, 1)

    for _ in range(20):
        taken = await asyncio.gather(
            lanes.claim_lanes(driver, "one", SEAL, 10, held=[]), lanes.claim_lanes(other, "two", SEAL, 10, held=[])
        )
        assert sorted(map(len, taken)) == [0, 1]
        await driver.execute("UPDATE lanes SET owner = NULL, lease_until = NULL")


async def test_a_lane_with_nothing_due_is_not_claimed(driver: DriverConnection, ops: str) -> None:
    assert await lanes.claim_lanes(driver, "one", SEAL, 10, held=[]) == []


async def test_an_expired_lease_is_taken_over_and_interrupted_deliveries_are_retried(
    driver: DriverConnection, other: DriverConnection, ops: str
) -> None:
    [delivery] = await queue(driver, ops, 1)
    lost = await take(driver, "one")
    [claimed] = await claim(driver, "one", lost)
    assert await states(driver) == ["sending"]
    await expire(driver)

    lease = await take(other, "two")

    [row] = await driver.fetch("SELECT * FROM deliveries")
    assert (row["state"], row["last_reason"], row["attempt"]) == ("pending", "interrupted", 1)
    [tried] = await driver.fetch("SELECT * FROM attempts")
    assert (tried["delivery_id"], tried["number"], tried["reason"]) == (delivery, 1, "interrupted")

    refused = await ask(driver, "one", lost)
    assert (refused.held, refused.claimed) == (False, ())
    assert await lanes.renew(driver, "one", [ops]) == {}
    [again] = await claim(other, "two", lease)
    assert (again.id, again.attempt) == (claimed.id, 2)


async def test_a_lane_is_not_released_when_something_was_queued_meanwhile(
    driver: DriverConnection, other: DriverConnection, ops: str
) -> None:
    await queue(driver, ops, 1)
    lease = await take(driver, "one")
    answer = await ask(driver, "one", lease)
    await settle(driver, [ended(answer.claimed[0])])
    await queue(other, ops, 2)

    assert await release(driver, "one", lease, answer.enqueued) == (False, None)

    answer = await ask(driver, "one", lease)
    await settle(driver, [ended(answer.claimed[0])])
    assert await release(driver, "one", lease, answer.enqueued) == (True, None)


async def test_a_release_returns_when_the_lane_is_due_again(driver: DriverConnection, ops: str) -> None:
    await queue(driver, ops, 1)
    lease = await take(driver, "one")
    answer = await ask(driver, "one", lease)
    await settle(driver, [ended(answer.claimed[0], State.PENDING, delay=60)])

    released, due_in = await release(driver, "one", lease, answer.enqueued)

    assert released
    assert due_in is not None
    assert 59 < due_in <= 60
    assert await lanes.claim_lanes(driver, "two", SEAL, 10, held=[]) == []


async def test_a_lane_that_is_held_back_is_not_claimed_whatever_is_queued(
    driver: DriverConnection, ops: str
) -> None:
    await queue(driver, ops, 1)
    lease = await take(driver, "one")
    state = LaneState(ops, lease.epoch, 5, 0, True, 60.0, False, True, Reason.SERVER_ERROR, "500 oh")
    await lane_states.write_states(driver, "one", [state])
    answer = await ask(driver, "one", lease)
    assert (answer.held, answer.usable, answer.claimed) == (True, False, ())

    released, due_in = await release(driver, "one", lease, answer.enqueued)
    await queue(driver, ops, 2)

    assert released
    assert due_in is not None
    assert 59 < due_in <= 60
    assert await lanes.claim_lanes(driver, "two", SEAL, 10, held=[]) == []
    [row] = await driver.fetch("SELECT failures, opened_at, last_error FROM lanes")
    assert (row["failures"], row["opened_at"] is None, row["last_error"]) == (5, False, "500 oh")


async def test_the_next_holder_of_a_lane_continues_with_its_state(driver: DriverConnection, ops: str) -> None:
    await queue(driver, ops, 1)
    lease = await take(driver, "one")
    await lane_states.write_states(
        driver, "one", [LaneState(ops, lease.epoch, 7, 2, True, 0.0, False, True, Reason.OTHER, "x")]
    )
    await lanes.release_all(driver, "one")

    again = await take(driver, "two")
    assert (again.failures, again.probes, again.is_open) == (7, 2, True)

    late = LaneState(ops, lease.epoch, 0, 0, False, 0.0, True, False, None, None)
    await lane_states.write_states(driver, "one", [late])
    assert await driver.fetchval("SELECT failures FROM lanes") == 7


async def test_a_disabled_channel_is_not_claimed(driver: DriverConnection, ops: str) -> None:
    await queue(driver, ops, 1)
    lease = await take(driver, "one")
    await driver.execute("""UPDATE channels SET config = config || '{"enabled": false}'""")

    answer = await ask(driver, "one", lease)
    assert (answer.usable, answer.claimed) == (False, ())
    await lanes.release_all(driver, "one")
    assert await lanes.claim_lanes(driver, "one", SEAL, 10, held=[]) == []


async def test_nothing_is_claimed_for_a_changed_channel_until_it_is_read_again(
    driver: DriverConnection, ops: str
) -> None:
    await queue(driver, ops, 1)
    lease = await take(driver, "one")
    await driver.execute("UPDATE channels SET updated_at = now() + interval '1 second'")

    answer = await ask(driver, "one", lease)
    assert (answer.held, answer.fresh, answer.claimed) == (True, False, ())

    renewed = await lanes.read_lease(driver, "one", SEAL, ops, lease.epoch)
    assert renewed is not None
    assert len(await claim(driver, "one", renewed)) == 1


async def test_a_missing_destination_disables_its_channel_unless_that_was_changed(
    driver: DriverConnection, ops: str
) -> None:
    await queue(driver, ops, 1)
    lease = await take(driver, "one")
    await driver.execute("UPDATE channels SET updated_at = now() + interval '1 second'")
    await lane_states.disable(driver, ops, lease.config_version, "gone")
    assert await driver.fetchval("SELECT enabled FROM channels")

    renewed = await lanes.read_lease(driver, "one", SEAL, ops, lease.epoch)
    assert renewed is not None
    await lane_states.disable(driver, ops, renewed.config_version, "gone")

    [row] = await driver.fetch("SELECT enabled, disabled_reason FROM channels")
    assert (row["enabled"], row["disabled_reason"]) == (False, "gone")
