"""Versions of channels, deleted ones included, and their restoration."""

from typing import Any

import msgspec
from litestar import Controller, Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody
from sqlalchemy.ext.asyncio import AsyncConnection

from relay.api.channel_bodies import ChannelPatch, ChannelView
from relay.api.channel_views import check, may_repair, view_of
from relay.api.pages import DEFAULT_LIMIT, Cursor, Limit, Number, Page, number_cursor, page_of
from relay.api.preconditions import with_version
from relay.api.transactions import run_in_transaction
from relay.domain.channel_types import Channel, channel_class
from relay.domain.channels import merge_patch, parse_channel
from relay.domain.errors import InvalidInput, NotFound
from relay.domain.principals import Access, Principal
from relay.domain.versions import Action, ObjectKind, ObjectVersion
from relay.notify.transport.egress_policy import EgressPolicy
from relay.store.configuration import channels, versions
from relay.store.configuration.quotas import Caller
from relay.store.configuration.seal import Seal
from relay.store.outbox.channel_changes import start_over
from relay.store.postgres.database import Database


class ChannelVersionsController(Controller):
    """What a channel was after each change, without its secrets."""

    path = "/channels/{channel_id:str}/versions"
    tags = ("channels",)

    @get(access=Access.READ)
    async def list_all(
        self,
        channel_id: FromPath[str],
        database: NamedDependency[Database],
        principal: NamedDependency[Principal],
        limit: Limit = DEFAULT_LIMIT,
        cursor: Cursor = None,
    ) -> Page[ObjectVersion]:
        """List the versions of a channel, newest first. Those of a deleted channel remain."""
        async with database.begin() as connection:
            found = await versions.of_object(
                connection,
                ObjectKind.CHANNEL,
                channel_id,
                principal.tenants,
                number_cursor(cursor),
                limit + 1,
            )
        return page_of(found, limit, lambda version: version.number)

    @get("/{number:int}", access=Access.READ)
    async def get_one(
        self,
        channel_id: FromPath[str],
        number: Number,
        database: NamedDependency[Database],
        principal: NamedDependency[Principal],
    ) -> ObjectVersion:
        """Get a version of a channel."""
        async with database.begin() as connection:
            return await versions.one(connection, ObjectKind.CHANNEL, channel_id, principal.tenants, number)

    @post("/{number:int}/restore", status_code=200, access=Access.CHANGE)
    async def restore(
        self,
        channel_id: FromPath[str],
        number: Number,
        data: JSONBody[ChannelPatch],
        database: NamedDependency[Database],
        seal: NamedDependency[Seal],
        egress_policy: NamedDependency[EgressPolicy],
        principal: NamedDependency[Principal],
        caller: NamedDependency[Caller],
    ) -> Response[ChannelView]:
        """Restore a version of a channel as a new version; a deleted channel is created again.

        The channel keeps its present secrets if it sends to the same place afterwards. Otherwise the body must
        have them; it may be `{}`.
        """

        async def write(connection: AsyncConnection) -> ChannelView:
            await channels.lock_configuration(connection)
            kind, tenants = ObjectKind.CHANNEL, principal.tenants
            version = await versions.one(connection, kind, channel_id, tenants, number)
            fields = _fields_of(version, data)
            before: Channel | None
            try:
                before = await channels.get(connection, channel_id, seal, tenants)
            except NotFound:
                before = None
            channel = _restored(before, channel_id, fields)
            owner = principal.owner_of_new(channel.tenant_id)
            channel = msgspec.structs.replace(channel, tenant_id=owner)
            await check(channel, egress_policy)
            if before is None:
                await channels.add(connection, channel, seal, caller, Action.RESTORED)
            else:
                await channels.change(connection, before, channel, seal, caller, action=Action.RESTORED)
                if may_repair(before, channel):
                    await start_over(connection, channel_id)
            return await view_of(connection, channel)

        view = await run_in_transaction(database, write)
        return with_version(view, view["version"])


def _fields_of(version: ObjectVersion, secrets: ChannelPatch) -> dict[str, Any]:
    """The fields of a version that this release knows, with its type, and the secrets of the request."""
    if version.body is None:
        raise InvalidInput("number", "is the version that deleted the channel; restore one before it")
    kind = channel_class(version.body["channel_type"])
    writable = {*kind.__struct_fields__, "channel_type"} - kind.SECRET
    if others := secrets.keys() - kind.SECRET:
        raise InvalidInput(min(others), "is no secret of the channel; the version has all other fields")
    return {name: value for name, value in version.body.items() if name in writable} | secrets


def _restored(before: Channel | None, channel_id: str, fields: dict[str, Any]) -> Channel:
    if before is None:
        return parse_channel(fields | {"id": channel_id})
    reset = dict.fromkeys(set(before.__struct_fields__) - before.SECRET - {"id"})
    return merge_patch(before, reset | fields)
