"""Storage of message templates and their versions.

A change of a template updates the channels that use it, so that their lanes load it before the next message.
"""

from datetime import datetime
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

_template_id = channels.c.config["template"].astext
_versions = message_template_versions.c


async def add(connection: AsyncConnection, template: MessageTemplate) -> MessageTemplate:
    """Store a new template as version 1.

    Raises:
        Conflict: the id is already used.
    """
    statement = insert(message_templates).values(id=template.id, version=1, body=_body(template))
    try:
        row = (await connection.execute(statement.returning(message_templates))).one()
    except IntegrityError:
        raise Conflict(f"the message template id {template.id!r} is taken") from None
    await _insert_version(connection, row)
    return _template(row)


async def get(connection: AsyncConnection, template_id: str, *, lock: bool = False) -> MessageTemplate:
    """Return one template; with `lock`, block other changes of the configuration until the transaction ends.

    Raises:
        NotFound: the template does not exist.
        Unreadable: the template was stored by another release.
    """
    if lock:
        await lock_configuration(connection)
    statement = select(message_templates).where(message_templates.c.id == template_id)
    row = (await connection.execute(statement)).one_or_none()
    if row is None:
        raise _not_found(template_id)
    return _template(row)


async def for_channel(connection: AsyncConnection, channel: BaseChannel) -> MessageTemplate | None:
    """Return the template of a channel, if it has one."""
    return None if channel.template is None else await get(connection, channel.template)


async def page(connection: AsyncConnection, after: str | None, limit: int) -> list[MessageTemplate]:
    """Return templates in the order of their ids, starting after `after`."""
    statement = select(message_templates).order_by(message_templates.c.id).limit(limit)
    if after is not None:
        statement = statement.where(message_templates.c.id > after)
    return [_template(row) for row in await connection.execute(statement)]


async def change(connection: AsyncConnection, template: MessageTemplate) -> MessageTemplate:
    """Write the next version of a template, which `get` has locked. It applies from the next message."""
    statement = (
        update(message_templates)
        .where(message_templates.c.id == template.id)
        .values(version=message_templates.c.version + 1, body=_body(template), updated_at=func.now())
        .returning(message_templates)
    )
    row = (await connection.execute(statement)).one()
    await _insert_version(connection, row)
    await connection.execute(update(channels).where(_template_id == template.id).values(updated_at=func.now()))
    return _template(row)


async def remove(connection: AsyncConnection, template_id: str) -> None:
    """Delete a template with its versions.

    Raises:
        NotFound: the template does not exist.
        Conflict: channels use it.
    """
    await lock_configuration(connection)
    users = select(channels.c.id).where(_template_id == template_id).order_by(channels.c.id)
    if others := (await connection.execute(users)).scalars().all():
        raise Conflict(f"the message template {template_id!r} is used by {format_ids(others)}; change that first")
    statement = delete(message_templates).where(message_templates.c.id == template_id)
    if (await connection.execute(statement)).rowcount == 0:
        raise _not_found(template_id)


async def versions(
    connection: AsyncConnection, template_id: str, before: int | None, limit: int
) -> list[TemplateVersion]:
    """Return the versions of a template, newest first, starting before `before`.

    Raises:
        NotFound: the template does not exist.
    """
    await get(connection, template_id)
    statement = select(message_template_versions).where(_versions.template_id == template_id)
    if before is not None:
        statement = statement.where(_versions.version < before)
    rows = await connection.execute(statement.order_by(_versions.version.desc()).limit(limit))
    return [_version(row) for row in rows]


async def version(connection: AsyncConnection, template_id: str, number: int) -> TemplateVersion:
    """Return one version of a template.

    Raises:
        NotFound: the template or the version does not exist.
    """
    await get(connection, template_id)
    statement = select(message_template_versions).where(
        _versions.template_id == template_id, _versions.version == number
    )
    row = (await connection.execute(statement)).one_or_none()
    if row is None:
        raise NotFound(f"there is no version {number} of the message template {template_id!r}")
    return _version(row)


def from_lease(
    template_id: str | None, version: int | None, body: dict[str, Any] | None, updated_at: datetime | None
) -> MessageTemplate | None:
    """Return the template of a lane's channel; None without one, or if it was stored by another release."""
    if template_id is None or body is None:
        return None
    try:
        return msgspec.convert(
            body | {"id": template_id, "version": version, "updated_at": updated_at}, MessageTemplate
        )
    except msgspec.ValidationError:
        return None


async def _insert_version(connection: AsyncConnection, row: Any) -> None:
    values = {"template_id": row.id, "version": row.version, "body": row.body, "created_at": row.updated_at}
    await connection.execute(insert(message_template_versions).values(**values))


def _body(template: MessageTemplate) -> dict[str, Any]:
    return {name: getattr(template, name) for name in TemplateContent.__struct_fields__}


def _template(row: Any) -> MessageTemplate:
    version_fields = {"version": row.version, "updated_at": row.updated_at}
    try:
        return parse_message_template(row.body | {"id": row.id} | version_fields)
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


def _not_found(template_id: str) -> NotFound:
    return NotFound(f"there is no message template {template_id!r}")
