"""Storage of message templates and their versions.

A change of a template updates the channels that use it, so that their lanes load it before the next message.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

import msgspec
from sqlalchemy import delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from relay.domain.channel_types import BaseChannel
from relay.domain.errors import Conflict, InvalidInput, NotFound, Unreadable
from relay.domain.fields import field_and_message
from relay.domain.principals import Tenants, sees
from relay.domain.templates.message_templates import (
    MessageTemplate,
    TemplateContent,
    TemplateVersion,
    parse_message_template,
)
from relay.domain.versions import Action, Change, ObjectKind, ObjectVersion, changes_between
from relay.store.configuration import versions
from relay.store.configuration.channels import lock_configuration
from relay.store.configuration.fallbacks import format_ids
from relay.store.configuration.quotas import Caller, require_room
from relay.store.tables import channels, message_templates

_template_id = channels.c.config["template"].astext
KIND: Final = ObjectKind.MESSAGE_TEMPLATE


async def add(connection: AsyncConnection, template: MessageTemplate, caller: Caller) -> MessageTemplate:
    """Store a new template. Its versions continue those of a deleted one with its id.

    Raises:
        Conflict: the id is already used, or the tenant has no room for another template.
    """
    await lock_configuration(connection)
    await versions.require_same_owner(connection, KIND, template.id, template.tenant_id)
    await require_room(connection, message_templates, template.tenant_id, caller.max_templates)
    statement = insert(message_templates).values(id=template.id, version=0, **_columns(template))
    try:
        await connection.execute(statement)
    except IntegrityError:
        raise Conflict(f"the message template id {template.id!r} is taken") from None
    return await _write_version(connection, caller, Action.CREATED, None, template)


async def get(
    connection: AsyncConnection, template_id: str, tenants: Tenants, *, lock: bool = False
) -> MessageTemplate:
    """Return one template of the tenants; with `lock`, block other changes until the transaction ends.

    Raises:
        NotFound: the template does not exist.
        Unreadable: the template was stored by another release.
    """
    if lock:
        await lock_configuration(connection)
    statement = select(message_templates).where(message_templates.c.id == template_id)
    row = (await connection.execute(statement)).one_or_none()
    if row is None or not sees(tenants, row.tenant_id):
        raise _not_found(template_id)
    return _template(row)


async def for_channel(
    connection: AsyncConnection, channel: BaseChannel, tenants: Tenants = None
) -> MessageTemplate | None:
    """Return the template of a channel, if it has one; with `tenants`, one of these."""
    return None if channel.template is None else await get(connection, channel.template, tenants)


async def page(
    connection: AsyncConnection, tenants: Tenants, after: str | None, limit: int
) -> list[MessageTemplate]:
    """Return templates of the tenants in the order of their ids, starting after `after`."""
    statement = select(message_templates).order_by(message_templates.c.id).limit(limit)
    if tenants is not None:
        statement = statement.where(message_templates.c.tenant_id.in_(tenants))
    if after is not None:
        statement = statement.where(message_templates.c.id > after)
    return [_template(row) for row in await connection.execute(statement)]


async def change(
    connection: AsyncConnection,
    before: MessageTemplate,
    template: MessageTemplate,
    caller: Caller,
    action: Action = Action.UPDATED,
) -> MessageTemplate:
    """Write the next version of a template, which `get` has locked. It applies from the next message.

    Raises:
        Conflict: it gets another tenant, which has no room for another template.
        InvalidInput: channels of other tenants use it.
    """
    if template.tenant_id != before.tenant_id:
        await require_room(connection, message_templates, template.tenant_id, caller.max_templates)
    if template.tenant_id not in (None, before.tenant_id):
        others = func.coalesce(channels.c.tenant_id, "") != template.tenant_id
        if users := await _users(connection, template.id, others):
            raise InvalidInput("tenant_id", f"the template is used by {format_ids(users)} of other tenants")
    await connection.execute(update(channels).where(_template_id == template.id).values(updated_at=func.now()))
    return await _write_version(connection, caller, action, before, template)


async def remove(
    connection: AsyncConnection, template_id: str, caller: Caller, wanted: frozenset[int] | None = None
) -> None:
    """Delete a template. Its versions are kept.

    Raises:
        NotFound: the template does not exist.
        Conflict: channels use it.
        Changed: it is at none of the versions `wanted`.
    """
    before = await get(connection, template_id, caller.tenants, lock=True)
    await versions.require_current(connection, KIND, template_id, wanted)
    if users := await _users(connection, template_id):
        raise Conflict(f"the message template {template_id!r} is used by {format_ids(users)}; change that first")
    await connection.execute(delete(message_templates).where(message_templates.c.id == template_id))
    await versions.record(connection, caller.author, _change(Action.DELETED, before, None))


async def list_versions(
    connection: AsyncConnection, template_id: str, tenants: Tenants, before: int | None, limit: int
) -> list[TemplateVersion]:
    """Return the versions of a template, newest first, starting before `before`.

    Raises:
        NotFound: the template does not exist.
    """
    await get(connection, template_id, tenants)
    found = await versions.of_object(connection, KIND, template_id, tenants, before, limit)
    return [_version(template_id, version) for version in found if version.body is not None]


async def version(connection: AsyncConnection, template_id: str, tenants: Tenants, number: int) -> TemplateVersion:
    """Return one version of a template.

    Raises:
        NotFound: the template or the version does not exist.
    """
    await get(connection, template_id, tenants)
    found = await versions.one(connection, KIND, template_id, tenants, number)
    if found.body is None:
        raise NotFound(f"version {number} of the message template {template_id!r} is its deletion")
    return _version(template_id, found)


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


async def _users(connection: AsyncConnection, template_id: str, *conditions: Any) -> Sequence[str]:
    """The ids of the channels that use a template."""
    users = select(channels.c.id).where(_template_id == template_id, *conditions).order_by(channels.c.id)
    return (await connection.execute(users)).scalars().all()


async def _write_version(
    connection: AsyncConnection,
    caller: Caller,
    action: Action,
    before: MessageTemplate | None,
    template: MessageTemplate,
) -> MessageTemplate:
    number = await versions.record(connection, caller.author, _change(action, before, template))
    statement = (
        update(message_templates)
        .where(message_templates.c.id == template.id)
        .values(version=number, updated_at=func.now(), **_columns(template))
        .returning(message_templates)
    )
    return _template((await connection.execute(statement)).one())


def _change(action: Action, before: MessageTemplate | None, after: MessageTemplate | None) -> Change:
    earlier, later = (None if one is None else _body(one) for one in (before, after))
    template = after or before
    assert template is not None
    return Change(
        kind=KIND,
        object_id=template.id,
        action=action,
        tenant_id=template.tenant_id,
        body=later,
        changes=changes_between(earlier, later),
        routing=action in (Action.UPDATED, Action.RESTORED),
    )


def _columns(template: MessageTemplate) -> dict[str, Any]:
    body = {name: getattr(template, name) for name in TemplateContent.__struct_fields__}
    return {"body": body, "tenant_id": template.tenant_id}


def _body(template: MessageTemplate) -> dict[str, Any]:
    """What versions record."""
    return {name: getattr(template, name) for name in (*TemplateContent.__struct_fields__, "tenant_id")}


def _template(row: Any) -> MessageTemplate:
    version_fields = {"version": row.version, "updated_at": row.updated_at, "tenant_id": row.tenant_id}
    try:
        return parse_message_template(row.body | {"id": row.id} | version_fields)
    except InvalidInput as error:
        raise Unreadable(f"the message template {row.id!r} was stored by another release: {error}") from None


def _version(template_id: str, found: ObjectVersion) -> TemplateVersion:
    assert found.body is not None
    try:
        return msgspec.convert(found.body | {"version": found.number, "created_at": found.at}, TemplateVersion)
    except msgspec.ValidationError as error:
        raise Unreadable(
            f"version {found.number} of the message template {template_id!r} was stored by another release: "
            f"{': '.join(field_and_message(error))}"
        ) from None


def _not_found(template_id: str) -> NotFound:
    return NotFound(f"there is no message template {template_id!r}")
