"""What is a channel template, and which channels come of it?

A starting point for channels: bodies of channels in which parameters stand for what is asked for.
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
"""As in JSON; a list is one of strings."""

_CHECKS: Final[dict[str, tuple[type | tuple[type, ...], str]]] = {
    "string": (str, "must be a string"),
    "number": ((int, float), "must be a number"),
    "boolean": (bool, "must be true or false"),
    "list": (list, "must be a list of strings"),
    "object": (dict, "must be an object"),
}
_OF_ONE: Final = ("id", "name")
"""Fields that no two channels share."""


class Parameter(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a template asks for. One that is not required may have a default; without, its field is left out.

    `type` and `secret` follow from the fields that it stands in, and may be left out.
    """

    name: str
    description: str = ""
    type: ParameterType | None = None
    required: bool = True
    secret: bool = False
    default: Any = None


class ChannelTemplate(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A template. `channels` are bodies as `POST /channels` takes them, made in this order, all or none.

    In them `{"$": "NAME"}` stands for a parameter, `{"$channel": 0}` for the id of a channel further up, as a
    fallback. A secret field holds parameters alone.
    """

    id: str = ""
    name: str
    description: str = ""
    parameters: list[Parameter] = []
    channels: list[dict[str, Any]]
    builtin: Annotated[bool, msgspec.Meta(description="It came with the relay; what is sent is ignored.")] = False


class TemplatedChannel(msgspec.Struct, frozen=True):
    """A channel that came of a template; `filling` knows how the caller named what is in it."""

    channel: Channel
    filling: Substitution


def parse_channel_template(data: Any) -> ChannelTemplate:
    """Read a template from JSON data; `relay.domain.template_checks.checked` says whether it makes sense.

    Raises:
        InvalidInput: names the field.
    """
    try:
        return msgspec.convert(data, ChannelTemplate)
    except msgspec.ValidationError as error:
        raise InvalidInput(*field_and_message(error)) from None


def instantiate(template: ChannelTemplate, given: Mapping[str, Any]) -> list[TemplatedChannel]:
    """The channels that come of a template, each checked as one that is sent by itself.

    `given` are the parameters, and fields of channels in place of the template's: for all its channels that have
    them. Null sets a field back, as in a change.

    Raises:
        InvalidInput: names the parameter that is missing, unknown or of the wrong type, or the field.
    """
    values = _values(template, given)
    fields = _fields(template, {name: value for name, value in given.items() if name not in values})
    made: list[TemplatedChannel] = []
    for at, body in enumerate(template.channels):
        prefix = f"channels[{at}]." if len(template.channels) > 1 else ""
        filling = Substitution(values, [one.channel.id for one in made], prefix)
        data = {name: filling.fill(value, name) for name, value in body.items()}
        for name in fields.keys() & _known(body):
            data[name] = OMITTED if fields[name] is None else fields[name]
            filling.override(name)
        data = {name: value for name, value in data.items() if value is not OMITTED}
        with filling.named():
            _require_other_id(data, [one.channel.id for one in made])
            channel = parse_channel(data)
        made.append(TemplatedChannel(channel, filling))
    return made


def require_type(wanted: ParameterType | None, value: Any, path: str) -> None:
    """Refuse a value that is not of a parameter's type.

    Raises:
        InvalidInput: names the path.
    """
    kind, message = _CHECKS[wanted or "string"]
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise InvalidInput(path, message)
    if isinstance(value, list):
        for at, item in enumerate(value):
            if not isinstance(item, str):
                raise InvalidInput(f"{path}[{at}]", "must be a string")


def _values(template: ChannelTemplate, given: Mapping[str, Any]) -> dict[str, Any]:
    """The value of each parameter: the one given, else its default; None when there is neither."""
    values: dict[str, Any] = {}
    for parameter in template.parameters:
        value = given.get(parameter.name)
        if value is None and parameter.required:
            about = re.sub(r"[.\s]+$", "", parameter.description)
            raise InvalidInput(parameter.name, f"is missing: {about}" if about else "is missing")
        if value is not None:
            require_type(parameter.type, value, parameter.name)
        values[parameter.name] = parameter.default if value is None else value
    return values


def _fields(template: ChannelTemplate, given: Mapping[str, Any]) -> Mapping[str, Any]:
    known = set().union(*map(_known, template.channels))
    for name in given:
        if name == "channel_type":
            raise InvalidInput(name, "is the template's; it can't be changed")
        if name not in known:
            raise InvalidInput(name, "is neither a parameter of this template nor a field of its channels")
        if name in _OF_ONE and len(template.channels) > 1:
            raise InvalidInput(
                name, f"can't be given: this template makes {len(template.channels)} channels, each with its own"
            )
    return given


def _require_other_id(data: Mapping[str, Any], taken: list[str]) -> None:
    for field in ("id", "name"):
        text = data.get(field)
        if isinstance(text, str) and text.strip():
            if (made := text if field == "id" else slug(text)) in taken:
                raise InvalidInput(field, f"makes a second channel with the id {made!r}")
            return


def _known(body: Mapping[str, Any]) -> frozenset[str]:
    """The fields that a channel of the body's type has.

    Raises:
        InvalidInput: this release does not know the type.
    """
    return frozenset(channel_class(body.get("channel_type")).__struct_fields__)
