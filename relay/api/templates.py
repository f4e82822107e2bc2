"""Message templates: people's own words for what channels tell."""

import asyncio

import msgspec
from litestar import Controller, delete, get, patch, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody
from msgspec import UNSET, UnsetType
from sqlalchemy.ext.asyncio import AsyncConnection

from relay.api.pages import DEFAULT_LIMIT, Cursor, Limit, Number, Page, number_cursor, page_of, text_cursor
from relay.api.transactions import transacted
from relay.domain.errors import InvalidInput
from relay.domain.templates.message_templates import (
    PARTS,
    MessageTemplate,
    TemplateVersion,
    parse_message_template,
    validate_message_template,
)
from relay.notify.templates.sandbox import check_parts
from relay.store.configuration import message_templates
from relay.store.postgres.database import Database


class MessageTemplatePatch(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Some fields of a template; null sets one back. What can't be changed may be sent back as it was."""

    id: str | UnsetType = UNSET
    name: str | UnsetType | None = UNSET
    description: str | UnsetType | None = UNSET
    title: str | UnsetType | None = UNSET
    body: str | UnsetType | None = UNSET
    alert: str | UnsetType | None = UNSET
    version: int | UnsetType = UNSET
    updated_at: str | UnsetType | None = UNSET


class TemplatesController(Controller):
    """CRUD. A channel names one as its `template`; every version is kept until the template is deleted."""

    path = "/templates"
    tags = ("message templates",)

    @post()
    async def create(
        self, data: JSONBody[MessageTemplate], database: NamedDependency[Database]
    ) -> MessageTemplate:
        """Add a template.

        `title`, `body` and `alert` are Jinja, at least one of them; a part left out keeps the relay's own words.
        `title` stands for the headline, `body` before the alerts, and `alert` is written once for each alert.
        """
        template = await _checked(data)
        return await transacted(database, lambda connection: message_templates.add(connection, template))

    @get()
    async def list_all(
        self, database: NamedDependency[Database], limit: Limit = DEFAULT_LIMIT, cursor: Cursor = None
    ) -> Page[MessageTemplate]:
        """List the templates in the order of their ids."""
        async with database.begin() as connection:
            found = await message_templates.page(connection, text_cursor(cursor), limit + 1)
        return page_of(found, limit, lambda template: template.id)

    @get("/{template_id:str}")
    async def get_one(self, template_id: FromPath[str], database: NamedDependency[Database]) -> MessageTemplate:
        """Show one template."""
        async with database.begin() as connection:
            return await message_templates.get(connection, template_id)

    @patch("/{template_id:str}")
    async def change(
        self,
        template_id: FromPath[str],
        data: JSONBody[MessageTemplatePatch],
        database: NamedDependency[Database],
    ) -> MessageTemplate:
        """Change a template by JSON merge patch (RFC 7396); it governs the very next message."""

        async def write(connection: AsyncConnection) -> MessageTemplate:
            before = await message_templates.get(connection, template_id, changing=True)
            return await message_templates.change(connection, await _checked(_patched(before, data)))

        return await transacted(database, write)

    @delete("/{template_id:str}")
    async def remove(self, template_id: FromPath[str], database: NamedDependency[Database]) -> None:
        """Delete a template and its versions; one that channels name is kept, and they are named."""
        await transacted(database, lambda connection: message_templates.remove(connection, template_id))

    @get("/{template_id:str}/versions")
    async def list_versions(
        self,
        template_id: FromPath[str],
        database: NamedDependency[Database],
        limit: Limit = DEFAULT_LIMIT,
        cursor: Cursor = None,
    ) -> Page[TemplateVersion]:
        """List all that a template ever said, the newest first."""
        async with database.begin() as connection:
            found = await message_templates.versions(connection, template_id, number_cursor(cursor), limit + 1)
        return page_of(found, limit, lambda version: version.version)

    @get("/{template_id:str}/versions/{number:int}")
    async def get_version(
        self, template_id: FromPath[str], number: Number, database: NamedDependency[Database]
    ) -> TemplateVersion:
        """Show one version of a template."""
        async with database.begin() as connection:
            return await message_templates.version(connection, template_id, number)

    @post("/{template_id:str}/versions/{number:int}/restore", status_code=200)
    async def restore(
        self, template_id: FromPath[str], number: Number, database: NamedDependency[Database]
    ) -> MessageTemplate:
        """Say again what a version said, as a new version."""

        async def write(connection: AsyncConnection) -> MessageTemplate:
            before = await message_templates.get(connection, template_id, changing=True)
            wanted = await message_templates.version(connection, template_id, number)
            said = {name: getattr(wanted, name) for name in ("name", "description", *PARTS)}
            return await message_templates.change(
                connection, await _checked(msgspec.structs.replace(before, **said))
            )

        return await transacted(database, write)


async def _checked(template: MessageTemplate) -> MessageTemplate:
    made = validate_message_template(template)
    # Off the event loop: a long one takes a while to compile.
    await asyncio.to_thread(check_parts, made.parts)
    return made


def _patched(template: MessageTemplate, patch: MessageTemplatePatch) -> MessageTemplate:
    if patch.id not in (UNSET, template.id):
        raise InvalidInput("id", "can't be changed; create another template instead")
    data = msgspec.to_builtins(template) | msgspec.to_builtins(patch)
    kept = {"version": template.version, "updated_at": template.updated_at}
    return parse_message_template({name: value for name, value in (data | kept).items() if value is not None})
