"""Paths of invalid fields, and text that Postgres can store."""

import re
from collections.abc import Mapping
from typing import Any, Final

import msgspec
import msgspec.inspect

from relay.domain.errors import InvalidInput

REPLACEMENT: Final = "\ufffd"
_unstorable = re.compile("[\x00\ud800-\udfff]")
_path = re.compile(r"^(?P<message>.*) - at `(?:key in )?\$\.?(?P<path>.*)`$", re.DOTALL)
_named = re.compile(r"^Object (?P<what>missing required|contains unknown) field `(?P<name>[^`]*)`$")


def replace_unstorable(value: Any) -> Any:
    """Return JSON data with U+0000 and lone surrogates replaced by U+FFFD, in keys and values."""
    if isinstance(value, str):
        return _unstorable.sub(REPLACEMENT, value)
    if isinstance(value, list):
        return [replace_unstorable(item) for item in value]
    if isinstance(value, Mapping):
        return {replace_unstorable(key): replace_unstorable(item) for key, item in value.items()}
    return value


def field_and_message(error: msgspec.ValidationError) -> tuple[str, str]:
    """Extract the field's path and a message for people from msgspec's error.

    Returns:
        (`severities[0]`, "Expected `str`, got `int`"); the path is empty when the error concerns the whole body.
    """
    message, path = str(error), ""
    if found := _path.match(message):
        message, path = found["message"], found["path"]
    if isinstance(error.__cause__, InvalidInput):
        return ".".join(filter(None, (path, error.__cause__.field))), error.__cause__.message
    if found := _named.match(message):
        path = f"{path}.{found['name']}" if path else found["name"]
        message = "is missing" if found["what"] == "missing required" else "is not a known field"
    return path, message


def fields_of(struct: type[msgspec.Struct]) -> dict[str, msgspec.inspect.Field]:
    """The fields of a struct, by name."""
    info = msgspec.inspect.type_info(struct)
    assert isinstance(info, msgspec.inspect.StructType)
    return {field.name: field for field in info.fields}


def choices(of: msgspec.inspect.Type) -> tuple[str, ...]:
    """The values that a type, or a list of it, accepts; empty if it does not list them."""
    match of:
        case msgspec.inspect.EnumType():
            return tuple(str(member.value) for member in of.cls)
        case msgspec.inspect.LiteralType():
            return tuple(str(value) for value in of.values)
        case msgspec.inspect.VarTupleType():
            return choices(of.item_type)
        case _:
            return ()


def require_storable(value: Any, path: str = "") -> None:
    """Reject text that Postgres can't store, anywhere in JSON data.

    Raises:
        InvalidInput: names the field.
    """
    if isinstance(value, str):
        if _unstorable.search(value):
            raise InvalidInput(path, "must not contain U+0000 or lone surrogates")
    elif isinstance(value, list | tuple):
        for at, item in enumerate(value):
            require_storable(item, f"{path}[{at}]")
    elif isinstance(value, Mapping):
        for key, item in value.items():
            require_storable(key, path)
            require_storable(item, f"{path}.{key}" if path else str(key))
