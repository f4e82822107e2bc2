"""Where are channels kept, and what may be read without their secrets?"""

from typing import Any, Final

import msgspec
from sqlalchemy import delete, func, insert, select, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from relay.domain.channels import CHANNEL_CLASSES, MASK, BaseChannel, Channel, Filters, own_fields, type_name
from relay.domain.errors import Conflict, NotFound, SealBroken, Unreadable
from relay.domain.outcomes import Reason
from relay.store.seal import Seal
from relay.store.tables import channels, deliveries, lanes

# One statement sees one moment; with no channels, the one row has the version alone.
LOAD_FILTERS: Final = (
    "SELECT v.version, c.id, c.config FROM config_version v LEFT JOIN channels c ON true ORDER BY c.id"
)

_classes = {type_name(channel_class): channel_class for channel_class in CHANNEL_CLASSES}


async def add(connection: AsyncConnection, channel: Channel, seal: Seal) -> Channel:
    """Store a new channel with its lane.

    Raises:
        Conflict: the id is taken.
    """
    statement = insert(channels).values(
        id=channel.id, channel_type=channel.channel_type, **_columns(channel, seal)
    )
    try:
        row = (await connection.execute(statement.returning(channels))).one()
    except IntegrityError:
        raise Conflict(f"the channel id {channel.id!r} is taken") from None
    await connection.execute(upsert(lanes).values(channel_id=channel.id).on_conflict_do_nothing())
    return _of_row(row, seal)


async def get(connection: AsyncConnection, channel_id: str, seal: Seal, *, lock: bool = False) -> Channel:
    """One channel; with `lock`, nobody else changes it until the transaction ends.

    Raises:
        NotFound: there is none.
        Unreadable: this release does not know its type, or its secrets can't be opened.
    """
    statement = select(channels).where(channels.c.id == channel_id)
    row = (await connection.execute(statement.with_for_update() if lock else statement)).one_or_none()
    if row is None:
        raise NotFound(f"there is no channel {channel_id!r}")
    return _of_row(row, seal)


async def page(connection: AsyncConnection, seal: Seal, after: str | None, limit: int) -> list[Channel]:
    """Channels in the order of their ids, those after `after`; secrets that can't be opened are shown as MASK."""
    statement = select(channels).order_by(channels.c.id).limit(limit)
    if after is not None:
        statement = statement.where(channels.c.id > after)
    return [_listed(row, seal) for row in await connection.execute(statement)]


async def change(connection: AsyncConnection, channel: Channel, seal: Seal) -> Channel:
    """Write a changed channel."""
    statement = (
        update(channels)
        .where(channels.c.id == channel.id)
        .values(updated_at=func.now(), **_columns(channel, seal))
        .returning(channels)
    )
    row = (await connection.execute(statement)).one()
    return _of_row(row, seal)


async def remove(connection: AsyncConnection, channel_id: str) -> None:
    """Delete a channel; what waited for it ends as dead, with that reason.

    Raises:
        NotFound: there is none.
    """
    if (await connection.execute(delete(channels).where(channels.c.id == channel_id))).rowcount == 0:
        raise NotFound(f"there is no channel {channel_id!r}")
    await connection.execute(
        update(deliveries)
        .where(deliveries.c.channel_id == channel_id, deliveries.c.state.in_(("pending", "sending")))
        .values(
            state="dead",
            next_attempt_at=None,
            last_reason=Reason.CHANNEL_DELETED,
            last_error="the channel was deleted before this could be sent",
        )
    )


async def all_filters(connection: AsyncConnection) -> dict[str, Filters]:
    """The filters of all channels, by id."""
    rows = await connection.execute(select(channels.c.id, channels.c.config).order_by(channels.c.id))
    return {row.id: msgspec.convert(row.config, Filters) for row in rows}


async def load_filters(driver: Any) -> tuple[int, dict[str, Filters]]:
    """The version of the configuration and the filters of all channels, from one moment."""
    rows = await driver.fetch(LOAD_FILTERS)
    filters = {row["id"]: msgspec.convert(row["config"], Filters) for row in rows if row["id"] is not None}
    return rows[0]["version"], filters


def opened(
    channel_id: str, channel_type: str, config: Any, sealed: bytes, seal: Seal
) -> tuple[Channel | None, str]:
    """A channel with its secrets open, for sending; or None, and why it can't be read."""
    try:
        return _channel(channel_id, channel_type, config, seal.open(sealed, channel_id)), ""
    except Unreadable as error:
        return None, str(error)


def _columns(channel: Channel, seal: Seal) -> dict[str, Any]:
    data = msgspec.to_builtins(channel)
    secret = {name: data[name] for name in channel.SECRET if data[name] is not None}
    hidden = {"id", "channel_type", *channel.SECRET}
    config = {name: value for name, value in data.items() if name not in hidden}
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


def _of_row(row: Any, seal: Seal) -> Channel:
    return _channel(row.id, row.channel_type, row.config, seal.open(row.sealed, row.id))


def _listed(row: Any, seal: Seal) -> Channel:
    """A channel of a list, which one with a broken seal must not make unreadable."""
    try:
        return _of_row(row, seal)
    except SealBroken:
        fields = msgspec.structs.fields(_classes[row.channel_type])
        secret = _classes[row.channel_type].SECRET
        masks = {field.name: MASK for field in fields if field.required and field.name in secret}
        return _channel(row.id, row.channel_type, row.config, masks)
