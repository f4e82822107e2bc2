"""Storage of custom channel templates, combined with the built-in ones.

A custom template takes precedence over a built-in one with the same id, which a later release may have added.
"""

from typing import Any

import msgspec
from sqlalchemy import delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from relay.domain.errors import Conflict, InvalidInput, NotFound, Unreadable
from relay.domain.templates.built_in import IDS, built_in_templates
from relay.domain.templates.channel_templates import ChannelTemplate, parse_channel_template
from relay.store.tables import channel_templates

# Built-in templates are merged into the list, so both need the same order, whatever the database's locale.
_ordered_id = channel_templates.c.id.collate("C")


async def add(connection: AsyncConnection, template: ChannelTemplate) -> None:
    """Store a new template.

    Raises:
        Conflict: the id is taken.
    """
    if template.id in IDS:
        raise Conflict(
            f"the channel template id {template.id!r} is reserved for a built-in template; choose another"
        )
    try:
        await connection.execute(insert(channel_templates).values(id=template.id, body=_body(template)))
    except IntegrityError:
        raise Conflict(f"the channel template id {template.id!r} is taken") from None


async def get(connection: AsyncConnection, template_id: str) -> ChannelTemplate:
    """Return one template, custom or built in.

    Raises:
        NotFound: the template does not exist.
        Unreadable: the template was stored by another release.
    """
    row = (await connection.execute(_one(template_id))).one_or_none()
    if row is not None:
        return _template(row)
    if template_id in built_in_templates():
        return built_in_templates()[template_id]
    raise NotFound(f"there is no channel template {template_id!r}")


async def get_custom(connection: AsyncConnection, template_id: str) -> ChannelTemplate:
    """Return one custom template, and lock it until the transaction ends.

    Raises:
        NotFound: the template does not exist.
        Conflict: the template is built in.
        Unreadable: the template was stored by another release.
    """
    row = (await connection.execute(_one(template_id).with_for_update())).one_or_none()
    if row is None:
        raise _no_custom_template(template_id)
    return _template(row)


async def page(connection: AsyncConnection, after: str | None, limit: int) -> list[ChannelTemplate]:
    """Return templates in the order of their ids, starting after `after`."""
    statement = select(channel_templates).order_by(_ordered_id).limit(limit)
    if after is not None:
        statement = statement.where(_ordered_id > after)
    custom = {row.id: _template(row) for row in await connection.execute(statement)}
    built_in = {key: found for key, found in built_in_templates().items() if after is None or key > after}
    merged = built_in | custom
    return [merged[template_id] for template_id in sorted(merged)][:limit]


async def change(connection: AsyncConnection, template: ChannelTemplate) -> None:
    """Write a template that `get_custom` returned, with changes."""
    statement = update(channel_templates).where(channel_templates.c.id == template.id)
    await connection.execute(statement.values(body=_body(template), updated_at=func.now()))


async def remove(connection: AsyncConnection, template_id: str) -> None:
    """Delete a template. Channels created from it are kept.

    Raises:
        NotFound: the template does not exist.
        Conflict: the template is built in.
    """
    statement = delete(channel_templates).where(channel_templates.c.id == template_id)
    if (await connection.execute(statement)).rowcount == 0:
        raise _no_custom_template(template_id)


def _one(template_id: str) -> Any:
    return select(channel_templates).where(channel_templates.c.id == template_id)


def _no_custom_template(template_id: str) -> Conflict | NotFound:
    if template_id in built_in_templates():
        return Conflict(f"the channel template {template_id!r} is built in; create a custom template from it")
    return NotFound(f"there is no channel template {template_id!r}")


def _body(template: ChannelTemplate) -> dict[str, Any]:
    data = msgspec.to_builtins(template)
    return {name: value for name, value in data.items() if name not in ("id", "builtin")}


def _template(row: Any) -> ChannelTemplate:
    try:
        return parse_channel_template(row.body | {"id": row.id})
    except InvalidInput as error:
        raise Unreadable(f"the channel template {row.id!r} was stored by another release: {error}") from None
