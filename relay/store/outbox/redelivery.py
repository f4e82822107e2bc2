"""How is a delivery sent again? Its row waits once more, with all it has been through."""

from datetime import datetime
from typing import Any, Final, Literal

import msgspec
from sqlalchemy import DateTime, bindparam, func, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from relay.domain.errors import Conflict, NotFound
from relay.domain.history import State
from relay.store.configuration.channels import wake
from relay.store.tables import deliveries, lanes

LOCK: Final = 0x5245444C
"""The advisory lock that bulk redelivery holds for each chunk: "REDL" in ASCII. Two callers take turns."""
CHUNK: Final = 1000

AGAIN: Final[dict[str, Any]] = {
    "state": State.PENDING.value,
    "waiting_since": func.now(),
    "next_attempt_at": func.now(),
    "redelivered_at": func.now(),
    "delivered_at": None,
}

# A merged delivery may be merged into one that is merged itself: the last of them tells it.
TOLD_IN: Final = text(
    """
    WITH RECURSIVE told (id, merged_into) AS (
      SELECT id, merged_into FROM deliveries WHERE id = :id
      UNION
      SELECT d.id, d.merged_into FROM told JOIN deliveries d ON d.id = told.merged_into
    )
    SELECT id FROM told WHERE merged_into IS NULL
    """
)

# The state stands in the text, so that the plan has one partition and the index for that state. As in the ingest,
# lanes are locked in the order of their ids; one that is gone went with its channel, which nothing can be sent to.
_MANY: Final = """
WITH picked AS MATERIALIZED (
  SELECT d.id, d.channel_id FROM deliveries d
  WHERE d.state = '{state}' AND d.id > :after AND d.id <= :last {filters}
    AND EXISTS (SELECT FROM lanes l WHERE l.channel_id = d.channel_id)
  ORDER BY d.id LIMIT :chunk FOR UPDATE OF d SKIP LOCKED
), held AS MATERIALIZED (
  SELECT channel_id FROM lanes WHERE channel_id IN (SELECT channel_id FROM picked)
  ORDER BY channel_id FOR NO KEY UPDATE
), moved AS (
  UPDATE deliveries SET state = 'pending', waiting_since = now(), next_attempt_at = now(), redelivered_at = now(),
    delivered_at = NULL
  WHERE state = '{state}' AND id = ANY (ARRAY(SELECT id FROM picked JOIN held USING (channel_id)))
  RETURNING id
), woken AS (
  UPDATE lanes SET enqueued = enqueued + 1, next_due = least(next_due, greatest(now(), held_until))
  WHERE channel_id = ANY (ARRAY(SELECT channel_id FROM held))
)
SELECT (SELECT count(*) FROM moved) AS redelivered, count(*) AS picked, max(id) AS reached FROM picked
"""
_FILTERS: Final = {
    "channel_id": "AND d.channel_id = :channel_id",
    "since": "AND d.created_at >= :since",
    "until": "AND d.created_at < :until",
}


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """Which deliveries to send again; None asks for nothing. `since` and `until` bound the time of creation."""

    state: Literal["dead", "delivered"] = "dead"
    channel_id: str | None = None
    since: datetime | None = None
    until: datetime | None = None


class Chunk(msgspec.Struct, frozen=True):
    """How many were put back, and from which id on to go on; None at the end."""

    redelivered: int
    after: int | None


async def redeliver(connection: AsyncConnection, delivery_id: int) -> None:
    """Let a delivery be sent now: one that ended, or one that waits for its next attempt.

    Raises:
        NotFound: there is none.
        Conflict: it is being sent, or another one tells it, or its channel is gone.
    """
    statement = select(deliveries.c.state, deliveries.c.channel_id, deliveries.c.merged_into)
    row = (await connection.execute(statement.where(deliveries.c.id == delivery_id))).one_or_none()
    if row is None:
        raise NotFound(f"there is no delivery {delivery_id}")
    if row.state == State.MERGED:
        told_in = (await connection.execute(TOLD_IN, {"id": delivery_id})).scalar() or row.merged_into
        raise Conflict(f"the delivery {delivery_id} was merged into {told_in}; send that one again")
    # The lane first: while it is held, the channel can't be deleted.
    woken = await connection.execute(
        update(lanes)
        .where(lanes.c.channel_id == row.channel_id)
        .values(
            enqueued=lanes.c.enqueued + 1,
            next_due=func.least(lanes.c.next_due, func.greatest(func.now(), lanes.c.held_until)),
        )
    )
    if woken.rowcount == 0:
        raise Conflict(f"the channel {row.channel_id!r} of the delivery {delivery_id} was deleted")
    put_back = (
        update(deliveries)
        .where(
            deliveries.c.id == delivery_id, deliveries.c.state.in_((State.PENDING, State.DEAD, State.DELIVERED))
        )
        .values(**AGAIN)
    )
    if (await connection.execute(put_back)).rowcount == 0:
        raise Conflict(f"the delivery {delivery_id} is being sent at this moment")
    await wake(connection)


async def newest(connection: AsyncConnection) -> int:
    """The highest id in the outbox: where bulk redelivery ends, so that it meets nothing twice."""
    found: int | None = (await connection.execute(select(func.max(deliveries.c.id)))).scalar()
    return found or 0


async def redeliver_some(connection: AsyncConnection, wanted: Wanted, after: int, last: int) -> Chunk:
    """Let the oldest CHUNK deliveries with ids above `after`, up to `last`, be sent again.

    What another transaction is changing, and what belongs to a channel that is gone, is left as it is.
    """
    await connection.execute(select(func.pg_advisory_xact_lock(LOCK)))
    given = {name: value for name in _FILTERS if (value := getattr(wanted, name)) is not None}
    statement = text(_MANY.format(state=wanted.state, filters=" ".join(_FILTERS[name] for name in given)))
    moments = [bindparam(name, type_=DateTime(timezone=True)) for name in ("since", "until") if name in given]
    bound = {"after": after, "last": last, "chunk": CHUNK, **given}
    row = (await connection.execute(statement.bindparams(*moments), bound)).one()
    if row.redelivered:
        await wake(connection)
    return Chunk(row.redelivered, row.reached if row.picked == CHUNK else None)
