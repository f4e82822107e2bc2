"""Messages of groups that are edited, and the alerts that they show.

They are kept with the channel's lane, so that every holder of the lane edits the same message.
"""

from collections.abc import Sequence
from typing import Final

import msgspec

from relay.domain.alerts import Alert
from relay.domain.notifications import LOWEST_RANK
from relay.store.outbox.fragments import CURRENT_ALERT, DIGEST, PENDING, REFRESH, RESOLVED, content_tree
from relay.store.postgres.statements import DriverConnection, Query, Records, Statement, read

KEPT_AFTER_STALE: Final = "1 day"
"""Alertmanager repeats firing alerts every few hours, so their message is edited before its alerts become stale.
After that, a late report still finds the message."""


class EditableMessage(msgspec.Struct, frozen=True):
    """The message of a group in a channel. `message_refs` are the platform's references of its parts, in order.

    `alert_ids` are the alerts that it shows; `omitted` counts those no longer shown. `all_resolved`: none of
    them fires.
    """

    group_hash: int
    message_refs: tuple[str, ...]
    alert_ids: tuple[int, ...]
    omitted: int
    all_resolved: bool


class EditableMessageUpdate(msgspec.Struct, frozen=True):
    """A message to be written by the holder of the channel's lane. `destination_hash` is as `load` takes it."""

    channel_id: str
    epoch: int
    destination_hash: bytes
    message: EditableMessage


class _MessageRow(msgspec.Struct, frozen=True):
    """An update as a row of the statement."""

    channel_id: str
    epoch: int
    destination_hash: bytes
    group_hash: int
    message_refs: str
    alert_ids: tuple[int, ...]
    omitted: int
    all_resolved: bool


LOAD: Final = Query(
    EditableMessage,
    """
    SELECT group_hash, message_refs, alert_ids, omitted, all_resolved FROM edited_messages
    WHERE channel_id = :channel_id AND destination_hash = :destination_hash AND group_hash = ANY (:group_hashes)
      AND message_refs <> '[]'
    """,
)

# Only the lane's holder may write: a worker that lost the lane must not overwrite messages of the next holder.
WRITE: Final = Statement(
    """
    INSERT INTO edited_messages AS m (
      channel_id, group_hash, destination_hash, message_refs, alert_ids, omitted, all_resolved, updated_at
    )
    SELECT t.channel_id, t.group_hash, t.destination_hash, t.message_refs::jsonb, t.alert_ids::bigint[], t.omitted,
      t.all_resolved, now()
    FROM :messages AS t JOIN lanes l ON l.channel_id = t.channel_id AND l.owner = :worker AND l.epoch = t.epoch
    ORDER BY t.channel_id, t.group_hash
    ON CONFLICT (channel_id, group_hash) DO UPDATE SET
      destination_hash = excluded.destination_hash,
      message_refs = excluded.message_refs,
      alert_ids = excluded.alert_ids,
      omitted = excluded.omitted,
      all_resolved = excluded.all_resolved,
      updated_at = excluded.updated_at
    """,
    messages=Records(
        _MessageRow,
        channel_id="text",
        epoch="bigint",
        destination_hash="bytea",
        group_hash="bigint",
        message_refs="text",
        alert_ids="bigint[]",
        omitted="int",
        all_resolved="boolean",
    ),
)

# After a digest, the messages of its groups that are still edited show an older state.
QUEUE_REFRESHES: Final = Statement(
    f"""
    WITH RECURSIVE {content_tree("deliveries d WHERE d.id = :digest_id")}
    INSERT INTO deliveries (
      receipt_id, channel_id, kind, group_hash, positions, rank, state, created_at, waiting_since, next_attempt_at,
      source, tenant_id
    )
    SELECT d.receipt_id, d.channel_id, {REFRESH}, d.group_hash, d.positions, {LOWEST_RANK}, {PENDING},
      now(), now(), now(), d.source, d.tenant_id
    FROM content t JOIN deliveries d ON d.id = t.id
    JOIN edited_messages m ON m.channel_id = d.channel_id AND m.group_hash = d.group_hash
    WHERE d.kind <> {DIGEST} AND d.channel_id = :channel_id AND m.message_refs <> '[]' AND NOT m.all_resolved
    ORDER BY d.id
    """
)

ALERTS: Final = Statement(
    f"""
    SELECT {CURRENT_ALERT} FROM alerts a JOIN series s ON s.id = a.series_id WHERE a.id = ANY (:alert_ids)
    ORDER BY a.status = {RESOLVED}, a.ends_at DESC NULLS FIRST, a.id DESC
    """
)

PURGE: Final = Statement(
    f"""
    DELETE FROM edited_messages WHERE updated_at < now() - interval '{KEPT_AFTER_STALE}'
      - make_interval(secs => greatest(:stale_after::float8, (SELECT max(stale_after) FROM sources)))
    """
)


async def load(
    connection: DriverConnection, channel_id: str, destination_hash: bytes, group_hashes: Sequence[int]
) -> dict[int, EditableMessage]:
    """Return the messages of groups that a channel can edit, by the group's hash.

    `destination_hash` is a hash of where on the platform they are.
    """
    found = await LOAD.fetch(
        connection, channel_id=channel_id, destination_hash=destination_hash, group_hashes=group_hashes
    )
    return {message.group_hash: message for message in found}


async def write(connection: DriverConnection, worker: str, updates: Sequence[EditableMessageUpdate]) -> None:
    """Write messages; those of a lane that the worker lost meanwhile are ignored."""
    await WRITE.execute(connection, worker=worker, messages=[_row(update) for update in updates])


async def queue_refreshes(connection: DriverConnection, digest_id: int, channel_id: str) -> None:
    """Queue edits of the messages whose groups a digest contained."""
    await QUEUE_REFRESHES.execute(connection, digest_id=digest_id, channel_id=channel_id)


async def alerts(connection: DriverConnection, alert_ids: Sequence[int]) -> list[tuple[int, Alert]]:
    """Return alerts in their current state, with ids: firing ones first, then the last resolved first."""
    return [(row["id"], read(row, Alert)) for row in await ALERTS.rows(connection, alert_ids=alert_ids)]


async def purge(connection: DriverConnection, stale_after: float) -> None:
    """Delete messages that were edited last long ago."""
    await PURGE.execute(connection, stale_after=stale_after)


def _row(update: EditableMessageUpdate) -> _MessageRow:
    message = update.message
    return _MessageRow(
        channel_id=update.channel_id,
        epoch=update.epoch,
        destination_hash=update.destination_hash,
        group_hash=message.group_hash,
        message_refs=msgspec.json.encode(message.message_refs).decode(),
        alert_ids=message.alert_ids,
        omitted=message.omitted,
        all_resolved=message.all_resolved,
    )
