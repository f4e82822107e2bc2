"""Storage of custom channel templates, combined with the built-in ones.

A custom template takes precedence over a built-in one with the same id, which a later release may have added.
"""

from typing import Any, Final

import msgspec
from sqlalchemy import delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from relay.domain.errors import Conflict, InvalidInput, NotFound, Unreadable
from relay.domain.principals import Tenants
from relay.domain.templates.built_in import IDS, built_in_templates
from relay.domain.templates.channel_templates import ChannelTemplate, parse_channel_template
from relay.domain.versions import Action, Change, ObjectKind, changes_between
from relay.store.configuration import versions
from relay.store.configuration.channels import lock_configuration
from relay.store.configuration.quotas import Caller, require_room
from relay.store.tables import channel_templates

KIND: Final = ObjectKind.CHANNEL_TEMPLATE

# Built-in templates are merged into the list, so both need the same order, whatever the database's locale.
_ordered_id = channel_templates.c.id.collate("C")


async def add(connection: AsyncConnection, template: ChannelTemplate, caller: Caller) -> None:
    """Store a new template.

    Raises:
        Conflict: the id is taken, or the tenant has no room for another template.
    """
    if template.id in IDS:
        raise Conflict(
            f"the channel template id {template.id!r} is reserved for a built-in template; choose another"
        )
    await lock_configuration(connection)
    await versions.require_same_owner(connection, KIND, template.id, template.tenant_id)
    await require_room(connection, channel_templates, template.tenant_id, caller.max_templates)
    try:
        await connection.execute(insert(channel_templates).values(id=template.id, **_columns(template)))
    except IntegrityError:
        raise Conflict(f"the channel template id {template.id!r} is taken") from None
    await _record(connection, caller, Action.CREATED, None, template)


async def get(connection: AsyncConnection, template_id: str, tenants: Tenants) -> ChannelTemplate:
    """Return one template, one of the tenants or built in.

    Raises:
        NotFound: the template does not exist.
        Unreadable: the template was stored by another release.
    """
    row = (await connection.execute(_one(template_id, tenants))).one_or_none()
    if row is not None:
        return _template(row)
    if template_id in built_in_templates():
        return built_in_templates()[template_id]
    raise NotFound(f"there is no channel template {template_id!r}")


async def get_custom(connection: AsyncConnection, template_id: str, tenants: Tenants) -> ChannelTemplate:
    """Return one custom template of the tenants, and lock it until the transaction ends.

    Raises:
        NotFound: the template does not exist.
        Conflict: the template is built in.
        Unreadable: the template was stored by another release.
    """
    row = (await connection.execute(_one(template_id, tenants).with_for_update())).one_or_none()
    if row is None:
        raise _no_custom_template(template_id)
    return _template(row)


async def page(
    connection: AsyncConnection, tenants: Tenants, after: str | None, limit: int
) -> list[ChannelTemplate]:
    """Return templates of the tenants and built-in ones in the order of their ids, starting after `after`."""
    statement = select(channel_templates).where(*_visible(tenants)).order_by(_ordered_id).limit(limit)
    if after is not None:
        statement = statement.where(_ordered_id > after)
    custom = {row.id: _template(row) for row in await connection.execute(statement)}
    built_in = {key: found for key, found in built_in_templates().items() if after is None or key > after}
    merged = built_in | custom
    return [merged[template_id] for template_id in sorted(merged)][:limit]


async def change(
    connection: AsyncConnection, before: ChannelTemplate, template: ChannelTemplate, caller: Caller
) -> None:
    """Write a template that `get_custom` returned as `before`, with changes.

    Raises:
        Conflict: it gets another tenant, which has no room for another template.
    """
    if template.tenant_id != before.tenant_id:
        await lock_configuration(connection)
        await require_room(connection, channel_templates, template.tenant_id, caller.max_templates)
    statement = update(channel_templates).where(channel_templates.c.id == template.id)
    await connection.execute(statement.values(updated_at=func.now(), **_columns(template)))
    await _record(connection, caller, Action.UPDATED, before, template)


async def remove(
    connection: AsyncConnection, template_id: str, caller: Caller, wanted: frozenset[int] | None = None
) -> None:
    """Delete a template. Channels created from it are kept.

    Raises:
        NotFound: the template does not exist.
        Conflict: the template is built in.
        Changed: it is at none of the versions `wanted`.
    """
    template = await get_custom(connection, template_id, caller.tenants)
    await versions.require_current(connection, KIND, template_id, wanted)
    await connection.execute(delete(channel_templates).where(channel_templates.c.id == template_id))
    await _record(connection, caller, Action.DELETED, template, None)


async def _record(
    connection: AsyncConnection,
    caller: Caller,
    action: Action,
    before: ChannelTemplate | None,
    after: ChannelTemplate | None,
) -> None:
    earlier, later = (None if one is None else _body(one) for one in (before, after))
    template = after or before
    assert template is not None
    change = Change(
        kind=KIND,
        object_id=template.id,
        action=action,
        tenant_id=template.tenant_id,
        body=later,
        changes=changes_between(earlier, later),
    )
    await versions.record(connection, caller.author, change)


def _one(template_id: str, tenants: Tenants) -> Any:
    return select(channel_templates).where(channel_templates.c.id == template_id, *_visible(tenants))


def _visible(tenants: Tenants) -> list[Any]:
    return [] if tenants is None else [channel_templates.c.tenant_id.in_(tenants)]


def _no_custom_template(template_id: str) -> Conflict | NotFound:
    if template_id in built_in_templates():
        return Conflict(f"the channel template {template_id!r} is built in; create a custom template from it")
    return NotFound(f"there is no channel template {template_id!r}")


def _body(template: ChannelTemplate) -> dict[str, Any]:
    data = msgspec.to_builtins(template)
    return {name: value for name, value in data.items() if name not in ("id", "builtin")}


def _columns(template: ChannelTemplate) -> dict[str, Any]:
    return {"body": _body(template), "tenant_id": template.tenant_id}


def _template(row: Any) -> ChannelTemplate:
    try:
        return parse_channel_template(row.body | {"id": row.id, "tenant_id": row.tenant_id})
    except InvalidInput as error:
        raise Unreadable(f"the channel template {row.id!r} was stored by another release: {error}") from None
