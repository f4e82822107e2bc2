"""Functions that queue, claim and settle deliveries in one line each."""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from relay.domain.history import State
from relay.domain.outcomes import OutcomeKind, Reason
from relay.store.configuration.seal import Seal, new_key
from relay.store.outbox import claims, lanes
from relay.store.outbox.claims import Claimed, ClaimRequest, ClaimResult
from relay.store.outbox.fragments import wake_lanes
from relay.store.outbox.lanes import Lease, Release
from relay.store.outbox.settle import Settlement
from relay.store.postgres.database import driver_connection
from relay.store.postgres.statements import DriverConnection, Statement

SEAL = Seal(new_key())
DIGEST_AFTER = 10.0
WAKE = Statement(wake_lanes("SELECT :channel_id::text"))
ROWS_READ = """
    SELECT sum(seq_tup_read + coalesce(idx_tup_fetch, 0))::bigint FROM pg_stat_user_tables
    WHERE relname IN ('deliveries_waiting', 'deliveries_finished', 'receipts', 'alerts', 'series')
"""


async def queue(driver: DriverConnection, channel_id: str, *groups: int, rank: int = 0) -> list[int]:
    """Queue one delivery for each group, as an ingest would, and return their ids."""
    rows = await driver.fetch(
        """
        INSERT INTO deliveries (
          receipt_id, channel_id, group_hash, rank, state, created_at, waiting_since, next_attempt_at
        )
        SELECT 1, $1, g, $3, 'pending', now(), now(), now() FROM unnest($2::bigint[]) WITH ORDINALITY AS t (g, n)
        ORDER BY n RETURNING id
        """,
        channel_id,
        groups,
        rank,
    )
    await WAKE.execute(driver, channel_id=channel_id)
    return [row["id"] for row in rows]


async def take(driver: DriverConnection, worker: str) -> Lease:
    """Lease the only lane that is due."""
    [lease] = await lanes.claim_lanes(driver, worker, SEAL, 10, held=[])
    return lease


async def ask(
    driver: DriverConnection,
    worker: str,
    lease: Lease,
    room: int = 10,
    per_second: float | None = None,
    burst: int = 1,
) -> ClaimResult:
    """Claim for one lane."""
    limit = None if per_second is None else burst
    wanted = ClaimRequest(lease.channel_id, lease.epoch, lease.config_version, room, per_second, limit)
    return (await claims.claim(driver, worker, [wanted], DIGEST_AFTER))[lease.channel_id]


async def claim(driver: DriverConnection, worker: str, lease: Lease, room: int = 10) -> list[Claimed]:
    """Claim for one lane without a limit, and return the deliveries."""
    return list((await ask(driver, worker, lease, room)).claimed)


async def release(driver: DriverConnection, worker: str, lease: Lease, enqueued: int) -> tuple[bool, float | None]:
    """Release one lane; return whether it was released, and when it is due again."""
    due_in = await lanes.release(driver, worker, [Release(lease.channel_id, lease.epoch, enqueued, 0.0)])
    return lease.channel_id in due_in, due_in.get(lease.channel_id)


def ended(claimed: Claimed, state: State = State.DELIVERED, delay: float = 0.0, **changed: Any) -> Settlement:
    """Return the settlement of an attempt."""
    sent = state is State.DELIVERED
    fields: dict[str, Any] = {
        "delivery_id": claimed.id,
        "attempt": claimed.attempt,
        "state": state,
        "delay": delay,
        "started_at": datetime.now(UTC),
        "duration": 0.1,
        "outcome": OutcomeKind.SENT if sent else OutcomeKind.RETRY,
        "reason": None if sent else Reason.SERVER_ERROR,
        "status_code": 200 if sent else 500,
        "detail": "ok" if sent else "500 oh",
        "bucket": 21,
        "fallback": None,
        "progress": None,
    }
    return Settlement(**fields | changed)


async def states(driver: DriverConnection) -> list[str]:
    """Return the states of all deliveries, in the order of their ids."""
    return [row["state"] for row in await driver.fetch("SELECT state FROM deliveries ORDER BY id")]


async def expire(driver: DriverConnection) -> None:
    """End all leases."""
    await driver.execute("UPDATE lanes SET lease_until = now() - interval '1 second'")


async def rows_read(connection: AsyncConnection) -> int:
    """Return how many rows the connection has read so far; it rolls back, which counts them."""
    await connection.rollback()
    driver = await driver_connection(connection)
    await driver.fetchval("SELECT pg_stat_force_next_flush()")
    count: int = await driver.fetchval(ROWS_READ)
    return count
