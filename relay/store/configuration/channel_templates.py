"""Where are the channel templates that people made kept, beside the built-in ones?

A template of a user's own goes before a built-in one of its id, which a later release may have brought.
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

# Built-in templates are sorted in among them, so both must be in one order, whatever the database's language.
_in_order = channel_templates.c.id.collate("C")


async def add(connection: AsyncConnection, template: ChannelTemplate) -> None:
    """Store a new template.

    Raises:
        Conflict: the id is taken.
    """
    if template.id in IDS:
        raise Conflict(f"the channel template id {template.id!r} is that of a built-in one; choose another")
    try:
        await connection.execute(insert(channel_templates).values(id=template.id, body=_body(template)))
    except IntegrityError:
        raise Conflict(f"the channel template id {template.id!r} is taken") from None


async def get(connection: AsyncConnection, template_id: str) -> ChannelTemplate:
    """One template, built-in or not.

    Raises:
        NotFound: there is none.
        Unreadable: it was stored by another release.
    """
    row = (await connection.execute(_one(template_id))).one_or_none()
    if row is not None:
        return _template(row)
    if template_id in built_in_templates():
        return built_in_templates()[template_id]
    raise NotFound(f"there is no channel template {template_id!r}")


async def get_own(connection: AsyncConnection, template_id: str) -> ChannelTemplate:
    """One template that may be changed; nobody else changes it until the transaction ends.

    Raises:
        NotFound: there is none.
        Conflict: it is built in.
        Unreadable: it was stored by another release.
    """
    row = (await connection.execute(_one(template_id).with_for_update())).one_or_none()
    if row is None:
        raise _none_of_ones_own(template_id)
    return _template(row)


async def page(connection: AsyncConnection, after: str | None, limit: int) -> list[ChannelTemplate]:
    """Templates in the order of their ids, those after `after`."""
    statement = select(channel_templates).order_by(_in_order).limit(limit)
    if after is not None:
        statement = statement.where(_in_order > after)
    own = {row.id: _template(row) for row in await connection.execute(statement)}
    built_in = {key: found for key, found in built_in_templates().items() if after is None or key > after}
    every = built_in | own
    return [every[template_id] for template_id in sorted(every)][:limit]


async def change(connection: AsyncConnection, template: ChannelTemplate) -> None:
    """Write a template that `get_own` gave, changed."""
    statement = update(channel_templates).where(channel_templates.c.id == template.id)
    await connection.execute(statement.values(body=_body(template), updated_at=func.now()))


async def remove(connection: AsyncConnection, template_id: str) -> None:
    """Delete a template; the channels that came of it stay.

    Raises:
        NotFound: there is none.
        Conflict: it is built in.
    """
    statement = delete(channel_templates).where(channel_templates.c.id == template_id)
    if (await connection.execute(statement)).rowcount == 0:
        raise _none_of_ones_own(template_id)


def _one(template_id: str) -> Any:
    return select(channel_templates).where(channel_templates.c.id == template_id)


def _none_of_ones_own(template_id: str) -> Conflict | NotFound:
    if template_id in built_in_templates():
        return Conflict(f"the channel template {template_id!r} is built in; make one of your own from it")
    return NotFound(f"there is no channel template {template_id!r}")


def _body(template: ChannelTemplate) -> dict[str, Any]:
    data = msgspec.to_builtins(template)
    return {name: value for name, value in data.items() if name not in ("id", "builtin")}


def _template(row: Any) -> ChannelTemplate:
    try:
        return parse_channel_template(row.body | {"id": row.id})
    except InvalidInput as error:
        raise Unreadable(f"the channel template {row.id!r} was stored by another release: {error}") from None
