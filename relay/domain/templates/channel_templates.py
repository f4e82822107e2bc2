"""Channel templates and the channels created from them.

A channel template is a list of channel bodies in which parameters are placeholders for the caller's values.
"""

import re
from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

import msgspec

from relay.domain.channel_types import Channel, channel_class
from relay.domain.channels import parse_channel, slug
from relay.domain.errors import InvalidInput
from relay.domain.fields import field_and_message
from relay.domain.templates.placeholders import OMITTED, Substitution

ParameterType = Literal["string", "number", "boolean", "list", "object"]
"""The JSON types; a list contains strings."""

_CHECKS: Final[dict[str, tuple[type | tuple[type, ...], str]]] = {
    "string": (str, "must be a string"),
    "number": ((int, float), "must be a number"),
    "boolean": (bool, "must be true or false"),
    "list": (list, "must be a list of strings"),
    "object": (dict, "must be an object"),
}
_UNIQUE_FIELDS: Final = ("id", "name")
"""Fields that must differ between the channels of a template."""


class Parameter(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A parameter of a template. An optional one may have a default; otherwise its field is omitted.

    `type` and `secret` are derived from the fields where the parameter is used, and may be omitted.
    """

    name: str
    description: str = ""
    type: ParameterType | None = None
    required: bool = True
    secret: bool = False
    default: Any = None


class ChannelTemplate(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A channel template, of a tenant or of none.

    `channels` are bodies for `POST /channels`, created in this order, all or none.

    In them `{"$": "NAME"}` is replaced by a parameter, and `{"$channel": 0}` by the id of an earlier channel of
    the template, as a fallback. A secret field may contain only parameters.
    """

    id: str = ""
    name: str
    description: str = ""
    parameters: list[Parameter] = []
    channels: list[dict[str, Any]]
    tenant_id: str | None = None
    builtin: Annotated[
        bool, msgspec.Meta(description="Whether the template is built in; ignored in requests.")
    ] = False


class TemplatedChannel(msgspec.Struct, frozen=True):
    """A channel created from a template, with the substitution that maps its fields to the caller's fields."""

    channel: Channel
    substitution: Substitution


def parse_channel_template(data: Any) -> ChannelTemplate:
    """Parse a template from JSON data; `validate_channel_template` validates it.

    Raises:
        InvalidInput: the data has the wrong shape; names the field.
    """
    try:
        return msgspec.convert(data, ChannelTemplate)
    except msgspec.ValidationError as error:
        raise InvalidInput(*field_and_message(error)) from None


def instantiate(template: ChannelTemplate, given: Mapping[str, Any]) -> list[TemplatedChannel]:
    """Create the channels of a template, and validate each like a channel in a request.

    `given` contains parameters, and channel fields that override the template's in every channel that has them.
    Null resets a field, as in an update.

    Raises:
        InvalidInput: a parameter is missing, unknown or of the wrong type, or a field is invalid; names it.
    """
    values = _values(template, given)
    overrides = _overrides(template, {name: value for name, value in given.items() if name not in values})
    created: list[TemplatedChannel] = []
    for at, body in enumerate(template.channels):
        prefix = f"channels[{at}]." if len(template.channels) > 1 else ""
        substitution = Substitution(values, [creation.channel.id for creation in created], prefix)
        data = {name: substitution.substitute(value, name) for name, value in body.items()}
        for name in overrides.keys() & _fields_of(body):
            data[name] = OMITTED if overrides[name] is None else overrides[name]
            substitution.override(name)
        data = {name: value for name, value in data.items() if value is not OMITTED}
        with substitution.caller_fields():
            _require_unique_id(data, [creation.channel.id for creation in created])
            channel = parse_channel(data)
        created.append(TemplatedChannel(channel, substitution))
    return created


def require_type(parameter_type: ParameterType | None, value: Any, path: str) -> None:
    """Reject a value that is not of a parameter's type.

    Raises:
        InvalidInput: the value has the wrong type; names the path.
    """
    expected, message = _CHECKS[parameter_type or "string"]
    if not isinstance(value, expected) or (isinstance(value, bool) and expected is not bool):
        raise InvalidInput(path, message)
    if isinstance(value, list):
        for at, item in enumerate(value):
            if not isinstance(item, str):
                raise InvalidInput(f"{path}[{at}]", "must be a string")


def _values(template: ChannelTemplate, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the value of each parameter: the given one, else its default, else None."""
    values: dict[str, Any] = {}
    for parameter in template.parameters:
        value = given.get(parameter.name)
        if value is None and parameter.required:
            description = re.sub(r"[.\s]+$", "", parameter.description)
            raise InvalidInput(parameter.name, f"is missing: {description}" if description else "is missing")
        if value is not None:
            require_type(parameter.type, value, parameter.name)
        values[parameter.name] = parameter.default if value is None else value
    return values


def _overrides(template: ChannelTemplate, given: Mapping[str, Any]) -> Mapping[str, Any]:
    known = set().union(*map(_fields_of, template.channels))
    for name in given:
        if name == "channel_type":
            raise InvalidInput(name, "is set by the template and can't be changed")
        if name not in known:
            raise InvalidInput(name, "is neither a parameter of this template nor a field of its channels")
        if name in _UNIQUE_FIELDS and len(template.channels) > 1:
            raise InvalidInput(
                name,
                f"can't be set: the template creates {len(template.channels)} channels with different ones",
            )
    return given


def _require_unique_id(data: Mapping[str, Any], taken: list[str]) -> None:
    for field in ("id", "name"):
        text = data.get(field)
        if isinstance(text, str) and text.strip():
            if (derived := text if field == "id" else slug(text)) in taken:
                raise InvalidInput(field, f"creates a second channel with the id {derived!r}")
            return


def _fields_of(body: Mapping[str, Any]) -> frozenset[str]:
    """Return the fields of the body's channel type.

    Raises:
        InvalidInput: the type is unknown.
    """
    return frozenset(channel_class(body.get("channel_type")).__struct_fields__)
