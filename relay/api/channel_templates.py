"""Channel templates: starting points for channels, built in or added by users."""

from typing import Any

import msgspec
from litestar import Controller, Response, delete, get, patch, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody
from msgspec import UNSET, UnsetType
from sqlalchemy.ext.asyncio import AsyncConnection

from relay.api.pages import DEFAULT_LIMIT, Cursor, Limit, Page, page_of, text_cursor
from relay.api.preconditions import IfMatch, wanted_versions, with_version
from relay.api.template_patch import TemplatePatch, patch_template
from relay.api.transactions import run_in_transaction
from relay.domain.principals import Access, Principal
from relay.domain.templates.channel_templates import ChannelTemplate, Parameter, parse_channel_template
from relay.domain.templates.checks import validate_channel_template
from relay.store.configuration import channel_templates, versions
from relay.store.configuration.quotas import Caller
from relay.store.postgres.database import Database


class ChannelTemplatePatch(TemplatePatch, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The fields of a channel template to change; null resets a field. `id` may be sent unchanged."""

    parameters: list[Parameter] | UnsetType | None = UNSET
    channels: list[dict[str, Any]] | UnsetType | None = UNSET
    builtin: bool | UnsetType = UNSET


class ChannelTemplatesController(Controller):
    """CRUD. `POST /channels?from_template=ID` creates the channels of a template; built-in ones are read-only."""

    path = "/channel-templates"
    tags = ("channel templates",)

    @post(access=Access.CHANGE)
    async def create(
        self,
        data: JSONBody[ChannelTemplate],
        database: NamedDependency[Database],
        principal: NamedDependency[Principal],
        caller: NamedDependency[Caller],
    ) -> ChannelTemplate:
        """Create a channel template.

        `channels` are bodies as `POST /channels` accepts them. In them, `{"$": "NAME"}` refers to a parameter, as
        a field, an item of a list or a value of an object; `{"$channel": 0}` as `fallback_channel_id` refers to
        an earlier channel of the list. Secret fields must be parameters. The `type` and `secret` of a parameter
        are those of the field that refers to it. An optional parameter without a value has its default; without a
        default, the field is omitted.
        """
        template = _owned(validate_channel_template(data), principal)
        await run_in_transaction(database, lambda connection: channel_templates.add(connection, template, caller))
        return template

    @get(access=Access.READ)
    async def list_all(
        self,
        database: NamedDependency[Database],
        principal: NamedDependency[Principal],
        limit: Limit = DEFAULT_LIMIT,
        cursor: Cursor = None,
    ) -> Page[ChannelTemplate]:
        """List the channel templates with their parameters, ordered by id."""
        async with database.begin() as connection:
            found = await channel_templates.page(connection, principal.tenants, text_cursor(cursor), limit + 1)
        return page_of(found, limit, lambda template: template.id)

    @get("/{template_id:str}", access=Access.READ)
    async def get_one(
        self,
        template_id: FromPath[str],
        database: NamedDependency[Database],
        principal: NamedDependency[Principal],
    ) -> Response[ChannelTemplate]:
        """Get a channel template. The `ETag` is its version."""
        async with database.begin() as connection:
            template = await channel_templates.get(connection, template_id, principal.tenants)
            return await _response(connection, template)

    @patch("/{template_id:str}", access=Access.CHANGE)
    async def change(
        self,
        template_id: FromPath[str],
        data: JSONBody[ChannelTemplatePatch],
        database: NamedDependency[Database],
        principal: NamedDependency[Principal],
        caller: NamedDependency[Caller],
        if_match: IfMatch = None,
    ) -> Response[ChannelTemplate]:
        """Update a channel template by JSON merge patch (RFC 7396). Channels created from it do not change."""

        async def write(connection: AsyncConnection) -> Response[ChannelTemplate]:
            before = await channel_templates.get_custom(connection, template_id, principal.tenants)
            wanted = wanted_versions(if_match)
            await versions.require_current(connection, channel_templates.KIND, template_id, wanted)
            patched = validate_channel_template(parse_channel_template(patch_template(before, data)))
            template = _owned(patched, principal)
            await channel_templates.change(connection, before, template, caller)
            return await _response(connection, template)

        return await run_in_transaction(database, write)

    @delete("/{template_id:str}", access=Access.CHANGE)
    async def remove(
        self,
        template_id: FromPath[str],
        database: NamedDependency[Database],
        caller: NamedDependency[Caller],
        if_match: IfMatch = None,
    ) -> None:
        """Delete a channel template. Channels created from it remain."""
        wanted = wanted_versions(if_match)
        await run_in_transaction(
            database, lambda connection: channel_templates.remove(connection, template_id, caller, wanted)
        )


def _owned(template: ChannelTemplate, principal: Principal) -> ChannelTemplate:
    """The template with the tenant that it gets from the principal."""
    return msgspec.structs.replace(template, tenant_id=principal.owner_of_new(template.tenant_id))


async def _response(connection: AsyncConnection, template: ChannelTemplate) -> Response[ChannelTemplate]:
    """A template with its version; a built-in one has the version 0."""
    numbers = await versions.current(connection, channel_templates.KIND, [template.id])
    return with_version(template, 0 if template.builtin else numbers.get(template.id, 0))
