"""Message templates: users' own texts for the messages of channels."""

import asyncio
from typing import Annotated

import msgspec
from litestar import Controller, Response, delete, get, patch, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody
from msgspec import UNSET, UnsetType
from sqlalchemy.ext.asyncio import AsyncConnection

from relay.api.pages import DEFAULT_LIMIT, Cursor, Limit, Number, Page, number_cursor, page_of, text_cursor
from relay.api.preconditions import IfMatch, wanted_versions, with_version
from relay.api.template_patch import TemplatePatch, patch_template
from relay.api.transactions import run_in_transaction
from relay.domain.principals import Access, Principal
from relay.domain.templates.message_templates import (
    MessageTemplate,
    TemplateContent,
    TemplateVersion,
    parse_message_template,
    validate_message_template,
)
from relay.domain.versions import Action
from relay.notify.templates.checks import check_parts
from relay.store.configuration import message_templates, versions
from relay.store.configuration.quotas import Caller
from relay.store.postgres.database import Database


class MessageTemplatePatch(TemplatePatch, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The fields of a message template to change; null resets a field. `id` may be sent unchanged."""

    title: str | UnsetType | None = UNSET
    body: str | UnsetType | None = UNSET
    alert: str | UnsetType | None = UNSET
    version: Annotated[int, msgspec.Meta(description="Ignored.")] | UnsetType = UNSET
    updated_at: Annotated[str, msgspec.Meta(description="Ignored.")] | UnsetType | None = UNSET


class MessageTemplatesController(Controller):
    """CRUD. A channel refers to a template by its `template`; versions are kept until the template is deleted."""

    path = "/templates"
    tags = ("message templates",)

    @post(access=Access.CHANGE)
    async def create(
        self,
        data: JSONBody[MessageTemplate],
        database: NamedDependency[Database],
        principal: NamedDependency[Principal],
        caller: NamedDependency[Caller],
    ) -> MessageTemplate:
        """Create a message template.

        `title`, `body` and `alert` are Jinja templates; at least one is required, and the relay's built-in text
        replaces the others. `title` is the headline, `body` precedes the alerts, and `alert` is rendered once per
        alert.
        """
        template = await _checked(data, principal)
        return await run_in_transaction(
            database, lambda connection: message_templates.add(connection, template, caller)
        )

    @get(access=Access.READ)
    async def list_all(
        self,
        database: NamedDependency[Database],
        principal: NamedDependency[Principal],
        limit: Limit = DEFAULT_LIMIT,
        cursor: Cursor = None,
    ) -> Page[MessageTemplate]:
        """List the message templates, ordered by id."""
        async with database.begin() as connection:
            found = await message_templates.page(connection, principal.tenants, text_cursor(cursor), limit + 1)
        return page_of(found, limit, lambda template: template.id)

    @get("/{template_id:str}", access=Access.READ)
    async def get_one(
        self,
        template_id: FromPath[str],
        database: NamedDependency[Database],
        principal: NamedDependency[Principal],
    ) -> Response[MessageTemplate]:
        """Get a message template. The `ETag` is its version."""
        async with database.begin() as connection:
            template = await message_templates.get(connection, template_id, principal.tenants)
        return with_version(template, template.version)

    @patch("/{template_id:str}", access=Access.CHANGE)
    async def change(
        self,
        template_id: FromPath[str],
        data: JSONBody[MessageTemplatePatch],
        database: NamedDependency[Database],
        principal: NamedDependency[Principal],
        caller: NamedDependency[Caller],
        if_match: IfMatch = None,
    ) -> Response[MessageTemplate]:
        """Update a message template by JSON merge patch (RFC 7396). It applies from the next message on."""

        async def write(connection: AsyncConnection) -> MessageTemplate:
            before = await message_templates.get(connection, template_id, principal.tenants, lock=True)
            wanted = wanted_versions(if_match)
            await versions.require_current(connection, message_templates.KIND, template_id, wanted)
            fields = patch_template(before, data, version=before.version, updated_at=before.updated_at)
            template = await _checked(parse_message_template(fields), principal)
            return await message_templates.change(connection, before, template, caller)

        template = await run_in_transaction(database, write)
        return with_version(template, template.version)

    @delete("/{template_id:str}", access=Access.CHANGE)
    async def remove(
        self,
        template_id: FromPath[str],
        database: NamedDependency[Database],
        caller: NamedDependency[Caller],
        if_match: IfMatch = None,
    ) -> None:
        """Delete a message template. Fails with 409 while channels use it."""
        wanted = wanted_versions(if_match)
        await run_in_transaction(
            database, lambda connection: message_templates.remove(connection, template_id, caller, wanted)
        )

    @get("/{template_id:str}/versions", access=Access.READ)
    async def list_versions(
        self,
        template_id: FromPath[str],
        database: NamedDependency[Database],
        principal: NamedDependency[Principal],
        limit: Limit = DEFAULT_LIMIT,
        cursor: Cursor = None,
    ) -> Page[TemplateVersion]:
        """List the versions of a message template, newest first."""
        async with database.begin() as connection:
            found = await message_templates.list_versions(
                connection, template_id, principal.tenants, number_cursor(cursor), limit + 1
            )
        return page_of(found, limit, lambda version: version.version)

    @get("/{template_id:str}/versions/{number:int}", access=Access.READ)
    async def get_version(
        self,
        template_id: FromPath[str],
        number: Number,
        database: NamedDependency[Database],
        principal: NamedDependency[Principal],
    ) -> TemplateVersion:
        """Get a version of a message template."""
        async with database.begin() as connection:
            return await message_templates.version(connection, template_id, principal.tenants, number)

    @post("/{template_id:str}/versions/{number:int}/restore", status_code=200, access=Access.CHANGE)
    async def restore(
        self,
        template_id: FromPath[str],
        number: Number,
        database: NamedDependency[Database],
        principal: NamedDependency[Principal],
        caller: NamedDependency[Caller],
    ) -> MessageTemplate:
        """Restore a version as a new version."""

        async def write(connection: AsyncConnection) -> MessageTemplate:
            before = await message_templates.get(connection, template_id, principal.tenants, lock=True)
            version = await message_templates.version(connection, template_id, principal.tenants, number)
            texts = {name: getattr(version, name) for name in TemplateContent.__struct_fields__}
            template = await _checked(msgspec.structs.replace(before, **texts), principal)
            return await message_templates.change(connection, before, template, caller, Action.RESTORED)

        return await run_in_transaction(database, write)


async def _checked(template: MessageTemplate, principal: Principal) -> MessageTemplate:
    """The template, valid and with the tenant that it gets from the principal."""
    valid = validate_message_template(template)
    valid = msgspec.structs.replace(valid, tenant_id=principal.owner_of_new(valid.tenant_id))
    # Compiling a long template would block the event loop.
    await asyncio.to_thread(check_parts, valid.parts)
    return valid
