"""Which field of an input is wrong, and how is text made fit to store?"""

import re
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from relay.domain.errors import InvalidInput

REPLACEMENT: Final = "\ufffd"
_unfit = re.compile("[\x00\ud800-\udfff]")
_path = re.compile(r"^(?P<message>.*) - at `(?:key in )?\$\.?(?P<path>.*)`$", re.DOTALL)
_named = re.compile(r"^Object (?P<what>missing required|contains unknown) field `(?P<name>[^`]*)`$")


def clean(value: Any) -> Any:
    """Return JSON data with U+0000 and lone surrogates replaced by U+FFFD, in keys and values."""
    if isinstance(value, str):
        return _unfit.sub(REPLACEMENT, value)
    if isinstance(value, list):
        return [clean(item) for item in value]
    if isinstance(value, Mapping):
        return {clean(key): clean(item) for key, item in value.items()}
    return value


def field_and_message(error: msgspec.ValidationError) -> tuple[str, str]:
    """Read the field's path and a message for people out of msgspec's error.

    Returns:
        (`severities[0]`, "Expected `str`, got `int`"); the path is empty when the whole body is meant.
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


def require_storable(value: Any, path: str = "") -> None:
    """Refuse text that Postgres can't hold, anywhere in JSON data.

    Raises:
        InvalidInput: names the field.
    """
    if isinstance(value, str):
        if _unfit.search(value):
            raise InvalidInput(path, "must not contain U+0000 or lone surrogates")
    elif isinstance(value, list):
        for at, item in enumerate(value):
            require_storable(item, f"{path}[{at}]")
    elif isinstance(value, Mapping):
        for key, item in value.items():
            require_storable(key, path)
            require_storable(item, f"{path}.{key}" if path else str(key))
