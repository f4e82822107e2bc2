"""Does a channel template make sense, and what are its parameters, by where they stand?"""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec
import msgspec.inspect as shapes

from relay.domain.channel_types import BaseChannel, channel_class
from relay.domain.channels import MAX_NAME, require_id, slug
from relay.domain.errors import InvalidInput
from relay.domain.fields import field_and_message, require_storable
from relay.domain.matchers import parse_matcher
from relay.domain.templates.channel_templates import ChannelTemplate, Parameter, ParameterType, require_type
from relay.domain.templates.placeholders import ChannelRef, ParameterRef, placeholder, placeholders

MAX_DESCRIPTION: Final = 2000
MAX_CHANNELS: Final = 10
"""All channels of a template are made in one transaction, for which other changes wait."""
MAX_PARAMETERS: Final = 50
WANTED: Final[dict[ParameterType, str]] = {
    "string": "must be a string, or a parameter",
    "number": "must be a number, or a parameter",
    "boolean": "must be true or false, or a parameter",
    "list": "must be a list, or a parameter",
    "object": "must be an object, or a parameter",
}
_parameter_name = re.compile(r"[a-z][a-z0-9_]{0,62}")


class Use(msgspec.Struct, frozen=True):
    """Where a parameter stands: the path, what belongs there, and whether a channel cannot do without it."""

    path: str
    name: str
    type: ParameterType
    secret: bool
    needed: bool


def parameter_type(described: shapes.Type) -> ParameterType:
    """What a parameter must be given to stand where this type belongs."""
    match _without_none(described):
        case shapes.BoolType():
            return "boolean"
        case shapes.IntType() | shapes.FloatType():
            return "number"
        case shapes.CollectionType():
            return "list"
        case shapes.DictType() | shapes.StructType():
            return "object"
    return "string"


def validate_channel_template(template: ChannelTemplate) -> ChannelTemplate:
    """The template with its id, if that was left out, and with the types of its parameters filled in.

    Raises:
        InvalidInput: names the field; also when a secret stands in it.
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
        raise InvalidInput("channels", f"must hold 1 to {MAX_CHANNELS} channels")
    if len(template.parameters) > MAX_PARAMETERS:
        raise InvalidInput("parameters", f"must not hold more than {MAX_PARAMETERS} parameters")
    uses = [use for at, body in enumerate(template.channels) for use in _uses_of_channel(body, at)]
    parameters = _filled_in(template.parameters, uses)
    return msgspec.structs.replace(template, id=template_id, parameters=parameters, builtin=False)


def _filled_in(parameters: list[Parameter], uses: list[Use]) -> list[Parameter]:
    named: dict[str, Parameter] = {}
    for at, parameter in enumerate(parameters):
        path = f"parameters[{at}]"
        if not _parameter_name.fullmatch(parameter.name):
            raise InvalidInput(f"{path}.name", "must be 1 to 63 of a-z, 0-9 and _, with a letter at its begin")
        if parameter.name in named:
            raise InvalidInput(f"{path}.name", f"{parameter.name!r} is there twice")
        _require_short(f"{path}.description", parameter.description)
        of_it = [use for use in uses if use.name == parameter.name]
        named[parameter.name] = _agreed(parameter, of_it, path)
    for use in uses:
        if use.name not in named:
            raise InvalidInput(use.path, f"{use.name!r} is not among the template's parameters")
    return list(named.values())


def _agreed(parameter: Parameter, uses: list[Use], path: str) -> Parameter:
    """The parameter as its uses want it."""
    if not uses:
        raise InvalidInput(f"{path}.name", f"{parameter.name!r} stands nowhere in the template's channels")
    types = sorted({use.type for use in uses})
    secret = uses[0].secret
    if len(types) > 1 or any(use.secret != secret for use in uses):
        where = ", ".join(use.path for use in uses)
        raise InvalidInput(f"{path}.name", f"stands where different things belong: {where}")
    if parameter.type not in (None, types[0]):
        raise InvalidInput(f"{path}.type", f"must be {types[0]!r}, as {uses[0].path} is, or be left out")
    if parameter.secret and not secret:
        raise InvalidInput(f"{path}.secret", f"{uses[0].path} is not kept as a secret")
    if parameter.default is not None:
        _check_default(parameter, types[0], secret, path)
    elif not parameter.required and (needed := [use.path for use in uses if use.needed]):
        raise InvalidInput(f"{path}.required", f"must be true, for {needed[0]} must be given")
    return msgspec.structs.replace(parameter, type=types[0], secret=secret)


def _check_default(parameter: Parameter, wanted: ParameterType, secret: bool, path: str) -> None:
    if secret:
        raise InvalidInput(f"{path}.default", "must be left out: secrets are not kept in a template")
    if parameter.required:
        raise InvalidInput(f"{path}.default", "must be left out, or the parameter not be required")
    require_type(wanted, parameter.default, f"{path}.default")


def _uses_of_channel(body: Mapping[str, Any], at: int) -> Iterator[Use]:
    """The parameters in a channel's body; what stands there itself is checked as far as it can be."""
    path = f"channels[{at}]"
    try:
        kind = channel_class(body.get("channel_type"))
    except InvalidInput as error:
        raise InvalidInput(f"{path}.channel_type", error.message) from None
    described = shapes.type_info(kind)
    assert isinstance(described, shapes.StructType)
    fields = {field.name: field for field in described.fields}
    for name, field in fields.items():
        if field.required and body.get(name) is None:
            raise InvalidInput(f"{path}.{name}", "is missing")
    for name, value in body.items():
        if name != "channel_type" and name not in fields:
            raise InvalidInput(f"{path}.{name}", "is not a known field")
        if name in fields:
            yield from _uses_of_field(kind, fields[name], value, at)


def _uses_of_field(kind: type[BaseChannel], field: shapes.Field, value: Any, at: int) -> Iterator[Use]:
    name, path = field.name, f"channels[{at}].{field.name}"
    found = list(placeholders(value, path))
    for place, one in found:
        if isinstance(one, ChannelRef):
            _check_made_before(name, place, one, at)
    if name in kind.SECRET:
        _require_no_text(value, path)
    if name == "matchers":
        _check_matchers(value, path)
    if found:
        yield from _uses(value, field.type, path, name in kind.SECRET, field.required)
    else:
        _check_shape(kind, name, value, path)


def _uses(value: Any, described: shapes.Type, path: str, secret: bool, needed: bool) -> Iterator[Use]:
    described = _without_none(described)
    match placeholder(value, path):
        case ParameterRef(name):
            yield Use(path, name, parameter_type(described), secret, needed)
            return
        case ChannelRef():
            return
    if isinstance(value, list) and isinstance(described, shapes.CollectionType):
        for at, item in enumerate(value):
            yield from _uses(item, described.item_type, f"{path}[{at}]", secret, False)
    elif isinstance(value, dict):
        for key, item in value.items():
            part, must = _part(described, key, path)
            yield from _uses(item, part, f"{path}.{key}", secret, must)
    elif isinstance(value, list):
        raise InvalidInput(path, WANTED[parameter_type(described)])


def _part(described: shapes.Type, key: str, path: str) -> tuple[shapes.Type, bool]:
    """What belongs to a key of an object, and whether it must be there."""
    if isinstance(described, shapes.DictType):
        return described.value_type, False
    if not isinstance(described, shapes.StructType):
        raise InvalidInput(path, WANTED[parameter_type(described)])
    for field in described.fields:
        if field.name == key:
            return field.type, field.required
    raise InvalidInput(f"{path}.{key}", "is not a known field")


def _without_none(described: shapes.Type) -> shapes.Type:
    if not isinstance(described, shapes.UnionType):
        return described
    others = [one for one in described.types if not isinstance(one, shapes.NoneType)]
    return others[0] if len(others) == 1 else described


def _check_made_before(field: str, path: str, found: ChannelRef, at: int) -> None:
    if field != "fallback_channel_id":
        raise InvalidInput(path, "only a fallback_channel_id can be a channel of the template")
    if not 0 <= found.at < at:
        raise InvalidInput(path, "must be the place of a channel further up, counted from 0")


def _require_no_text(value: Any, path: str) -> None:
    """Refuse anything but parameters in a secret field, whose shape and keys are no secret."""
    if value is None or placeholder(value, path) is not None:
        return
    if isinstance(value, dict):
        for key, item in value.items():
            _require_no_text(item, f"{path}.{key}")
    elif isinstance(value, list):
        for at, item in enumerate(value):
            _require_no_text(item, f"{path}[{at}]")
    else:
        raise InvalidInput(path, 'must be a parameter, {"$": "NAME"}: secrets are not kept in a template')


def _check_shape(kind: type[BaseChannel], name: str, value: Any, path: str) -> None:
    field_type = next(field.type for field in msgspec.structs.fields(kind) if field.name == name)
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
                parse_matcher(matcher)
            except InvalidInput as error:
                raise InvalidInput(f"{path}[{at}]", error.message) from None


def _require_short(path: str, text: str) -> None:
    if len(text) > MAX_DESCRIPTION:
        raise InvalidInput(path, f"must not be longer than {MAX_DESCRIPTION} characters")
