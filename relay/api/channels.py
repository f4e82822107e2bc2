"""Channels: where alerts go, changed at run time."""

from typing import Any

import msgspec
from litestar import Controller, delete, get, patch, post
from litestar.di import NamedDependency
from litestar.openapi.spec import Schema
from litestar.params import FromPath, JSONBody
from litestar.plugins import OpenAPISchemaPlugin
from litestar.typing import FieldDefinition
from msgspec import UNSET, UnsetType

from relay.api.pages import DEFAULT_LIMIT, Cursor, Limit, Page, page_of, text_cursor
from relay.domain.channels import CHANNEL_CLASSES, Channel, masked, parse_channel, patched
from relay.domain.errors import InvalidInput
from relay.notify import registry
from relay.notify.targets import Targets
from relay.store import channels
from relay.store.database import Database
from relay.store.seal import Seal


class ChannelBody(dict[str, Any]):
    """A channel as JSON; read by the domain, whose errors name the field."""

    @staticmethod
    def decode(kind: "type[ChannelBody]", value: Any) -> "ChannelBody":
        """Take decoded JSON; must be an object."""
        if not isinstance(value, dict):
            raise InvalidInput("", "the body must be a JSON object")
        return kind(value)


class ChannelPatch(ChannelBody):
    """Some fields of a channel; null sets one back."""


_fields = {field.name: field.type for kind in CHANNEL_CLASSES for field in msgspec.structs.fields(kind)}
_AnyFields = msgspec.defstruct(
    "ChannelPatch", [(name, kind | None | UnsetType, UNSET) for name, kind in _fields.items()]
)


class ChannelBodySchema(OpenAPISchemaPlugin):
    """Shows the bodies in the OpenAPI document as what they stand for: a channel of any type, or some fields."""

    @staticmethod
    def is_plugin_supported_type(value: Any) -> bool:
        """Whether it is one of ours."""
        return value is ChannelBody or value is ChannelPatch

    def to_openapi_schema(self, field_definition: FieldDefinition, schema_creator: Any) -> Schema:
        """The schema of the union, or of all fields with none required."""
        shown: Any = Channel if field_definition.annotation is ChannelBody else _AnyFields
        schema: Schema = schema_creator.for_field_definition(FieldDefinition.from_annotation(shown))
        return schema


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
        targets: NamedDependency[Targets],
    ) -> ChannelBody:
        """Create a channel; it governs the very next webhook."""
        channel = parse_channel(data)
        registry.check(channel, targets)
        async with database.begin() as connection:
            return ChannelBody(masked(await channels.add(connection, channel, seal)))

    @get()
    async def list_all(
        self,
        database: NamedDependency[Database],
        seal: NamedDependency[Seal],
        limit: Limit = DEFAULT_LIMIT,
        cursor: Cursor = None,
    ) -> Page[ChannelBody]:
        """List the channels in the order of their ids."""
        async with database.begin() as connection:
            found = await channels.page(connection, seal, text_cursor(cursor), limit + 1)
        return page_of([ChannelBody(masked(channel)) for channel in found], limit, lambda item: item["id"])

    @get("/{channel_id:str}")
    async def get_one(
        self, channel_id: FromPath[str], database: NamedDependency[Database], seal: NamedDependency[Seal]
    ) -> ChannelBody:
        """Show one channel."""
        async with database.begin() as connection:
            return ChannelBody(masked(await channels.get(connection, channel_id, seal)))

    @patch("/{channel_id:str}")
    async def change(
        self,
        channel_id: FromPath[str],
        data: JSONBody[ChannelPatch],
        database: NamedDependency[Database],
        seal: NamedDependency[Seal],
        targets: NamedDependency[Targets],
    ) -> ChannelBody:
        """Change a channel by JSON merge patch (RFC 7396): what is left out stays, null resets."""
        async with database.begin() as connection:
            channel = patched(await channels.get(connection, channel_id, seal, lock=True), data)
            registry.check(channel, targets)
            return ChannelBody(masked(await channels.change(connection, channel, seal)))

    @delete("/{channel_id:str}")
    async def remove(self, channel_id: FromPath[str], database: NamedDependency[Database]) -> None:
        """Delete a channel; what still waited for it ends as dead, with that reason."""
        async with database.begin() as connection:
            await channels.remove(connection, channel_id)
