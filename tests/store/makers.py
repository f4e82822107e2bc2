"""How do these tests put deliveries into the outbox, claim them and end them, in one line each?"""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from relay.store.configuration.seal import Seal, new_key
from relay.store.outbox import claims, lanes
from relay.store.outbox.claims import Claimed, ClaimRequest, ClaimResult
from relay.store.outbox.lanes import Lease, Release
from relay.store.outbox.settle import Settlement

SEAL = Seal(new_key())
DIGEST_AFTER = 10.0
ROWS_READ = """
    SELECT sum(seq_tup_read + coalesce(idx_tup_fetch, 0))::bigint FROM pg_stat_user_tables
    WHERE relname IN ('deliveries_waiting', 'deliveries_finished', 'receipts', 'alerts')
"""


async def queue(driver: Any, channel_id: str, *groups: int, rank: int = 0) -> list[int]:
    """Put one delivery for each group into the outbox, as an ingest would."""
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
    await driver.execute(
        """
        UPDATE lanes SET enqueued = enqueued + 1, next_due = least(next_due, greatest(now(), held_until))
        WHERE channel_id = $1
        """,
        channel_id,
    )
    return [row["id"] for row in rows]


async def take(driver: Any, worker: str) -> Lease:
    """The lease of the only lane that is due."""
    [lease] = await lanes.claim_lanes(driver, worker, SEAL, 10, held=[])
    return lease


async def ask(
    driver: Any, worker: str, lease: Lease, room: int = 10, per_second: float | None = None, burst: int = 1
) -> ClaimResult:
    """Claim for one lane, with the answer."""
    limit = None if per_second is None else burst
    wanted = ClaimRequest(lease.channel_id, lease.epoch, lease.config_version, room, per_second, limit)
    return (await claims.claim(driver, worker, [wanted], DIGEST_AFTER))[lease.channel_id]


async def claim(driver: Any, worker: str, lease: Lease, room: int = 10) -> list[Claimed]:
    """Claim for one lane without a limit."""
    return list((await ask(driver, worker, lease, room)).claimed)


async def release(driver: Any, worker: str, lease: Lease, enqueued: int) -> tuple[bool, float | None]:
    """Give one lane back: whether it was, and when it is due again."""
    due_in = await lanes.release(driver, worker, [Release(lease.channel_id, lease.epoch, enqueued, 0.0)])
    return lease.channel_id in due_in, due_in.get(lease.channel_id)


def ended(claimed: Claimed, state: str = "delivered", delay: float = 0.0, **changed: Any) -> Settlement:
    """The settlement of an attempt."""
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
        "bucket": 21,
        "fallback": None,
        "progress": None,
    }
    return Settlement(**fields | changed)


async def states(driver: Any) -> list[str]:
    """The states of all deliveries, in the order of their ids."""
    return [row["state"] for row in await driver.fetch("SELECT state FROM deliveries ORDER BY id")]


async def expire(driver: Any) -> None:
    """Let all leases run out."""
    await driver.execute("UPDATE lanes SET lease_until = now() - interval '1 second'")


async def rows_read(connection: AsyncConnection) -> int:
    """How many rows the connection has read so far; what it was doing is rolled back, for only then it counts."""
    await connection.rollback()
    driver: Any = (await connection.get_raw_connection()).driver_connection
    await driver.fetchval("SELECT pg_stat_force_next_flush()")
    count: int = await driver.fetchval(ROWS_READ)
    return count
