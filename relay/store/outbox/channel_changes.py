"""What changes of channels do to their deliveries."""

from typing import Final

from sqlalchemy import func, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from relay.domain.outcomes import Reason
from relay.store.outbox.fragments import DEAD, MERGED, PENDING, SENDING, content_tree, wake_lanes
from relay.store.postgres.listen import WAKE_CHANNEL
from relay.store.tables import lanes

# A row that a worker is about to claim or to settle is skipped.
MADE_DUE: Final = text(
    f"""
    UPDATE deliveries SET next_attempt_at = now()
    WHERE state = {PENDING} AND id = ANY (ARRAY(
      SELECT id FROM deliveries WHERE channel_id = :channel_id AND state = {PENDING} AND next_attempt_at > now()
      ORDER BY id FOR UPDATE SKIP LOCKED
    ))
    """
)

WAKE: Final = text(wake_lanes("SELECT :channel_id"))

# Deliveries that the channel got as a fallback return to their own channel, if it still exists.
BURY: Final = text(
    f"""
    WITH RECURSIVE buried AS (
      UPDATE deliveries SET state = {DEAD}, next_attempt_at = NULL, last_reason = '{Reason.CHANNEL_DELETED}',
        last_error = 'the channel was deleted before this delivery was sent'
      WHERE channel_id = :id AND state IN ({PENDING}, {SENDING})
      RETURNING id, receipt_id, positions, fallback_of, alert_ids, withheld, redelivered_at, channel_id,
        suppressed_by
    ), {content_tree("buried d")}, returned AS (
      UPDATE deliveries d SET
        state = {PENDING}, merged_into = NULL, next_attempt_at = now(), waiting_since = now()
      FROM content t
      WHERE d.id = ANY (ARRAY(SELECT id FROM content)) AND d.id = t.id AND d.state = {MERGED}
        AND d.channel_id IN (SELECT c.id FROM channels c WHERE c.id <> :id)
      RETURNING d.channel_id
    )
    {wake_lanes("SELECT channel_id FROM returned")}
    """
)

# What it got as a fallback is sent to the other channel later, if that exists.
LET_GO: Final = text(
    """
    DELETE FROM held_deliveries h WHERE h.channel_id = :id AND NOT EXISTS (
      SELECT FROM deliveries d JOIN deliveries o ON o.id = d.fallback_of JOIN channels c ON c.id = o.channel_id
      WHERE d.id = h.delivery_id AND c.id <> :id
    )
    """
)


async def start_over(connection: AsyncConnection, channel_id: str) -> None:
    """Reset the circuit breaker of a channel that was corrected, and make its pending deliveries due."""
    reset = update(lanes).where(lanes.c.channel_id == channel_id)
    await connection.execute(reset.values(failures=0, opened_at=None, probes=0, held_until=None))
    await connection.execute(MADE_DUE, {"channel_id": channel_id})
    await connection.execute(WAKE, {"channel_id": channel_id})
    await wake(connection)


async def wake(connection: AsyncConnection) -> None:
    """Wake the workers when this transaction commits."""
    await connection.execute(select(func.pg_notify(WAKE_CHANNEL, "")))


async def bury(connection: AsyncConnection, channel_id: str) -> None:
    """Make the pending deliveries of a channel dead; those it got as a fallback return to their own channel.

    What is suppressed is not sent any more.
    """
    await connection.execute(BURY, {"id": channel_id})
    await connection.execute(LET_GO, {"id": channel_id})
