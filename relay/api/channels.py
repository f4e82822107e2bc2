"""Channels: where alerts go, changed at run time."""

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
from relay.api.transactions import transacted
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
"""What answers say of a channel beyond its fields. Sent back it is ignored: what was read can be written."""


FromTemplate = Annotated[
    str | None,
    QueryParameter(
        description=(
            "The id of a channel template. The body is then its parameters, and fields of channels that go in "
            "place of the template's; all its channels are made, or none, and the answer is the list of them."
        )
    ),
]


class ChannelBody(dict[str, Any]):
    """A channel as JSON; read by the domain, whose errors name the field."""

    @staticmethod
    def decode(kind: "type[ChannelBody]", value: Any) -> "ChannelBody":
        """Take decoded JSON; must be an object."""
        if not isinstance(value, dict):
            raise InvalidInput("", "the body must be a JSON object")
        return kind(value)

    def writable(self) -> dict[str, Any]:
        """It without what can only be read."""
        return {name: item for name, item in self.items() if name not in READ_ONLY}


class ChannelPatch(ChannelBody):
    """Some fields of a channel; null sets one back."""


class ChannelView(dict[str, Any]):
    """A channel as answers show it: its fields, secrets masked, and how it is."""


class ChannelsMade(msgspec.Struct, frozen=True):
    """The channels that came of a template, in its order; one or several."""

    items: list[ChannelView]


_fields = {field.name: field.type for kind in CHANNEL_CLASSES for field in msgspec.structs.fields(kind)}
_AnyFields = msgspec.defstruct(
    "ChannelPatch", [(name, kind | None | UnsetType, UNSET) for name, kind in _fields.items()]
)
_views = [
    msgspec.defstruct(
        f"{kind.__name__}View",
        list(READ_ONLY.items()),
        bases=(kind,),
        kw_only=True,
        frozen=True,
        tag=type_name(kind),
        tag_field="channel_type",
    )
    for kind in CHANNEL_CLASSES
]
_STANDS_FOR: Final[dict[Any, Any]] = {
    ChannelBody: Channel,
    ChannelPatch: _AnyFields,
    ChannelView: Union[tuple(_views)],  # noqa: UP007 - of a list that is made
}


PARAMETERS: Final = Schema(
    type=OpenAPIType.OBJECT,
    title="TemplateParameters",
    description="With `from_template`: its parameters by name, and fields of channels.",
)


class ChannelBodySchema(OpenAPISchemaPlugin):
    """Shows the bodies in the OpenAPI document as what they stand for: a channel of any type, or some fields."""

    @staticmethod
    def is_plugin_supported_type(value: Any) -> bool:
        """Whether it is one of ours."""
        return isinstance(value, type) and value in _STANDS_FOR

    def to_openapi_schema(self, field_definition: FieldDefinition, schema_creator: Any) -> Schema:
        """The schema of the union, or of all fields with none required."""
        shown = FieldDefinition.from_annotation(_STANDS_FOR[field_definition.annotation])
        schema: Schema = schema_creator.for_field_definition(shown)
        return Schema(any_of=[schema, PARAMETERS]) if field_definition.annotation is ChannelBody else schema


class ChannelsController(Controller):
    """CRUD. Secret fields are write-only: answers show them masked, and a masked one sent back changes nothing."""

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
    ) -> ChannelView | ChannelsMade:
        """Create a channel; it governs the very next webhook. With `from_template`, create those of a template."""
        if from_template is not None:
            return await _create_all(from_template, data, database, seal, egress_policy)
        channel = parse_channel(data.writable())
        await _check(channel, egress_policy)

        async def add(connection: AsyncConnection) -> ChannelView:
            return await _view(connection, await channels.add(connection, channel, seal))

        return await transacted(database, add)

    @get()
    async def list_all(
        self,
        database: NamedDependency[Database],
        seal: NamedDependency[Seal],
        limit: Limit = DEFAULT_LIMIT,
        cursor: Cursor = None,
    ) -> Page[ChannelView]:
        """List the channels in the order of their ids."""
        async with database.begin() as connection:
            found = await channels.page(connection, seal, text_cursor(cursor), limit + 1)
            page = page_of(found, limit, lambda channel: channel.id)
            return Page(await _views_of(connection, page.items), page.next)

    @get("/{channel_id:str}")
    async def get_one(
        self, channel_id: FromPath[str], database: NamedDependency[Database], seal: NamedDependency[Seal]
    ) -> ChannelView:
        """Show one channel."""
        async with database.begin() as connection:
            return await _view(connection, await channels.get(connection, channel_id, seal))

    @get("/{channel_id:str}/health")
    async def get_health(self, channel_id: FromPath[str], database: NamedDependency[Database]) -> ChannelHealth:
        """Tell how a channel is: what became of its attempts, and what waits for it."""
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
        """Change a channel by JSON merge patch (RFC 7396): what is left out stays, null resets.

        When that may have mended it, its failures are forgotten, and what waits goes out at once.
        """

        async def write(connection: AsyncConnection) -> ChannelView:
            before = await channels.get(connection, channel_id, seal, lock=True)
            channel = merge_patch(before, data.writable())
            await _check(channel, egress_policy)
            keep_disabled_reason = not channel.enabled and "enabled" not in data
            written = await channels.change(connection, channel, seal, keep_disabled_reason=keep_disabled_reason)
            if _may_be_mended(before, written):
                await channels.start_over(connection, channel_id)
            return await _view(connection, written)

        return await transacted(database, write)

    @delete("/{channel_id:str}")
    async def remove(self, channel_id: FromPath[str], database: NamedDependency[Database]) -> None:
        """Delete a channel; what still waited for it ends as dead, with that reason."""
        await transacted(database, lambda connection: channels.remove(connection, channel_id))


async def _check(channel: Channel, egress_policy: EgressPolicy) -> None:
    # Off the event loop: a long template takes a while to compile, and Apprise to be imported.
    await asyncio.to_thread(registry.check_channel, channel, egress_policy)


async def _create_all(
    template_id: str, given: ChannelBody, database: Database, seal: Seal, egress_policy: EgressPolicy
) -> ChannelsMade:
    async def add(connection: AsyncConnection) -> ChannelsMade:
        made = await _made(connection, template_id, given)
        for one in made:
            with one.substitution.caller_fields():
                await _check(one.channel, egress_policy)
        items = []
        for one in made:
            with one.substitution.caller_fields():
                items.append(await _view(connection, await channels.add(connection, one.channel, seal)))
        return ChannelsMade(items)

    return await transacted(database, add)


async def _made(connection: AsyncConnection, template_id: str, given: ChannelBody) -> list[TemplatedChannel]:
    try:
        template = await channel_templates.get(connection, template_id)
    except NotFound as error:
        raise InvalidInput("from_template", str(error)) from None
    return instantiate(template, given)


def _may_be_mended(before: Channel, after: Channel) -> bool:
    """Whether a change enabled the channel, or told it where, how or how fast to send."""
    if after.enabled and not before.enabled:
        return True
    speaking = {"rate_limit", *after.SECRET, *own_fields(type(after))}
    return any(getattr(before, name) != getattr(after, name) for name in speaking)


async def _view(connection: AsyncConnection, channel: Channel) -> ChannelView:
    return _shown(channel, await channel_health.of_channel(connection, channel.id))


async def _views_of(connection: AsyncConnection, found: Sequence[Channel]) -> list[ChannelView]:
    """Channels as answers show them; one that was deleted since it was read is left out."""
    how = await channel_health.of_channels(connection, [channel.id for channel in found])
    return [_shown(channel, how[channel.id]) for channel in found if channel.id in how]


def _shown(channel: Channel, how: ChannelHealth) -> ChannelView:
    return ChannelView(mask_secrets(channel), disabled_reason=how.disabled_reason, health=how)
