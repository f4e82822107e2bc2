"""Channels in requests and responses, and what the OpenAPI document says of them."""

from typing import Any, Final, Union

import msgspec
from litestar.openapi.spec import OpenAPIType, Schema
from litestar.plugins import OpenAPISchemaPlugin
from litestar.typing import FieldDefinition
from msgspec import UNSET, UnsetType

from relay.domain.channel_types import CHANNEL_CLASSES, Channel, type_name
from relay.domain.errors import InvalidInput
from relay.domain.health import ChannelHealth

READ_ONLY: Final[dict[str, Any]] = {"disabled_reason": str | None, "version": int, "health": ChannelHealth}
"""Fields of responses only; requests may contain them, and they are ignored."""


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
    "ChannelPatch",
    [(name, field_type | None | UnsetType, UNSET) for name, field_type in _fields.items()],
    module="relay.api.channels",
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
