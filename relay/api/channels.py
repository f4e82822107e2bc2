"""Channels: the destinations of alerts, configured at run time."""

import asyncio
from collections.abc import Sequence
from typing import Annotated, Any, Final, Union

import msgspec
from litestar import Controller, delete, get, patch, post
from litestar.di import NamedDependency
from litestar.openapi.spec import OpenAPIType, Schema
from litestar.params import FromPath, JSONBody, QueryParameter
from litestar.plugins import OpenAPISchemaPlugin
from litestar.typing import FieldDefinition
from msgspec import UNSET, UnsetType
from sqlalchemy.ext.asyncio import AsyncConnection

from relay.api.pages import DEFAULT_LIMIT, Cursor, Limit, Page, page_of, text_cursor
from relay.api.transactions import run_in_transaction
from relay.domain.channel_types import CHANNEL_CLASSES, Channel, own_fields, type_name
from relay.domain.channels import mask_secrets, merge_patch, parse_channel
from relay.domain.errors import InvalidInput, NotFound
from relay.domain.health import ChannelHealth
from relay.domain.templates.channel_templates import TemplatedChannel, instantiate
from relay.notify import registry
from relay.notify.transport.egress_policy import EgressPolicy
from relay.store.configuration import channel_templates, channels
from relay.store.configuration.seal import Seal
from relay.store.postgres.database import Database
from relay.store.reports import channel_health

READ_ONLY: Final[dict[str, Any]] = {"disabled_reason": str | None, "health": ChannelHealth}
"""Fields of responses only; requests may contain them, and they are ignored."""


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


class ChannelBody(dict[str, Any]):
    """A channel as JSON, validated by the domain, whose errors name the field."""

    @staticmethod
    def decode(body_type: "type[ChannelBody]", value: Any) -> "ChannelBody":
        """Accept decoded JSON that is an object."""
        if not isinstance(value, dict):
            raise InvalidInput("", "the body must be a JSON object")
        return body_type(value)

    def writable(self) -> dict[str, Any]:
        """The fields without the read-only ones."""
        return {name: item for name, item in self.items() if name not in READ_ONLY}


class ChannelPatch(ChannelBody):
    """The fields of a channel to change; null resets a field."""


class ChannelView(dict[str, Any]):
    """A channel in responses: its fields, with secrets masked, and its health."""


class CreatedChannels(msgspec.Struct, frozen=True):
    """The channels created from a template, in its order."""

    items: list[ChannelView]


_fields = {
    field.name: field.type for channel_class in CHANNEL_CLASSES for field in msgspec.structs.fields(channel_class)
}
_AnyFields = msgspec.defstruct(
    "ChannelPatch", [(name, field_type | None | UnsetType, UNSET) for name, field_type in _fields.items()]
)
_views = [
    msgspec.defstruct(
        f"{channel_class.__name__}View",
        list(READ_ONLY.items()),
        bases=(channel_class,),
        kw_only=True,
        frozen=True,
        tag=type_name(channel_class),
        tag_field="channel_type",
    )
    for channel_class in CHANNEL_CLASSES
]
_SCHEMA_TYPES: Final[dict[Any, Any]] = {
    ChannelBody: Channel,
    ChannelPatch: _AnyFields,
    ChannelView: Union[tuple(_views)],  # noqa: UP007 - the list is computed
}


PARAMETERS: Final = Schema(
    type=OpenAPIType.OBJECT,
    title="TemplateParameters",
    description="With `from_template`: values of its parameters by name, and fields of channels.",
)


class ChannelBodySchema(OpenAPISchemaPlugin):
    """Describe the bodies in the OpenAPI document: a channel of any type, or any of its fields."""

    @staticmethod
    def is_plugin_supported_type(value: Any) -> bool:
        """Whether the value is one of the body types above."""
        return isinstance(value, type) and value in _SCHEMA_TYPES

    def to_openapi_schema(self, field_definition: FieldDefinition, schema_creator: Any) -> Schema:
        """The schema of the union of channel types, or of all fields with none required."""
        definition = FieldDefinition.from_annotation(_SCHEMA_TYPES[field_definition.annotation])
        schema: Schema = schema_creator.for_field_definition(definition)
        return Schema(any_of=[schema, PARAMETERS]) if field_definition.annotation is ChannelBody else schema


class ChannelsController(Controller):
    """CRUD. Secret fields are write-only: responses mask them, and a masked value in a request changes nothing."""

    path = "/channels"
    tags = ("channels",)

    @post()
    async def create(
        self,
        data: JSONBody[ChannelBody],
        database: NamedDependency[Database],
        seal: NamedDependency[Seal],
        egress_policy: NamedDependency[EgressPolicy],
        from_template: FromTemplate = None,
    ) -> ChannelView | CreatedChannels:
        """Create a channel, effective from the next webhook on; with `from_template`, those of a template."""
        if from_template is not None:
            return await _create_all(from_template, data, database, seal, egress_policy)
        channel = parse_channel(data.writable())
        await _check(channel, egress_policy)

        async def add(connection: AsyncConnection) -> ChannelView:
            await channels.add(connection, channel, seal)
            return await _view(connection, channel)

        return await run_in_transaction(database, add)

    @get()
    async def list_all(
        self,
        database: NamedDependency[Database],
        seal: NamedDependency[Seal],
        limit: Limit = DEFAULT_LIMIT,
        cursor: Cursor = None,
    ) -> Page[ChannelView]:
        """List the channels, ordered by id."""
        async with database.begin() as connection:
            found = await channels.page(connection, seal, text_cursor(cursor), limit + 1)
            page = page_of(found, limit, lambda channel: channel.id)
            return Page(await _views_of(connection, page.items), page.next)

    @get("/{channel_id:str}")
    async def get_one(
        self, channel_id: FromPath[str], database: NamedDependency[Database], seal: NamedDependency[Seal]
    ) -> ChannelView:
        """Get a channel."""
        async with database.begin() as connection:
            return await _view(connection, await channels.get(connection, channel_id, seal))

    @get("/{channel_id:str}/health")
    async def get_health(self, channel_id: FromPath[str], database: NamedDependency[Database]) -> ChannelHealth:
        """Get the health of a channel: results of its attempts, and its pending deliveries."""
        async with database.begin() as connection:
            return await channel_health.of_channel(connection, channel_id)

    @patch("/{channel_id:str}")
    async def change(
        self,
        channel_id: FromPath[str],
        data: JSONBody[ChannelPatch],
        database: NamedDependency[Database],
        seal: NamedDependency[Seal],
        egress_policy: NamedDependency[EgressPolicy],
    ) -> ChannelView:
        """Update a channel by JSON merge patch (RFC 7396): omitted fields keep their values, null resets a field.

        A change that may repair the channel clears its failures and retries its pending deliveries immediately.
        """

        async def write(connection: AsyncConnection) -> ChannelView:
            before = await channels.get(connection, channel_id, seal, lock=True)
            channel = merge_patch(before, data.writable())
            await _check(channel, egress_policy)
            keep_disabled_reason = not channel.enabled and "enabled" not in data
            await channels.change(connection, channel, seal, keep_disabled_reason=keep_disabled_reason)
            if _may_repair(before, channel):
                await channels.start_over(connection, channel_id)
            return await _view(connection, channel)

        return await run_in_transaction(database, write)

    @delete("/{channel_id:str}")
    async def remove(self, channel_id: FromPath[str], database: NamedDependency[Database]) -> None:
        """Delete a channel. Its pending deliveries become dead, with the reason `channelDeleted`."""
        await run_in_transaction(database, lambda connection: channels.remove(connection, channel_id))


async def _check(channel: Channel, egress_policy: EgressPolicy) -> None:
    # Compiling a long template or importing Apprise would block the event loop.
    await asyncio.to_thread(registry.check_channel, channel, egress_policy)


async def _create_all(
    template_id: str, given: ChannelBody, database: Database, seal: Seal, egress_policy: EgressPolicy
) -> CreatedChannels:
    async def add(connection: AsyncConnection) -> CreatedChannels:
        created = await _from_template(connection, template_id, given)
        for creation in created:
            with creation.substitution.caller_fields():
                await _check(creation.channel, egress_policy)
        items = []
        for creation in created:
            with creation.substitution.caller_fields():
                await channels.add(connection, creation.channel, seal)
                items.append(await _view(connection, creation.channel))
        return CreatedChannels(items)

    return await run_in_transaction(database, add)


async def _from_template(
    connection: AsyncConnection, template_id: str, given: ChannelBody
) -> list[TemplatedChannel]:
    try:
        template = await channel_templates.get(connection, template_id)
    except NotFound as error:
        raise InvalidInput("from_template", str(error)) from None
    return instantiate(template, given)


def _may_repair(before: Channel, after: Channel) -> bool:
    """Whether a change enabled the channel, or changed where, how or how fast it sends."""
    if after.enabled and not before.enabled:
        return True
    sending = {"rate_limit", *after.SECRET, *own_fields(type(after))}
    return any(getattr(before, name) != getattr(after, name) for name in sending)


async def _view(connection: AsyncConnection, channel: Channel) -> ChannelView:
    return _masked_view(channel, await channel_health.of_channel(connection, channel.id))


async def _views_of(connection: AsyncConnection, found: Sequence[Channel]) -> list[ChannelView]:
    """Channels as responses show them, without those deleted since they were read."""
    health = await channel_health.of_channels(connection, [channel.id for channel in found])
    return [_masked_view(channel, health[channel.id]) for channel in found if channel.id in health]


def _masked_view(channel: Channel, health: ChannelHealth) -> ChannelView:
    return ChannelView(mask_secrets(channel), disabled_reason=health.disabled_reason, health=health)
