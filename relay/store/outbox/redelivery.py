"""Redelivery: deliveries that are sent again, with the attempts that they have had."""

from datetime import datetime
from typing import Any, Final, Literal

import msgspec
from sqlalchemy import ARRAY, BindParameter, DateTime, Text, bindparam, func, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from relay.domain.errors import Conflict, NotFound
from relay.domain.history import State
from relay.domain.principals import Tenants, sees
from relay.store.outbox.channel_changes import WAKE, wake
from relay.store.outbox.fragments import DEAD, DELIVERED, PENDING, SUPPRESSED, wake_lanes
from relay.store.tables import channels, deliveries

LOCK: Final = 0x5245444C
"""The advisory lock that bulk redelivery holds for each chunk: "REDL" in ASCII. Two callers take turns."""
CHUNK: Final = 1000

_REQUEUED: Final = f"""
  state = {PENDING}, waiting_since = now(), next_attempt_at = now(), redelivered_at = now(), delivered_at = NULL
"""

# What a person sends is not sent again when its suppression ends.
REQUEUE: Final = text(
    f"""
    WITH let_go AS (DELETE FROM held_deliveries WHERE delivery_id = :id)
    UPDATE deliveries SET {_REQUEUED}
    WHERE id = :id AND state IN ({PENDING}, {DEAD}, {DELIVERED}, {SUPPRESSED})
      AND alert_ids IS DISTINCT FROM '{{}}'
    """
)

# A merged delivery may be merged into one that is merged itself: the last of them is the one that is sent.
CARRIER: Final = text(
    """
    WITH RECURSIVE carrier (id, merged_into) AS (
      SELECT id, merged_into FROM deliveries WHERE id = :id
      UNION
      SELECT d.id, d.merged_into FROM carrier c JOIN deliveries d ON d.id = c.merged_into
    )
    SELECT id FROM carrier WHERE merged_into IS NULL
    """
)


class RedeliveryFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which deliveries to send again; None matches all. `since` and `until` bound the time of creation.

    `tenants` are those of the deliveries and of the channels, which may have another tenant since.
    """

    state: Literal["dead", "delivered", "suppressed"] = "dead"
    channel_id: str | None = None
    source: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    tenants: list[str] | None = None


class Chunk(msgspec.Struct, frozen=True):
    """How many deliveries were queued again, and the id after which the next chunk starts; None at the end."""

    redelivered: int
    after: int | None


def _requeue_many(state: str, conditions: str) -> str:
    """Return the statement for a chunk of deliveries in a state.

    The state is part of the text, so that the plan has one partition and the index for that state. A delivery
    without a lane belongs to a deleted channel and is skipped.
    """
    return f"""
      WITH
      picked AS MATERIALIZED (
        SELECT d.id, d.channel_id FROM deliveries d
        WHERE d.state = '{State(state)}' AND d.id > :after AND d.id <= :last {conditions}
          AND d.alert_ids IS DISTINCT FROM '{{}}'
          AND EXISTS (SELECT FROM lanes l WHERE l.channel_id = d.channel_id)
        ORDER BY d.id LIMIT :chunk FOR UPDATE OF d SKIP LOCKED
      ),
      -- The lanes first, in the order of their ids, as everywhere; one may have been deleted meanwhile.
      woken AS ({wake_lanes("SELECT channel_id FROM picked")} RETURNING channel_id),
      requeued AS (
        UPDATE deliveries SET {_REQUEUED}
        WHERE state = '{State(state)}' AND id = ANY (ARRAY(SELECT id FROM picked JOIN woken USING (channel_id)))
        RETURNING id
      ),
      let_go AS (DELETE FROM held_deliveries WHERE delivery_id = ANY (ARRAY(SELECT id FROM requeued)))
      SELECT (SELECT count(*) FROM requeued) AS redelivered, count(*) AS picked, max(id) AS reached FROM picked
    """


_CONDITIONS: Final = {
    "channel_id": "AND d.channel_id = :channel_id",
    "source": "AND d.source = :source",
    "since": "AND d.created_at >= :since",
    "until": "AND d.created_at < :until",
    "tenants": """
        AND d.tenant_id = ANY (:tenants)
        AND EXISTS (SELECT FROM channels c WHERE c.id = d.channel_id AND c.tenant_id = ANY (:tenants))
    """,
}


async def redeliver(connection: AsyncConnection, delivery_id: int, tenants: Tenants) -> None:
    """Queue a finished delivery again, or make a pending one due now.

    Raises:
        NotFound: there is none.
        Conflict: it is being sent, or was merged into another one, or its channel was deleted, or it is a digest
            of which all groups were suppressed.
    """
    statement = select(
        *(deliveries.c[name] for name in ("state", "channel_id", "merged_into", "tenant_id")),
        channels.c.tenant_id.label("owner"),
    ).select_from(deliveries.outerjoin(channels, channels.c.id == deliveries.c.channel_id))
    row = (await connection.execute(statement.where(deliveries.c.id == delivery_id))).one_or_none()
    if row is None or not sees(tenants, row.tenant_id):
        raise NotFound(f"there is no delivery {delivery_id}")
    if row.state == State.MERGED:
        carrier = (await connection.execute(CARRIER, {"id": delivery_id})).scalar() or row.merged_into
        raise Conflict(f"the delivery {delivery_id} was merged into {carrier}; redeliver that one")
    # The channel may have another tenant than the delivery; it is not there for that of the delivery.
    # The lane first: while its row is locked, the channel can't be deleted.
    if (
        not sees(tenants, row.owner)
        or (await connection.execute(WAKE, {"channel_id": row.channel_id})).rowcount == 0
    ):
        raise Conflict(f"the channel {row.channel_id!r} of the delivery {delivery_id} was deleted")
    if (await connection.execute(REQUEUE, {"id": delivery_id})).rowcount == 0:
        reason = "was a digest; redeliver its groups" if row.state == State.SUPPRESSED else "is being sent"
        raise Conflict(f"the delivery {delivery_id} {reason}")
    await wake(connection)


async def last_id(connection: AsyncConnection) -> int:
    """Return the highest id in the outbox, where bulk redelivery ends, so that it redelivers nothing twice."""
    found: int | None = (await connection.execute(select(func.max(deliveries.c.id)))).scalar()
    return found or 0


async def redeliver_chunk(connection: AsyncConnection, wanted: RedeliveryFilter, after: int, last: int) -> Chunk:
    """Queue the oldest CHUNK deliveries with ids above `after`, up to `last`, again.

    Deliveries that another transaction is changing, and those of deleted channels, are skipped.
    """
    await connection.execute(select(func.pg_advisory_xact_lock(LOCK)))
    given: dict[str, Any] = {name: value for name in _CONDITIONS if (value := getattr(wanted, name)) is not None}
    statement = text(_requeue_many(wanted.state, " ".join(_CONDITIONS[name] for name in given)))
    typed: list[BindParameter[Any]] = [
        bindparam(name, type_=DateTime(timezone=True)) for name in ("since", "until") if name in given
    ]
    if "tenants" in given:
        typed.append(bindparam("tenants", type_=ARRAY(Text)))
    values = {"after": after, "last": last, "chunk": CHUNK, **given}
    row = (await connection.execute(statement.bindparams(*typed), values)).one()
    if row.redelivered:
        await wake(connection)
    return Chunk(row.redelivered, row.reached if row.picked == CHUNK else None)
