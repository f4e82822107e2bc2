"""What stands in a channel template in place of a value, and what comes of it?

`{"$": "webhook_url"}` stands for a parameter, `{"$channel": 0}` for the id of a channel that the template makes
before. They are JSON values of their own, never parts of a text: what is filled in can't become anything else.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final

import msgspec

from relay.domain.errors import InvalidInput

PARAMETER: Final = "$"
CHANNEL: Final = "$channel"
OMITTED: Final = object()
"""What an optional parameter is filled in with when it was not given: its field, item or key is left out."""
ANY_KEY: Final = "[...]"
"""How the decoder names a key of an object that it can't name."""


class ParameterRef(msgspec.Struct, frozen=True):
    """Stands for what a parameter was given."""

    name: str


class ChannelRef(msgspec.Struct, frozen=True):
    """Stands for the id of a channel of the same template, by its place there."""

    at: int


Placeholder = ParameterRef | ChannelRef


def placeholder(value: Any, path: str) -> Placeholder | None:
    """The placeholder that a value is, or None when it stands for itself.

    Raises:
        InvalidInput: it looks like a placeholder and is none; named by `path`.
    """
    if not isinstance(value, dict) or not any(str(key).startswith(PARAMETER) for key in value):
        return None
    match value:
        case {"$": str(name)} if len(value) == 1:
            return ParameterRef(name)
        case {"$channel": int(at)} if len(value) == 1 and not isinstance(at, bool):
            return ChannelRef(at)
    raise InvalidInput(path, 'must look like {"$": "parameter"} or {"$channel": 0} where it stands for a value')


def placeholders(value: Any, path: str) -> Iterator[tuple[str, Placeholder]]:
    """The placeholders anywhere in a value, with their paths."""
    if (found := placeholder(value, path)) is not None:
        yield path, found
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from placeholders(item, f"{path}.{key}")
    elif isinstance(value, list):
        for at, item in enumerate(value):
            yield from placeholders(item, f"{path}[{at}]")


class Substitution:
    """Fills placeholders in, and remembers what came from where, so that errors name what the caller sent."""

    def __init__(self, values: Mapping[str, Any], ids: Sequence[str], unnamed: str) -> None:
        """Take the parameters' values, the ids of the channels made before, and a prefix for what nobody sent."""
        self._values = values
        self._ids = ids
        self._unnamed = unnamed
        self._sent_as: dict[str, str] = {}

    def fill(self, value: Any, path: str = "") -> Any:
        """The value with everything filled in; LEFT_OUT when nothing is left of it."""
        match placeholder(value, path):
            case ParameterRef(name):
                if (given := self._values.get(name)) is None:
                    return OMITTED
                self._sent_as[path] = name
                return given
            case ChannelRef(at):
                return self._ids[at]
        if isinstance(value, dict):
            return self._object(value, path)
        if isinstance(value, list):
            return self._list(value, path)
        return value

    def override(self, name: str) -> None:
        """Remember that the caller sent a whole field."""
        self._sent_as = {at: sent for at, sent in self._sent_as.items() if not _within(at, name)} | {name: name}

    @contextmanager
    def named(self) -> Iterator[None]:
        """Name fields as the caller does, in errors that are raised within.

        Raises:
            InvalidInput: names the parameter, the field that was sent, or else the field of the template.
        """
        try:
            yield
        except InvalidInput as error:
            raise InvalidInput(self._name(error.field), error.message) from None

    def _object(self, value: dict[str, Any], path: str) -> Any:
        items = {key: self.fill(item, f"{path}.{key}" if path else key) for key, item in value.items()}
        kept = {key: item for key, item in items.items() if item is not OMITTED}
        return kept if kept or not value else OMITTED

    def _list(self, value: list[Any], path: str) -> Any:
        kept: list[Any] = []
        for item in value:
            if (made := self.fill(item, f"{path}[{len(kept)}]")) is not OMITTED:
                kept.append(made)
        return kept if kept or not value else OMITTED

    def _name(self, path: str) -> str:
        for at, sent in self._sent_as.items():
            if _within(path, at):
                return sent + path[len(at) :]
        inside = {sent for at, sent in self._sent_as.items() if _within(at, path.removesuffix(ANY_KEY))}
        return inside.pop() if len(inside) == 1 else self._unnamed + path


def _within(path: str, outer: str) -> bool:
    return path == outer or path.startswith((f"{outer}.", f"{outer}["))
