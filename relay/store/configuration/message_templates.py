"""Where are message templates kept, with all that they ever said?

Changing one changes the stamp of the channels that name it, so that whoever sends for them reads it anew before
the next message.
"""

from typing import Any

import msgspec
from sqlalchemy import delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from relay.domain.channel_types import BaseChannel
from relay.domain.errors import Conflict, InvalidInput, NotFound, Unreadable
from relay.domain.fields import field_and_message
from relay.domain.templates.message_templates import (
    MessageTemplate,
    TemplateContent,
    TemplateVersion,
    parse_message_template,
)
from relay.store.configuration.channels import lock_configuration
from relay.store.configuration.fallbacks import format_ids
from relay.store.tables import channels, message_template_versions, message_templates

_named = channels.c.config["template"].astext
_versions = message_template_versions.c


async def add(connection: AsyncConnection, template: MessageTemplate) -> MessageTemplate:
    """Store a new template, as its version 1.

    Raises:
        Conflict: the id is taken.
    """
    statement = insert(message_templates).values(id=template.id, version=1, body=_body(template))
    try:
        row = (await connection.execute(statement.returning(message_templates))).one()
    except IntegrityError:
        raise Conflict(f"the message template id {template.id!r} is taken") from None
    await _keep_version(connection, row)
    return _template(row)


async def get(connection: AsyncConnection, template_id: str, *, changing: bool = False) -> MessageTemplate:
    """One template; if it is about to change, nobody else changes it, or any channel, until the transaction ends.

    Raises:
        NotFound: there is none.
        Unreadable: it was stored by another release.
    """
    if changing:
        await lock_configuration(connection)
    statement = select(message_templates).where(message_templates.c.id == template_id)
    row = (await connection.execute(statement)).one_or_none()
    if row is None:
        raise _none(template_id)
    return _template(row)


async def for_channel(connection: AsyncConnection, channel: BaseChannel) -> MessageTemplate | None:
    """The template that a channel names, if it names one."""
    return None if channel.template is None else await get(connection, channel.template)


async def page(connection: AsyncConnection, after: str | None, limit: int) -> list[MessageTemplate]:
    """Templates in the order of their ids, those after `after`."""
    statement = select(message_templates).order_by(message_templates.c.id).limit(limit)
    if after is not None:
        statement = statement.where(message_templates.c.id > after)
    return [_template(row) for row in await connection.execute(statement)]


async def change(connection: AsyncConnection, template: MessageTemplate) -> MessageTemplate:
    """Write a template that `get` gave to be changed, as its next version; it governs the very next message."""
    statement = (
        update(message_templates)
        .where(message_templates.c.id == template.id)
        .values(version=message_templates.c.version + 1, body=_body(template), updated_at=func.now())
        .returning(message_templates)
    )
    row = (await connection.execute(statement)).one()
    await _keep_version(connection, row)
    await connection.execute(update(channels).where(_named == template.id).values(updated_at=func.now()))
    return _template(row)


async def remove(connection: AsyncConnection, template_id: str) -> None:
    """Delete a template with its versions.

    Raises:
        NotFound: there is none.
        Conflict: channels name it.
    """
    await lock_configuration(connection)
    named_by = select(channels.c.id).where(_named == template_id).order_by(channels.c.id)
    if others := (await connection.execute(named_by)).scalars().all():
        raise Conflict(f"the message template {template_id!r} is that of {format_ids(others)}; change that first")
    statement = delete(message_templates).where(message_templates.c.id == template_id)
    if (await connection.execute(statement)).rowcount == 0:
        raise _none(template_id)


async def versions(
    connection: AsyncConnection, template_id: str, before: int | None, limit: int
) -> list[TemplateVersion]:
    """The versions of a template, the newest first, those before `before`.

    Raises:
        NotFound: there is no such template.
    """
    await get(connection, template_id)
    statement = select(message_template_versions).where(_versions.template_id == template_id)
    if before is not None:
        statement = statement.where(_versions.version < before)
    rows = await connection.execute(statement.order_by(_versions.version.desc()).limit(limit))
    return [_version(row) for row in rows]


async def version(connection: AsyncConnection, template_id: str, number: int) -> TemplateVersion:
    """One version of a template.

    Raises:
        NotFound: there is no such template, or version of it.
    """
    await get(connection, template_id)
    statement = select(message_template_versions).where(
        _versions.template_id == template_id, _versions.version == number
    )
    row = (await connection.execute(statement)).one_or_none()
    if row is None:
        raise NotFound(f"there is no version {number} of the message template {template_id!r}")
    return _version(row)


def from_lease(row: Any) -> MessageTemplate | None:
    """The template of a lane's channel; None without one, and if it was stored by another release."""
    if row["template_id"] is None:
        return None
    stamps = {"version": row["template_version"], "updated_at": row["template_updated_at"]}
    try:
        return msgspec.convert(row["template_body"] | {"id": row["template_id"]} | stamps, MessageTemplate)
    except msgspec.ValidationError:
        return None


async def _keep_version(connection: AsyncConnection, row: Any) -> None:
    kept = {"template_id": row.id, "version": row.version, "body": row.body, "created_at": row.updated_at}
    await connection.execute(insert(message_template_versions).values(**kept))


def _body(template: MessageTemplate) -> dict[str, Any]:
    return {name: getattr(template, name) for name in TemplateContent.__struct_fields__}


def _template(row: Any) -> MessageTemplate:
    stamps = {"version": row.version, "updated_at": row.updated_at}
    try:
        return parse_message_template(row.body | {"id": row.id} | stamps)
    except InvalidInput as error:
        raise Unreadable(f"the message template {row.id!r} was stored by another release: {error}") from None


def _version(row: Any) -> TemplateVersion:
    try:
        return msgspec.convert(row.body | {"version": row.version, "created_at": row.created_at}, TemplateVersion)
    except msgspec.ValidationError as error:
        raise Unreadable(
            f"version {row.version} of the message template {row.template_id!r} was stored by another release: "
            f"{': '.join(field_and_message(error))}"
        ) from None


def _none(template_id: str) -> NotFound:
    return NotFound(f"there is no message template {template_id!r}")
