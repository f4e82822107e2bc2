"""Storage of channels. Secret fields are sealed; filters can be read without opening them."""

from typing import Any, Final

import msgspec
from sqlalchemy import delete, func, insert, null, select, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from relay.domain.channel_types import CHANNEL_CLASSES, BaseChannel, Channel, Filters, own_fields, type_name
from relay.domain.channels import MASK
from relay.domain.errors import Conflict, InvalidInput, NotFound, SealBroken, Unreadable
from relay.domain.principals import Author, Tenants, sees
from relay.domain.versions import Action, Change, ObjectKind, changes_between
from relay.store.configuration import versions
from relay.store.configuration.fallbacks import check_dependents, check_fallback, dependents, format_ids
from relay.store.configuration.quotas import Caller, require_room
from relay.store.configuration.seal import Seal
from relay.store.outbox.channel_changes import bury
from relay.store.postgres.statements import DriverConnection, Statement
from relay.store.tables import channels, config_version, lanes, message_templates

# A channel that the relay itself disabled still gets its alerts: they are pending until the channel is fixed, or
# go to its fallback.
ROUTED_CONFIG: Final = (
    """CASE WHEN c.disabled_reason IS NULL THEN c.config ELSE c.config || '{"enabled": true}' END"""
)
"""The configuration of a channel `c` that contains its filters as routing uses them."""

# One statement reads version and filters consistently; without channels its one row has the version alone.
LOAD_FILTERS: Final = Statement(
    f"""
    SELECT v.version, c.id, {ROUTED_CONFIG} AS config
    FROM config_version v LEFT JOIN channels c ON true
    ORDER BY c.id
    """
)

_classes = {type_name(channel_class): channel_class for channel_class in CHANNEL_CLASSES}


async def add(
    connection: AsyncConnection, channel: Channel, seal: Seal, caller: Caller, action: Action = Action.CREATED
) -> None:
    """Store a new channel with its lane.

    Raises:
        Conflict: the id is already used, or the tenant has no room for another channel.
        InvalidInput: the fallback is invalid, or the message template does not exist.
    """
    await lock_configuration(connection)
    await _check_references(connection, None, channel, caller.tenants)
    await versions.require_same_owner(connection, ObjectKind.CHANNEL, channel.id, channel.tenant_id)
    await require_room(connection, channels, channel.tenant_id, caller.max_channels)
    statement = insert(channels).values(
        id=channel.id, channel_type=channel.channel_type, **_columns(channel, seal)
    )
    try:
        await connection.execute(statement)
    except IntegrityError:
        raise Conflict(f"the channel id {channel.id!r} is taken") from None
    await connection.execute(upsert(lanes).values(channel_id=channel.id).on_conflict_do_nothing())
    await _record(connection, caller.author, action, None, channel)


async def get(
    connection: AsyncConnection, channel_id: str, seal: Seal, tenants: Tenants, *, lock: bool = False
) -> Channel:
    """Return one channel of the tenants; with `lock`, block other changes until the transaction ends.

    Raises:
        NotFound: the channel does not exist.
        Unreadable: this release does not know its type, or its secrets can't be decrypted.
    """
    if lock:
        await lock_configuration(connection)
    return _from_row(await _row(connection, channel_id, tenants), seal)


async def page(
    connection: AsyncConnection, seal: Seal, tenants: Tenants, after: str | None, limit: int
) -> list[Channel]:
    """Return channels of the tenants by id, starting after `after`; unreadable secrets are MASK."""
    statement = select(channels).order_by(channels.c.id).limit(limit)
    if tenants is not None:
        statement = statement.where(channels.c.tenant_id.in_(tenants))
    if after is not None:
        statement = statement.where(channels.c.id > after)
    return [_from_row_or_masked(row, seal) for row in await connection.execute(statement)]


async def unreadable_ids(connection: AsyncConnection, seal: Seal) -> list[str]:
    """Return the ids of the channels whose secrets can't be decrypted."""
    rows = await connection.execute(select(channels.c.id, channels.c.sealed).order_by(channels.c.id))
    return [row.id for row in rows if not _opens(row.id, row.sealed, seal)]


async def change(
    connection: AsyncConnection,
    before: Channel,
    channel: Channel,
    seal: Seal,
    caller: Caller,
    *,
    action: Action = Action.UPDATED,
    keep_disabled_reason: bool = False,
) -> None:
    """Write a changed channel, and clear the reason why the relay disabled it unless `keep_disabled_reason`.

    `before` is the channel as `get` has locked it.

    Raises:
        NotFound: the channel does not exist.
        InvalidInput: the fallback or the tenant is invalid, or the message template does not exist.
    """
    await _check_references(connection, before, channel, caller.tenants)
    await check_dependents(connection, channel)
    if channel.tenant_id != before.tenant_id:
        await require_room(connection, channels, channel.tenant_id, caller.max_channels)
    if channel == before and channel.enabled and action is Action.UPDATED:
        return  # else every process would load it
    statement = (
        update(channels)
        .where(channels.c.id == channel.id)
        .values(
            updated_at=func.now(),
            disabled_reason=channels.c.disabled_reason if keep_disabled_reason else null(),
            **_columns(channel, seal),
        )
    )
    if (await connection.execute(statement)).rowcount == 0:
        raise _not_found(channel.id)
    await _record(connection, caller.author, action, before, channel)


async def remove(
    connection: AsyncConnection, channel_id: str, caller: Caller, wanted: frozenset[int] | None = None
) -> None:
    """Delete a channel. Its pending deliveries become dead, with that reason.

    Raises:
        NotFound: the channel does not exist.
        Conflict: the channel is the fallback of others.
        Changed: it is at none of the versions `wanted`.
    """
    # Most of the work is done before the lock, which blocks webhooks; deliveries added meanwhile are handled after
    # it.
    await _row(connection, channel_id, caller.tenants)
    await bury(connection, channel_id)
    await lock_configuration(connection)
    # Again: it may have been changed meanwhile, and so may its tenant.
    row = await _row(connection, channel_id, caller.tenants)
    await versions.require_current(connection, ObjectKind.CHANNEL, channel_id, wanted)
    if others := await dependents(connection, channel_id):
        raise Conflict(f"the channel {channel_id!r} is the fallback of {format_ids(others)}; change that first")
    await connection.execute(delete(channels).where(channels.c.id == channel_id))
    await bury(connection, channel_id)
    change = Change(
        kind=ObjectKind.CHANNEL,
        object_id=channel_id,
        action=Action.DELETED,
        tenant_id=row.tenant_id,
        body=None,
        changes=changes_between(row.config | {"channel_type": row.channel_type}, None),
        routing=True,
    )
    await versions.record(connection, caller.author, change)


async def lock_configuration(connection: AsyncConnection) -> None:
    """Serialize changes of the configuration until the transaction ends.

    The trigger on `channels` takes the same lock before any row lock, which prevents deadlocks.
    """
    await connection.execute(select(config_version.c.version).with_for_update())


async def _check_references(
    connection: AsyncConnection, before: Channel | None, channel: Channel, tenants: Tenants
) -> None:
    """Reject a fallback or a message template that is invalid, or that is new and not visible to the tenants."""
    keeps_fallback = before is not None and before.fallback_channel_id == channel.fallback_channel_id
    await check_fallback(connection, channel, None if keeps_fallback else tenants)
    if channel.template is None:
        return
    found = select(message_templates.c.tenant_id).where(message_templates.c.id == channel.template)
    row = (await connection.execute(found)).one_or_none()
    keeps_template = before is not None and before.template == channel.template
    if row is None or not (keeps_template or sees(tenants, row.tenant_id)):
        raise InvalidInput("template", f"there is no message template {channel.template!r}")
    if row.tenant_id not in (None, channel.tenant_id):
        raise InvalidInput("template", f"the message template {channel.template!r} has another tenant")


async def _record(
    connection: AsyncConnection, author: Author, action: Action, before: Channel | None, after: Channel
) -> None:
    """Record the version of a channel that was written."""
    changes = changes_between(_comparable(before), _comparable(after), after.SECRET)
    change = Change(
        kind=ObjectKind.CHANNEL,
        object_id=after.id,
        action=action,
        tenant_id=after.tenant_id,
        body=_config(after) | {"channel_type": after.channel_type},
        changes=changes,
        routing=True,
    )
    await versions.record(connection, author, change)


def _comparable(channel: Channel | None) -> dict[str, Any] | None:
    return None if channel is None else msgspec.to_builtins(channel)


async def _row(connection: AsyncConnection, channel_id: str, tenants: Tenants) -> Any:
    row = (await connection.execute(select(channels).where(channels.c.id == channel_id))).one_or_none()
    if row is None or not sees(tenants, row.tenant_id):
        raise _not_found(channel_id)
    return row


async def load_filters(connection: DriverConnection) -> tuple[int, dict[str, Filters]]:
    """Return the configuration version and the filters of all channels by id, from one snapshot."""
    rows = await LOAD_FILTERS.rows(connection)
    filters = {row["id"]: msgspec.convert(row["config"], Filters) for row in rows if row["id"] is not None}
    return rows[0]["version"], filters


def open_channel(
    channel_id: str, channel_type: str, config: Any, sealed: bytes, seal: Seal
) -> tuple[Channel | None, str]:
    """Return a channel with its secrets decrypted; or None, and why it can't be read."""
    try:
        return _channel(channel_id, channel_type, config, seal.open(sealed, channel_id)), ""
    except Unreadable as error:
        return None, str(error)


def _opens(channel_id: str, sealed: bytes, seal: Seal) -> bool:
    try:
        seal.open(sealed, channel_id)
    except SealBroken:
        return False
    return True


def _columns(channel: Channel, seal: Seal) -> dict[str, Any]:
    data = msgspec.to_builtins(channel)
    secret = {name: data[name] for name in channel.SECRET if data[name] is not None}
    return {"config": _config(channel), "sealed": seal.seal(secret, channel.id)}


def _config(channel: Channel) -> dict[str, Any]:
    """The settings of a channel, without id, type and secret fields."""
    excluded = {"id", "channel_type", *channel.SECRET}
    return {name: value for name, value in msgspec.to_builtins(channel).items() if name not in excluded}


def _channel(channel_id: str, channel_type: str, config: Any, secret: dict[str, Any]) -> Channel:
    try:
        channel_class = _classes[channel_type]
        known = {*BaseChannel.__struct_fields__, *own_fields(channel_class)}
        data = {name: value for name, value in config.items() if name in known} | secret
        channel: Channel = msgspec.convert(data | {"id": channel_id, "channel_type": channel_type}, Channel)
    except (KeyError, msgspec.ValidationError) as error:
        raise Unreadable(f"the channel {channel_id!r} was stored by another release: {error}") from None
    return channel


def _from_row(row: Any, seal: Seal) -> Channel:
    return _channel(row.id, row.channel_type, row.config, seal.open(row.sealed, row.id))


def _from_row_or_masked(row: Any, seal: Seal) -> Channel:
    """Return a channel of a list; if its secrets can't be decrypted, they are MASK."""
    try:
        return _from_row(row, seal)
    except SealBroken:
        fields = msgspec.structs.fields(_classes[row.channel_type])
        secret = _classes[row.channel_type].SECRET
        masks = {field.name: MASK for field in fields if field.required and field.name in secret}
        return _channel(row.id, row.channel_type, row.config, masks)


def _not_found(channel_id: str) -> NotFound:
    return NotFound(f"there is no channel {channel_id!r}")
