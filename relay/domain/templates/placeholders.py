"""Placeholders in channel templates, and their substitution.

`{"$": "webhook_url"}` is replaced by a parameter, and `{"$channel": 0}` by the id of an earlier channel of the
template. A placeholder is a whole JSON value and never part of a text, so that a substituted value can't be
misinterpreted.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final

import msgspec

from relay.domain.errors import InvalidInput

PARAMETER: Final = "$"
OMITTED: Final = object()
"""The value of an optional parameter that was not given: its field, item or key is omitted."""
ANY_KEY: Final = "[...]"
"""How msgspec writes an unknown key in a path."""


class ParameterRef(msgspec.Struct, frozen=True):
    """A placeholder for the value of a parameter."""

    name: str


class ChannelRef(msgspec.Struct, frozen=True):
    """A placeholder for the id of a channel of the same template, by its index."""

    at: int


Placeholder = ParameterRef | ChannelRef


def placeholder(value: Any, path: str) -> Placeholder | None:
    """Parse a placeholder; None if the value is not one.

    Raises:
        InvalidInput: the value is a malformed placeholder; names `path`.
    """
    if not isinstance(value, dict) or not any(str(key).startswith(PARAMETER) for key in value):
        return None
    match value:
        case {"$": str(name)} if len(value) == 1:
            return ParameterRef(name)
        case {"$channel": int(at)} if len(value) == 1 and not isinstance(at, bool):
            return ChannelRef(at)
    raise InvalidInput(path, 'must be {"$": "parameter"} or {"$channel": 0} to be a placeholder')


def placeholders(value: Any, path: str) -> Iterator[tuple[str, Placeholder]]:
    """Yield the placeholders anywhere in a value, with their paths."""
    if (found := placeholder(value, path)) is not None:
        yield path, found
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from placeholders(item, f"{path}.{key}")
    elif isinstance(value, list):
        for at, item in enumerate(value):
            yield from placeholders(item, f"{path}[{at}]")


class Substitution:
    """Replaces placeholders, and records their sources, so that errors name the fields that the caller sent."""

    def __init__(self, values: Mapping[str, Any], channel_ids: Sequence[str], prefix: str) -> None:
        """`prefix` precedes the paths of fields that come from the template and not from the caller."""
        self._values = values
        self._channel_ids = channel_ids
        self._prefix = prefix
        self._sources: dict[str, str] = {}

    def substitute(self, value: Any, path: str = "") -> Any:
        """Return the value with all placeholders replaced; OMITTED if nothing remains."""
        match placeholder(value, path):
            case ParameterRef(name):
                if (given := self._values.get(name)) is None:
                    return OMITTED
                self._sources[path] = name
                return given
            case ChannelRef(at):
                return self._channel_ids[at]
        if isinstance(value, dict):
            return self._object(value, path)
        if isinstance(value, list):
            return self._list(value, path)
        return value

    def override(self, name: str) -> None:
        """Record that the caller sent the whole field."""
        self._sources = {at: sent for at, sent in self._sources.items() if not _within(at, name)} | {name: name}

    @contextmanager
    def caller_fields(self) -> Iterator[None]:
        """Convert the field of an error raised in the block to the caller's name for it.

        Raises:
            InvalidInput: names the parameter, the field that was sent, or else the field of the template.
        """
        try:
            yield
        except InvalidInput as error:
            raise InvalidInput(self._source(error.field), error.message) from None

    def _object(self, value: dict[str, Any], path: str) -> Any:
        items = {key: self.substitute(item, f"{path}.{key}" if path else key) for key, item in value.items()}
        kept = {key: item for key, item in items.items() if item is not OMITTED}
        return kept if kept or not value else OMITTED

    def _list(self, value: list[Any], path: str) -> Any:
        kept: list[Any] = []
        for item in value:
            if (substituted := self.substitute(item, f"{path}[{len(kept)}]")) is not OMITTED:
                kept.append(substituted)
        return kept if kept or not value else OMITTED

    def _source(self, path: str) -> str:
        for at, sent in self._sources.items():
            if _within(path, at):
                return sent + path[len(at) :]
        inside = {sent for at, sent in self._sources.items() if _within(at, path.removesuffix(ANY_KEY))}
        return inside.pop() if len(inside) == 1 else self._prefix + path


def _within(path: str, outer: str) -> bool:
    return path == outer or path.startswith((f"{outer}.", f"{outer}["))
