"""Storage of silences. Users never delete them: one that is expired ends now."""

from collections.abc import Collection
from datetime import datetime
from typing import Any, Final

import msgspec
from sqlalchemy import func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from relay.domain.errors import InvalidInput, NotFound
from relay.domain.principals import Author, Tenants, sees
from relay.domain.silences import Silence, has_expired
from relay.domain.versions import Action, Change, ObjectKind, changes_between
from relay.store.configuration import versions
from relay.store.configuration.channels import lock_configuration
from relay.store.configuration.filter_changes import recorded_changes
from relay.store.configuration.quotas import Caller, require_silence_room
from relay.store.postgres.statements import DriverConnection, Statement
from relay.store.tables import channels, silences

NOT_ENDED: Final = "(s.ends_at IS NULL OR s.ends_at > now())"
"""Whether the silence `s` may still be active at some time."""

# One statement reads version and silences consistently; without silences its one row has the version alone.
LOAD: Final = Statement(
    f"""
    SELECT v.version, s.id, s.body
    FROM config_version v LEFT JOIN silences s ON {NOT_ENDED}
    ORDER BY s.id
    """
)
LOAD_CHANGES: Final = Statement(
    f"""
    WITH {recorded_changes(ObjectKind.SILENCE)}
    SELECT v.version, v.is_complete, changed.id, s.body
    FROM current v
    LEFT JOIN changed ON v.is_complete
    LEFT JOIN LATERAL (
      SELECT s.body FROM silences s WHERE s.id = changed.id AND {NOT_ENDED} LIMIT 1
    ) AS s ON true
    """
)


class StoredSilence(msgspec.Struct, frozen=True):
    """A silence, and when it was created and changed."""

    silence: Silence
    created_at: datetime
    updated_at: datetime


async def add(connection: AsyncConnection, silence: Silence, caller: Caller) -> StoredSilence:
    """Store a new silence.

    Raises:
        Conflict: there are too many silences that have not ended.
        InvalidInput: one of its channels does not exist.
    """
    await lock_configuration(connection)
    await check_channels(connection, silence, caller.tenants)
    await require_silence_room(connection, silence.tenant_id, caller.max_silences)
    statement = insert(silences).values(id=silence.id, **_columns(silence)).returning(silences)
    stored = from_row((await connection.execute(statement)).one())
    await _record(connection, caller.author, Action.CREATED, None, silence)
    return stored


async def get(
    connection: AsyncConnection, silence_id: str, tenants: Tenants, *, lock: bool = False
) -> StoredSilence:
    """Return one silence of the tenants; with `lock`, block other changes until the transaction ends.

    Raises:
        NotFound: the silence does not exist.
    """
    if lock:
        await lock_configuration(connection)
    row = (await connection.execute(select(silences).where(silences.c.id == silence_id))).one_or_none()
    if row is None or not sees(tenants, row.tenant_id):
        raise NotFound(f"there is no silence {silence_id!r}")
    return from_row(row)


async def change(
    connection: AsyncConnection, before: Silence, after: Silence, now: datetime, caller: Caller
) -> StoredSilence:
    """Write a changed silence. If it has another id, it is a new one, and the earlier one is expired.

    `before` is the silence as `get` has locked it.

    Raises:
        Conflict: there are too many silences that have not ended.
        InvalidInput: one of its channels does not exist.
    """
    if after.id != before.id:
        await expire(connection, before, now, caller.author)
        return await add(connection, after, caller)
    await check_channels(connection, after, caller.tenants, known=_channel_ids(before))
    if after.tenant_id != before.tenant_id:
        await require_silence_room(connection, after.tenant_id, caller.max_silences)
    return await _write(connection, caller.author, before, after)


async def expire(connection: AsyncConnection, silence: Silence, now: datetime, author: Author) -> StoredSilence:
    """End a silence that `get` has locked; one that has expired stays as it is."""
    if has_expired(silence, now):
        return await get(connection, silence.id, None)
    return await close(connection, silence, now, author)


async def close(connection: AsyncConnection, silence: Silence, now: datetime, author: Author) -> StoredSilence:
    """Let a silence that `get` has locked end now, also a series of which no window is left."""
    ended = msgspec.structs.replace(silence, starts_at=min(silence.starts_at, now), ends_at=now)
    return await _write(connection, author, silence, ended)


async def load(connection: DriverConnection) -> tuple[int, dict[str, Silence]]:
    """Return the configuration version, and the silences that have not ended by id, from one snapshot."""
    rows = await LOAD.rows(connection)
    silences = {row["id"]: silence_of(row["id"], row["body"]) for row in rows if row["id"] is not None}
    return rows[0]["version"], silences


async def load_changes(connection: DriverConnection, since: int) -> tuple[int, dict[str, Silence | None]] | None:
    """Return the configuration version, and the silences that changed after the version `since`.

    One that has ended or was deleted is None. The result is None if not all changes are recorded, or too many;
    then all silences have to be loaded.
    """
    rows = await LOAD_CHANGES.rows(connection, since=since)
    if not rows[0]["is_complete"]:
        return None
    changed = [(row["id"], row["body"]) for row in rows if row["id"] is not None]
    return rows[0]["version"], {
        silence_id: None if body is None else silence_of(silence_id, body) for silence_id, body in changed
    }


def silence_of(silence_id: str, body: dict[str, Any]) -> Silence:
    """Return a silence from its columns."""
    return msgspec.convert(body | {"id": silence_id}, Silence)


async def _write(connection: AsyncConnection, author: Author, before: Silence, after: Silence) -> StoredSilence:
    """Update a silence, unless nothing has changed: else every process would load it."""
    if after == before:
        return await get(connection, before.id, None)
    statement = update(silences).where(silences.c.id == after.id).returning(silences)
    row = (await connection.execute(statement.values(updated_at=func.now(), **_columns(after)))).one()
    await _record(connection, author, Action.UPDATED, before, after)
    return from_row(row)


async def check_channels(
    connection: AsyncConnection, silence: Silence, tenants: Tenants, known: Collection[str] = ()
) -> None:
    """Reject a channel that has another tenant than the silence, or is not visible to the tenants.

    One of the `known` is the silence's already, and may have been deleted since.
    """
    ids = {*silence.channels, silence.remind_channel_id} - {None}
    rows = await connection.execute(select(channels.c.id, channels.c.tenant_id).where(channels.c.id.in_(ids)))
    owners = {row.id: row.tenant_id for row in rows}
    fields = [(f"channels[{at}]", channel_id) for at, channel_id in enumerate(silence.channels)]
    if silence.remind_channel_id is not None:
        fields.append(("remind_channel_id", silence.remind_channel_id))
    for field, channel_id in fields:
        visible = channel_id in owners and sees(tenants, owners[channel_id])
        if not visible and channel_id not in known:
            raise InvalidInput(field, f"there is no channel {channel_id!r}")
        if silence.tenant_id is not None and owners.get(channel_id, silence.tenant_id) != silence.tenant_id:
            raise InvalidInput(field, f"the channel {channel_id!r} does not have the tenant of the silence")


def _channel_ids(silence: Silence) -> set[str]:
    return {*silence.channels, *filter(None, [silence.remind_channel_id])}


async def _record(
    connection: AsyncConnection, author: Author, action: Action, before: Silence | None, after: Silence
) -> None:
    earlier = None if before is None else msgspec.to_builtins(before)
    change = Change(
        kind=ObjectKind.SILENCE,
        object_id=after.id,
        action=action,
        tenant_id=after.tenant_id,
        body=_body(after),
        changes=changes_between(earlier, msgspec.to_builtins(after)),
        routing=True,
    )
    await versions.record(connection, author, change)


def _columns(silence: Silence) -> dict[str, Any]:
    return {
        "body": _body(silence),
        "tenant_id": silence.tenant_id,
        "starts_at": silence.starts_at,
        "ends_at": silence.ends_at,
    }


def _body(silence: Silence) -> dict[str, Any]:
    body: dict[str, Any] = msgspec.to_builtins(silence)
    del body["id"]
    return body


def from_row(row: Any) -> StoredSilence:
    """Return a row of the table."""
    return StoredSilence(silence_of(row.id, row.body), row.created_at, row.updated_at)
