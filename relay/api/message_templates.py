"""Message templates: users' own texts for the messages of channels."""

import asyncio
from typing import Annotated

import msgspec
from litestar import Controller, delete, get, patch, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody
from msgspec import UNSET, UnsetType
from sqlalchemy.ext.asyncio import AsyncConnection

from relay.api.pages import DEFAULT_LIMIT, Cursor, Limit, Number, Page, number_cursor, page_of, text_cursor
from relay.api.template_patch import TemplatePatch, patch_template
from relay.api.transactions import run_in_transaction
from relay.domain.templates.message_templates import (
    MessageTemplate,
    TemplateContent,
    TemplateVersion,
    parse_message_template,
    validate_message_template,
)
from relay.notify.templates.checks import check_parts
from relay.store.configuration import message_templates
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

    @post()
    async def create(
        self, data: JSONBody[MessageTemplate], database: NamedDependency[Database]
    ) -> MessageTemplate:
        """Create a message template.

        `title`, `body` and `alert` are Jinja templates; at least one is required, and the relay's built-in text
        replaces the others. `title` is the headline, `body` precedes the alerts, and `alert` is rendered once per
        alert.
        """
        template = await _checked(data)
        return await run_in_transaction(database, lambda connection: message_templates.add(connection, template))

    @get()
    async def list_all(
        self, database: NamedDependency[Database], limit: Limit = DEFAULT_LIMIT, cursor: Cursor = None
    ) -> Page[MessageTemplate]:
        """List the message templates, ordered by id."""
        async with database.begin() as connection:
            found = await message_templates.page(connection, text_cursor(cursor), limit + 1)
        return page_of(found, limit, lambda template: template.id)

    @get("/{template_id:str}")
    async def get_one(self, template_id: FromPath[str], database: NamedDependency[Database]) -> MessageTemplate:
        """Get a message template."""
        async with database.begin() as connection:
            return await message_templates.get(connection, template_id)

    @patch("/{template_id:str}")
    async def change(
        self,
        template_id: FromPath[str],
        data: JSONBody[MessageTemplatePatch],
        database: NamedDependency[Database],
    ) -> MessageTemplate:
        """Update a message template by JSON merge patch (RFC 7396). It applies from the next message on."""

        async def write(connection: AsyncConnection) -> MessageTemplate:
            before = await message_templates.get(connection, template_id, lock=True)
            fields = patch_template(before, data, version=before.version, updated_at=before.updated_at)
            template = await _checked(parse_message_template(fields))
            return await message_templates.change(connection, template)

        return await run_in_transaction(database, write)

    @delete("/{template_id:str}")
    async def remove(self, template_id: FromPath[str], database: NamedDependency[Database]) -> None:
        """Delete a message template and its versions. Fails with 409 while channels use it."""
        await run_in_transaction(database, lambda connection: message_templates.remove(connection, template_id))

    @get("/{template_id:str}/versions")
    async def list_versions(
        self,
        template_id: FromPath[str],
        database: NamedDependency[Database],
        limit: Limit = DEFAULT_LIMIT,
        cursor: Cursor = None,
    ) -> Page[TemplateVersion]:
        """List the versions of a message template, newest first."""
        async with database.begin() as connection:
            found = await message_templates.versions(connection, template_id, number_cursor(cursor), limit + 1)
        return page_of(found, limit, lambda version: version.version)

    @get("/{template_id:str}/versions/{number:int}")
    async def get_version(
        self, template_id: FromPath[str], number: Number, database: NamedDependency[Database]
    ) -> TemplateVersion:
        """Get a version of a message template."""
        async with database.begin() as connection:
            return await message_templates.version(connection, template_id, number)

    @post("/{template_id:str}/versions/{number:int}/restore", status_code=200)
    async def restore(
        self, template_id: FromPath[str], number: Number, database: NamedDependency[Database]
    ) -> MessageTemplate:
        """Restore a version as a new version."""

        async def write(connection: AsyncConnection) -> MessageTemplate:
            before = await message_templates.get(connection, template_id, lock=True)
            version = await message_templates.version(connection, template_id, number)
            texts = {name: getattr(version, name) for name in TemplateContent.__struct_fields__}
            return await message_templates.change(
                connection, await _checked(msgspec.structs.replace(before, **texts))
            )

        return await run_in_transaction(database, write)


async def _checked(template: MessageTemplate) -> MessageTemplate:
    valid = validate_message_template(template)
    # Compiling a long template would block the event loop.
    await asyncio.to_thread(check_parts, valid.parts)
    return valid
