"""Channel templates: starting points for channels, those that come with the relay and people's own."""

from typing import Any

import msgspec
from litestar import Controller, delete, get, patch, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody
from msgspec import UNSET, UnsetType
from sqlalchemy.ext.asyncio import AsyncConnection

from relay.api.pages import DEFAULT_LIMIT, Cursor, Limit, Page, page_of, text_cursor
from relay.api.transactions import transacted
from relay.domain.errors import InvalidInput
from relay.domain.templates.channel_templates import ChannelTemplate, Parameter, parse_channel_template
from relay.domain.templates.checks import validate_channel_template
from relay.store.configuration import channel_templates
from relay.store.postgres.database import Database


class ChannelTemplatePatch(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Some fields of a template; null sets one back. What can't be changed may be sent back as it was."""

    id: str | UnsetType = UNSET
    name: str | UnsetType | None = UNSET
    description: str | UnsetType | None = UNSET
    parameters: list[Parameter] | UnsetType | None = UNSET
    channels: list[dict[str, Any]] | UnsetType | None = UNSET
    builtin: bool | UnsetType = UNSET


class ChannelTemplatesController(Controller):
    """CRUD. `POST /channels?from_template=ID` makes channels of one; built-in ones can only be read."""

    path = "/channel-templates"
    tags = ("channel templates",)

    @post()
    async def create(
        self, data: JSONBody[ChannelTemplate], database: NamedDependency[Database]
    ) -> ChannelTemplate:
        """Add a template of one's own.

        `channels` are bodies as `POST /channels` takes them, in which `{"$": "NAME"}` stands for a parameter, as a
        field, an item of a list or a value of an object, and `{"$channel": 0}` as `fallback_channel_id` for a
        channel further up. Secret fields hold parameters alone. A parameter's `type` and `secret` follow from
        where it stands. One that is not required and not given has its default, or what it stands for is left out.
        """
        template = validate_channel_template(data)
        await transacted(database, lambda connection: channel_templates.add(connection, template))
        return template

    @get()
    async def list_all(
        self, database: NamedDependency[Database], limit: Limit = DEFAULT_LIMIT, cursor: Cursor = None
    ) -> Page[ChannelTemplate]:
        """List the templates in the order of their ids, with the parameters that they ask for."""
        async with database.begin() as connection:
            found = await channel_templates.page(connection, text_cursor(cursor), limit + 1)
        return page_of(found, limit, lambda template: template.id)

    @get("/{template_id:str}")
    async def get_one(self, template_id: FromPath[str], database: NamedDependency[Database]) -> ChannelTemplate:
        """Show one template."""
        async with database.begin() as connection:
            return await channel_templates.get(connection, template_id)

    @patch("/{template_id:str}")
    async def change(
        self,
        template_id: FromPath[str],
        data: JSONBody[ChannelTemplatePatch],
        database: NamedDependency[Database],
    ) -> ChannelTemplate:
        """Change a template by JSON merge patch (RFC 7396); the channels that came of it stay as they are."""

        async def write(connection: AsyncConnection) -> ChannelTemplate:
            template = _patched(await channel_templates.get_own(connection, template_id), data)
            await channel_templates.change(connection, template)
            return template

        return await transacted(database, write)

    @delete("/{template_id:str}")
    async def remove(self, template_id: FromPath[str], database: NamedDependency[Database]) -> None:
        """Delete a template; the channels that came of it stay."""
        await transacted(database, lambda connection: channel_templates.remove(connection, template_id))


def _patched(template: ChannelTemplate, patch: ChannelTemplatePatch) -> ChannelTemplate:
    if patch.id not in (UNSET, template.id):
        raise InvalidInput("id", "can't be changed; create another template instead")
    data = msgspec.to_builtins(template) | msgspec.to_builtins(patch)
    return validate_channel_template(
        parse_channel_template({name: value for name, value in data.items() if value is not None})
    )
