"""Where is the message that a channel was told a group in, and of which alerts does it tell?

Kept with the channel's lane, so that whoever holds the lane edits the same message.
"""

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from relay.domain.alerts import Alert
from relay.domain.notifications import REFRESH
from relay.store.outbox.digests import TOLD, alert_of

FORGET_AFTER: Final = "1 day"
"""Since the last edit. Alertmanager tells what fires again every few hours, so what is told later is news, and no
platform lets much older messages be edited."""


class EditableMessage(msgspec.Struct, frozen=True):
    """The message of a group in a channel: `posted` are the platform's references of its parts, in order.

    `alert_ids` are those that it tells, `let_go` counts those that it told once. `ended`: none of them fires.
    """

    group_hash: int
    message_refs: tuple[str, ...]
    alert_ids: tuple[int, ...]
    omitted: int
    ended: bool


class EditableMessageUpdate(msgspec.Struct, frozen=True):
    """A living message to be written, by the holder of the channel's lane. `place` is as `load` takes it."""

    channel_id: str
    epoch: int
    destination_hash: bytes
    living: EditableMessage


LOAD: Final = f"""
SELECT group_hash, posted, alert_ids, let_go, ended FROM living_messages
WHERE channel_id = $1 AND place = $2 AND group_hash = ANY ($3) AND posted <> '[]'
  AND updated_at > now() - interval '{FORGET_AFTER}'
"""

# Only by the lane's holder: who lost the lane may not overwrite what its next holder posted.
WRITE: Final = """
INSERT INTO living_messages AS m (channel_id, group_hash, place, posted, alert_ids, let_go, ended, updated_at)
SELECT t.channel_id, t.group_hash, t.place, t.posted::jsonb, t.alert_ids::bigint[], t.let_go, t.ended, now()
FROM unnest(
  $2::text[], $3::bigint[], $4::bytea[], $5::bigint[], $6::text[], $7::text[], $8::int[], $9::boolean[]
) AS t (channel_id, epoch, place, group_hash, posted, alert_ids, let_go, ended)
JOIN lanes l ON l.channel_id = t.channel_id AND l.owner = $1 AND l.epoch = t.epoch
ORDER BY t.channel_id, t.group_hash
ON CONFLICT (channel_id, group_hash) DO UPDATE SET
  place = excluded.place, posted = excluded.posted, alert_ids = excluded.alert_ids, let_go = excluded.let_go,
  ended = excluded.ended, updated_at = excluded.updated_at
"""

# What a digest told stands otherwise in the messages of its groups that are still edited.
SET_RIGHT: Final = f"""
WITH RECURSIVE told AS ({TOLD})
INSERT INTO deliveries (
  receipt_id, channel_id, group_hash, positions, rank, state, created_at, waiting_since, next_attempt_at
)
SELECT d.receipt_id, d.channel_id, d.group_hash, d.positions, {REFRESH}, 'pending', now(), now(), now()
FROM told t JOIN deliveries d ON d.id = t.id
JOIN living_messages m ON m.channel_id = d.channel_id AND m.group_hash = d.group_hash
WHERE d.receipt_id IS NOT NULL AND d.channel_id = $2 AND m.posted <> '[]' AND NOT m.ended
ORDER BY d.id
"""

ALERTS: Final = """
SELECT * FROM alerts WHERE id = ANY ($1) ORDER BY status, ends_at DESC NULLS FIRST, id DESC
"""


async def load(
    driver: Any, channel_id: str, destination_hash: bytes, group_hashes: Sequence[int]
) -> dict[int, EditableMessage]:
    """The messages of groups that a channel can edit, by the group's hash. `place` is a hash of where they are."""
    rows = await driver.fetch(LOAD, channel_id, destination_hash, group_hashes)
    return {row["group_hash"]: _living(row) for row in rows}


async def write(driver: Any, worker: str, told: Sequence[EditableMessageUpdate]) -> None:
    """Write what messages tell; a lane that the worker lost meanwhile is left alone."""
    columns = zip(*map(_row, told), strict=True)
    await driver.execute(WRITE, worker, *map(list, columns))


async def set_right(driver: Any, digest_id: int, channel_id: str) -> None:
    """Queue edits of the living messages whose groups a digest told of."""
    await driver.execute(SET_RIGHT, [digest_id], channel_id)


async def alerts(driver: Any, alert_ids: Sequence[int]) -> list[tuple[int, Alert]]:
    """Alerts as they are by now, with their ids: what fires first, then what was resolved last."""
    return [(row["id"], alert_of(row)) for row in await driver.fetch(ALERTS, alert_ids)]


async def purge(driver: Any) -> None:
    """Forget messages that were edited last long ago."""
    await driver.execute(f"DELETE FROM living_messages WHERE updated_at < now() - interval '{FORGET_AFTER}'")


def _living(row: Any) -> EditableMessage:
    return EditableMessage(
        group_hash=row["group_hash"],
        message_refs=tuple(row["posted"]),
        alert_ids=tuple(row["alert_ids"]),
        omitted=row["let_go"],
        ended=row["ended"],
    )


def _row(told: EditableMessageUpdate) -> tuple[Any, ...]:
    living = told.living
    return (
        told.channel_id,
        told.epoch,
        told.destination_hash,
        living.group_hash,
        msgspec.json.encode(living.message_refs).decode(),
        "{" + ",".join(map(str, living.alert_ids)) + "}",
        living.omitted,
        living.ended,
    )
