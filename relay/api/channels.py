"""Channels: the destinations of alerts, configured at run time."""

from typing import Annotated

import msgspec
from litestar import Controller, Response, delete, get, patch, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody, QueryParameter
from sqlalchemy.ext.asyncio import AsyncConnection

from relay.api.channel_bodies import ChannelBody, ChannelPatch, ChannelView, CreatedChannels
from relay.api.channel_views import check, may_repair, view_of, views_of
from relay.api.pages import DEFAULT_LIMIT, Cursor, Limit, Page, page_of, text_cursor
from relay.api.preconditions import IfMatch, wanted_versions, with_version
from relay.api.transactions import run_in_transaction
from relay.domain.channel_types import Channel
from relay.domain.channels import merge_patch, parse_channel
from relay.domain.errors import InvalidInput, NotFound
from relay.domain.health import ChannelHealth
from relay.domain.principals import Access, Principal
from relay.domain.templates.channel_templates import TemplatedChannel, instantiate
from relay.domain.versions import ObjectKind
from relay.notify.transport.egress_policy import EgressPolicy
from relay.store.configuration import channel_templates, channels, versions
from relay.store.configuration.quotas import Caller
from relay.store.configuration.seal import Seal
from relay.store.outbox.channel_changes import start_over
from relay.store.postgres.database import Database
from relay.store.reports import channel_health

FromTemplate = Annotated[
    str | None,
    QueryParameter(
        description=(
            "The id of a channel template. The body then contains values for its parameters, and fields that "
            "override those of its channels. Either all channels of the template are created or none; the "
            "response lists them."
        )
    ),
]


class ChannelsController(Controller):
    """CRUD. Secret fields are write-only: responses mask them, and a masked value in a request changes nothing."""

    path = "/channels"
    tags = ("channels",)

    @post(access=Access.CHANGE)
    async def create(
        self,
        data: JSONBody[ChannelBody],
        database: NamedDependency[Database],
        seal: NamedDependency[Seal],
        principal: NamedDependency[Principal],
        caller: NamedDependency[Caller],
        egress_policy: NamedDependency[EgressPolicy],
        from_template: FromTemplate = None,
    ) -> ChannelView | CreatedChannels:
        """Create a channel, effective from the next webhook on; with `from_template`, those of a template."""
        if from_template is not None:
            templated = FromTemplateRequest(from_template, data, principal)
            return await _create_all(templated, database, seal, egress_policy, caller)
        channel = _owned(parse_channel(data.writable()), principal)
        await check(channel, egress_policy)

        async def add(connection: AsyncConnection) -> ChannelView:
            await channels.add(connection, channel, seal, caller)
            return await view_of(connection, channel)

        return await run_in_transaction(database, add)

    @get(access=Access.READ)
    async def list_all(
        self,
        database: NamedDependency[Database],
        seal: NamedDependency[Seal],
        principal: NamedDependency[Principal],
        limit: Limit = DEFAULT_LIMIT,
        cursor: Cursor = None,
    ) -> Page[ChannelView]:
        """List the channels, ordered by id."""
        async with database.begin() as connection:
            found = await channels.page(connection, seal, principal.tenants, text_cursor(cursor), limit + 1)
            page = page_of(found, limit, lambda channel: channel.id)
            return Page(await views_of(connection, page.items), page.next)

    @get("/{channel_id:str}", access=Access.READ)
    async def get_one(
        self,
        channel_id: FromPath[str],
        database: NamedDependency[Database],
        seal: NamedDependency[Seal],
        principal: NamedDependency[Principal],
    ) -> Response[ChannelView]:
        """Get a channel. The `ETag` is its version."""
        async with database.begin() as connection:
            channel = await channels.get(connection, channel_id, seal, principal.tenants)
            view = await view_of(connection, channel)
        return with_version(view, view["version"])

    @get("/{channel_id:str}/health", access=Access.READ)
    async def get_health(
        self,
        channel_id: FromPath[str],
        database: NamedDependency[Database],
        principal: NamedDependency[Principal],
    ) -> ChannelHealth:
        """Get the health of a channel: results of its attempts, and its pending deliveries."""
        async with database.begin() as connection:
            return await channel_health.of_channel(connection, channel_id, principal.tenants)

    @patch("/{channel_id:str}", access=Access.CHANGE)
    async def change(
        self,
        channel_id: FromPath[str],
        data: JSONBody[ChannelPatch],
        database: NamedDependency[Database],
        seal: NamedDependency[Seal],
        egress_policy: NamedDependency[EgressPolicy],
        principal: NamedDependency[Principal],
        caller: NamedDependency[Caller],
        if_match: IfMatch = None,
    ) -> Response[ChannelView]:
        """Update a channel by JSON merge patch (RFC 7396): omitted fields keep their values, null resets a field.

        A change that may repair the channel clears its failures and retries its pending deliveries immediately.
        """

        async def write(connection: AsyncConnection) -> ChannelView:
            before = await channels.get(connection, channel_id, seal, principal.tenants, lock=True)
            await versions.require_current(connection, ObjectKind.CHANNEL, channel_id, wanted_versions(if_match))
            channel = _owned(merge_patch(before, data.writable()), principal)
            await check(channel, egress_policy)
            keep_disabled_reason = not channel.enabled and "enabled" not in data
            await channels.change(
                connection, before, channel, seal, caller, keep_disabled_reason=keep_disabled_reason
            )
            if may_repair(before, channel):
                await start_over(connection, channel_id)
            return await view_of(connection, channel)

        view = await run_in_transaction(database, write)
        return with_version(view, view["version"])

    @delete("/{channel_id:str}", access=Access.CHANGE)
    async def remove(
        self,
        channel_id: FromPath[str],
        database: NamedDependency[Database],
        caller: NamedDependency[Caller],
        if_match: IfMatch = None,
    ) -> None:
        """Delete a channel. Its pending deliveries become dead, with the reason `channelDeleted`."""
        wanted = wanted_versions(if_match)
        await run_in_transaction(
            database, lambda connection: channels.remove(connection, channel_id, caller, wanted)
        )


def _owned(channel: Channel, principal: Principal) -> Channel:
    """The channel with the tenant that it gets from the principal."""
    return msgspec.structs.replace(channel, tenant_id=principal.owner_of_new(channel.tenant_id))


class FromTemplateRequest(msgspec.Struct, frozen=True):
    """The template, the values of its parameters, and who creates its channels."""

    template_id: str
    given: ChannelBody
    principal: Principal


async def _create_all(
    templated: FromTemplateRequest, database: Database, seal: Seal, egress_policy: EgressPolicy, caller: Caller
) -> CreatedChannels:
    async def add(connection: AsyncConnection) -> CreatedChannels:
        created = await _from_template(connection, templated)
        for creation in created:
            with creation.substitution.caller_fields():
                await check(creation.channel, egress_policy)
        items = []
        for creation in created:
            with creation.substitution.caller_fields():
                channel = _owned(creation.channel, templated.principal)
                await channels.add(connection, channel, seal, caller)
                items.append(await view_of(connection, channel))
        return CreatedChannels(items)

    return await run_in_transaction(database, add)


async def _from_template(connection: AsyncConnection, templated: FromTemplateRequest) -> list[TemplatedChannel]:
    try:
        template = await channel_templates.get(connection, templated.template_id, templated.principal.tenants)
    except NotFound as error:
        raise InvalidInput("from_template", str(error)) from None
    return instantiate(template, templated.given)
