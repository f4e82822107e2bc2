"""Validation of channel templates, which derives the types of the parameters from their uses."""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec.inspect

from relay.domain.channel_types import BaseChannel, channel_class
from relay.domain.channels import MAX_NAME, require_id, slug
from relay.domain.errors import InvalidInput
from relay.domain.fields import field_and_message, require_storable
from relay.domain.matchers import parse_matchers
from relay.domain.templates.channel_templates import ChannelTemplate, Parameter, ParameterType, require_type
from relay.domain.templates.placeholders import ChannelRef, ParameterRef, placeholder, placeholders

MAX_DESCRIPTION: Final = 2000
MAX_CHANNELS: Final = 10
"""All channels of a template are created in one transaction, which blocks other changes."""
MAX_PARAMETERS: Final = 50
EXPECTED: Final[dict[ParameterType, str]] = {
    "string": "must be a string or a parameter",
    "number": "must be a number or a parameter",
    "boolean": "must be true, false or a parameter",
    "list": "must be a list or a parameter",
    "object": "must be an object or a parameter",
}
_parameter_name = re.compile(r"[a-z][a-z0-9_]{0,62}")


class Use(msgspec.Struct, frozen=True):
    """One use of a parameter: its path, the type expected there, and whether the field is required."""

    path: str
    name: str
    type: ParameterType
    secret: bool
    required: bool


def parameter_type(field_type: msgspec.inspect.Type) -> ParameterType:
    """Return the parameter type for a field of this type."""
    match _without_none(field_type):
        case msgspec.inspect.BoolType():
            return "boolean"
        case msgspec.inspect.IntType() | msgspec.inspect.FloatType():
            return "number"
        case msgspec.inspect.CollectionType():
            return "list"
        case msgspec.inspect.DictType() | msgspec.inspect.StructType():
            return "object"
    return "string"


def validate_channel_template(template: ChannelTemplate) -> ChannelTemplate:
    """Validate a template; return it with its id and with the types of its parameters.

    Raises:
        InvalidInput: the template is invalid or contains a secret; names the field.
    """
    require_storable(msgspec.to_builtins(template))
    if not template.name.strip():
        raise InvalidInput("name", "must not be empty")
    if len(template.name) > MAX_NAME:
        raise InvalidInput("name", f"must not be longer than {MAX_NAME} characters")
    template_id = template.id or slug(template.name)
    require_id(template_id)
    _require_short("description", template.description)
    if not 1 <= len(template.channels) <= MAX_CHANNELS:
        raise InvalidInput("channels", f"must contain 1 to {MAX_CHANNELS} channels")
    if len(template.parameters) > MAX_PARAMETERS:
        raise InvalidInput("parameters", f"must not contain more than {MAX_PARAMETERS} parameters")
    uses = [use for at, body in enumerate(template.channels) for use in _uses_of_channel(body, at)]
    parameters = _typed_parameters(template.parameters, uses)
    return msgspec.structs.replace(template, id=template_id, parameters=parameters, builtin=False)


def _typed_parameters(parameters: list[Parameter], uses: list[Use]) -> list[Parameter]:
    named: dict[str, Parameter] = {}
    for at, parameter in enumerate(parameters):
        path = f"parameters[{at}]"
        if not _parameter_name.fullmatch(parameter.name):
            raise InvalidInput(
                f"{path}.name", "must be 1 to 63 characters of a-z, 0-9 and _, starting with a letter"
            )
        if parameter.name in named:
            raise InvalidInput(f"{path}.name", f"{parameter.name!r} is a duplicate")
        _require_short(f"{path}.description", parameter.description)
        own_uses = [use for use in uses if use.name == parameter.name]
        named[parameter.name] = _typed_parameter(parameter, own_uses, path)
    for use in uses:
        if use.name not in named:
            raise InvalidInput(use.path, f"{use.name!r} is not a parameter of the template")
    return list(named.values())


def _typed_parameter(parameter: Parameter, uses: list[Use], path: str) -> Parameter:
    """Return the parameter with the type and secrecy of its uses."""
    if not uses:
        raise InvalidInput(f"{path}.name", f"{parameter.name!r} is not used in the template's channels")
    types = sorted({use.type for use in uses})
    secret = uses[0].secret
    if len(types) > 1 or any(use.secret != secret for use in uses):
        where = ", ".join(use.path for use in uses)
        raise InvalidInput(f"{path}.name", f"is used in fields of different types: {where}")
    if parameter.type not in (None, types[0]):
        raise InvalidInput(f"{path}.type", f"must be {types[0]!r}, the type of {uses[0].path}, or be omitted")
    if parameter.secret and not secret:
        raise InvalidInput(f"{path}.secret", f"{uses[0].path} is not a secret field")
    if parameter.default is not None:
        _check_default(parameter, types[0], secret, path)
    elif not parameter.required and (required := [use.path for use in uses if use.required]):
        raise InvalidInput(f"{path}.required", f"must be true, because {required[0]} is required")
    return msgspec.structs.replace(parameter, type=types[0], secret=secret)


def _check_default(parameter: Parameter, expected: ParameterType, secret: bool, path: str) -> None:
    if secret:
        raise InvalidInput(f"{path}.default", "must be omitted: secrets are not stored in a template")
    if parameter.required:
        raise InvalidInput(f"{path}.default", "must be omitted, or `required` must be false")
    require_type(expected, parameter.default, f"{path}.default")


def _uses_of_channel(body: Mapping[str, Any], at: int) -> Iterator[Use]:
    """Yield the uses of parameters in a channel's body, and validate its other values."""
    path = f"channels[{at}]"
    try:
        body_class = channel_class(body.get("channel_type"))
    except InvalidInput as error:
        raise InvalidInput(f"{path}.channel_type", error.message) from None
    field_type = msgspec.inspect.type_info(body_class)
    assert isinstance(field_type, msgspec.inspect.StructType)
    fields = {field.name: field for field in field_type.fields}
    for name, field in fields.items():
        if field.required and body.get(name) is None:
            raise InvalidInput(f"{path}.{name}", "is missing")
    for name, value in body.items():
        if name != "channel_type" and name not in fields:
            raise InvalidInput(f"{path}.{name}", "is not a known field")
        if name in fields:
            yield from _uses_of_field(body_class, fields[name], value, at)


def _uses_of_field(
    body_class: type[BaseChannel], field: msgspec.inspect.Field, value: Any, at: int
) -> Iterator[Use]:
    name, path = field.name, f"channels[{at}].{field.name}"
    found = list(placeholders(value, path))
    for ref_path, reference in found:
        if isinstance(reference, ChannelRef):
            _check_channel_ref(name, ref_path, reference, at)
    if name in body_class.SECRET:
        _require_parameters(value, path)
    if name == "matchers":
        _check_matchers(value, path)
    if found:
        yield from _uses(value, field.type, path, name in body_class.SECRET, field.required)
    else:
        _check_type(body_class, name, value, path)


def _uses(value: Any, field_type: msgspec.inspect.Type, path: str, secret: bool, required: bool) -> Iterator[Use]:
    field_type = _without_none(field_type)
    match placeholder(value, path):
        case ParameterRef(name):
            yield Use(path, name, parameter_type(field_type), secret, required)
            return
        case ChannelRef():
            return
    if isinstance(value, list) and isinstance(field_type, msgspec.inspect.CollectionType):
        for at, item in enumerate(value):
            yield from _uses(item, field_type.item_type, f"{path}[{at}]", secret, False)
    elif isinstance(value, dict):
        for key, item in value.items():
            item_type, item_required = _item_type(field_type, key, path)
            yield from _uses(item, item_type, f"{path}.{key}", secret, item_required)
    elif isinstance(value, list):
        raise InvalidInput(path, EXPECTED[parameter_type(field_type)])


def _item_type(field_type: msgspec.inspect.Type, key: str, path: str) -> tuple[msgspec.inspect.Type, bool]:
    """Return the type of an object's key, and whether it is required."""
    if isinstance(field_type, msgspec.inspect.DictType):
        return field_type.value_type, False
    if not isinstance(field_type, msgspec.inspect.StructType):
        raise InvalidInput(path, EXPECTED[parameter_type(field_type)])
    for field in field_type.fields:
        if field.name == key:
            return field.type, field.required
    raise InvalidInput(f"{path}.{key}", "is not a known field")


def _without_none(field_type: msgspec.inspect.Type) -> msgspec.inspect.Type:
    if not isinstance(field_type, msgspec.inspect.UnionType):
        return field_type
    others = [member for member in field_type.types if not isinstance(member, msgspec.inspect.NoneType)]
    return others[0] if len(others) == 1 else field_type


def _check_channel_ref(field: str, path: str, found: ChannelRef, at: int) -> None:
    if field != "fallback_channel_id":
        raise InvalidInput(path, "only fallback_channel_id can refer to a channel of the template")
    if not 0 <= found.at < at:
        raise InvalidInput(path, "must be the index of an earlier channel, starting at 0")


def _require_parameters(value: Any, path: str) -> None:
    """Reject anything but parameters in a secret field. The keys of an object are not secret."""
    if value is None or placeholder(value, path) is not None:
        return
    if isinstance(value, dict):
        for key, item in value.items():
            _require_parameters(item, f"{path}.{key}")
    elif isinstance(value, list):
        for at, item in enumerate(value):
            _require_parameters(item, f"{path}[{at}]")
    else:
        raise InvalidInput(path, 'must be a parameter, {"$": "NAME"}: secrets are not stored in a template')


def _check_type(body_class: type[BaseChannel], name: str, value: Any, path: str) -> None:
    field_type = next(field.type for field in msgspec.structs.fields(body_class) if field.name == name)
    try:
        msgspec.convert(value, field_type)
    except msgspec.ValidationError as error:
        below, message = field_and_message(error)
        dot = "." if below and not below.startswith("[") else ""
        raise InvalidInput(path + dot + below, message) from None


def _check_matchers(value: Any, path: str) -> None:
    for at, matcher in enumerate(value if isinstance(value, list) else ()):
        if isinstance(matcher, str):
            try:
                parse_matchers(matcher)
            except InvalidInput as error:
                raise InvalidInput(f"{path}[{at}]", error.message) from None


def _require_short(path: str, text: str) -> None:
    if len(text) > MAX_DESCRIPTION:
        raise InvalidInput(path, f"must not be longer than {MAX_DESCRIPTION} characters")
