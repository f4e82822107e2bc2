"""Storage of channels. Secret fields are sealed; filters can be read without opening them."""

from typing import Any, Final

import msgspec
from sqlalchemy import delete, func, insert, null, select, text, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from relay.domain.channel_types import CHANNEL_CLASSES, BaseChannel, Channel, Filters, own_fields, type_name
from relay.domain.channels import MASK
from relay.domain.errors import Conflict, InvalidInput, NotFound, SealBroken, Unreadable
from relay.domain.outcomes import Reason
from relay.store.configuration.fallbacks import check_dependents, check_fallback, dependents, format_ids
from relay.store.configuration.seal import Seal
from relay.store.outbox.fragments import DEAD, MERGED, PENDING, SENDING, content_tree, wake_lanes
from relay.store.postgres.listen import WAKE_CHANNEL
from relay.store.postgres.statements import DriverConnection, Statement
from relay.store.tables import channels, config_version, lanes, message_templates

# A channel that the relay itself disabled still gets its alerts: they are pending until the channel is fixed, or
# go to its fallback. One statement reads version and filters consistently; without channels its one row has the
# version alone.
LOAD_FILTERS: Final = Statement(
    """
    SELECT v.version, c.id,
      CASE WHEN c.disabled_reason IS NULL THEN c.config ELSE c.config || '{"enabled": true}' END AS config
    FROM config_version v LEFT JOIN channels c ON true
    ORDER BY c.id
    """
)

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
      RETURNING id, receipt_id, positions, fallback_of
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

_classes = {type_name(channel_class): channel_class for channel_class in CHANNEL_CLASSES}


async def add(connection: AsyncConnection, channel: Channel, seal: Seal) -> None:
    """Store a new channel with its lane.

    Raises:
        Conflict: the id is already used.
        InvalidInput: the fallback is invalid, or the message template does not exist.
    """
    await lock_configuration(connection)
    await _check_template(connection, channel)
    await check_fallback(connection, channel)
    statement = insert(channels).values(
        id=channel.id, channel_type=channel.channel_type, **_columns(channel, seal)
    )
    try:
        await connection.execute(statement)
    except IntegrityError:
        raise Conflict(f"the channel id {channel.id!r} is taken") from None
    await connection.execute(upsert(lanes).values(channel_id=channel.id).on_conflict_do_nothing())


async def get(connection: AsyncConnection, channel_id: str, seal: Seal, *, lock: bool = False) -> Channel:
    """Return one channel; with `lock`, block other changes of the configuration until the transaction ends.

    Raises:
        NotFound: the channel does not exist.
        Unreadable: this release does not know its type, or its secrets can't be decrypted.
    """
    if lock:
        await lock_configuration(connection)
    statement = select(channels).where(channels.c.id == channel_id)
    row = (await connection.execute(statement)).one_or_none()
    if row is None:
        raise _not_found(channel_id)
    return _from_row(row, seal)


async def page(connection: AsyncConnection, seal: Seal, after: str | None, limit: int) -> list[Channel]:
    """Return channels in the order of their ids, starting after `after`; unreadable secrets are MASK."""
    statement = select(channels).order_by(channels.c.id).limit(limit)
    if after is not None:
        statement = statement.where(channels.c.id > after)
    return [_from_row_or_masked(row, seal) for row in await connection.execute(statement)]


async def unreadable_ids(connection: AsyncConnection, seal: Seal) -> list[str]:
    """Return the ids of the channels whose secrets can't be decrypted."""
    rows = await connection.execute(select(channels.c.id, channels.c.sealed).order_by(channels.c.id))
    return [row.id for row in rows if not _opens(row.id, row.sealed, seal)]


async def change(
    connection: AsyncConnection, channel: Channel, seal: Seal, *, keep_disabled_reason: bool = False
) -> None:
    """Write a changed channel, and clear the reason why the relay disabled it unless `keep_disabled_reason`.

    Raises:
        NotFound: the channel does not exist.
        InvalidInput: the fallback or the tenant is invalid, or the message template does not exist.
    """
    await lock_configuration(connection)
    await _check_template(connection, channel)
    await check_fallback(connection, channel)
    await check_dependents(connection, channel)
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


async def remove(connection: AsyncConnection, channel_id: str) -> None:
    """Delete a channel. Its pending deliveries become dead, with that reason.

    Raises:
        NotFound: the channel does not exist.
        Conflict: the channel is the fallback of others.
    """
    # Most of the work is done before the lock, which blocks webhooks; deliveries added meanwhile are handled after
    # it.
    await _bury(connection, channel_id)
    await lock_configuration(connection)
    if others := await dependents(connection, channel_id):
        raise Conflict(f"the channel {channel_id!r} is the fallback of {format_ids(others)}; change that first")
    if (await connection.execute(delete(channels).where(channels.c.id == channel_id))).rowcount == 0:
        raise _not_found(channel_id)
    await _bury(connection, channel_id)


async def _bury(connection: AsyncConnection, channel_id: str) -> None:
    """Make the pending deliveries of a channel dead; those it got as a fallback return to their own channel."""
    await connection.execute(BURY, {"id": channel_id})


async def lock_configuration(connection: AsyncConnection) -> None:
    """Serialize changes of the configuration until the transaction ends.

    The trigger on `channels` takes the same lock before any row lock, which prevents deadlocks.
    """
    await connection.execute(select(config_version.c.version).with_for_update())


async def _check_template(connection: AsyncConnection, channel: Channel) -> None:
    """Reject a message template that does not exist."""
    if channel.template is None:
        return
    found = select(message_templates.c.id).where(message_templates.c.id == channel.template)
    if (await connection.execute(found)).one_or_none() is None:
        raise InvalidInput("template", f"there is no message template {channel.template!r}")


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
    excluded = {"id", "channel_type", *channel.SECRET}
    config = {name: value for name, value in data.items() if name not in excluded}
    return {"config": config, "sealed": seal.seal(secret, channel.id)}


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
