"""Keyset pagination: a cursor is the key of the last item, so new items do not shift pages."""

import base64
import binascii
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated, Any, Final, Generic, TypeVar

import msgspec
from litestar.connection import ASGIConnection
from litestar.exceptions import ValidationException
from litestar.handlers import BaseRouteHandler
from litestar.params import PathParameter, QueryParameter

from relay.domain.errors import InvalidInput
from relay.domain.fields import require_storable
from relay.domain.history import MAX_ID

MAX_LIMIT: Final = 500
DEFAULT_LIMIT: Final = 50

Limit = Annotated[int, QueryParameter(ge=1, le=MAX_LIMIT, description="Maximum number of items.")]
Cursor = Annotated[str | None, QueryParameter(description="`next` of the previous page.")]
Id = Annotated[int, PathParameter(ge=0, le=MAX_ID)]
Number = Annotated[int, PathParameter(ge=1, le=2**31 - 1)]
IdFilter = Annotated[int | None, QueryParameter(ge=0, le=MAX_ID)]

T = TypeVar("T")


class Page(msgspec.Struct, Generic[T], frozen=True):
    """A page of a list. `next` is the cursor of the next page, or null on the last one."""

    items: list[T]
    next: str | None


def page_of(items: list[T], limit: int, key: Callable[[T], object]) -> Page[T]:
    """Make a page of at most `limit` items from the `limit + 1` that were read."""
    more = len(items) > limit
    page = items[:limit]
    return Page(page, encode_cursor(str(key(page[-1]))) if more else None)


def text_cursor(cursor: str | None) -> str | None:
    """Decode the key of a cursor.

    Raises:
        InvalidInput: it is not a cursor of the list.
    """
    if cursor is None:
        return None
    try:
        key = base64.urlsafe_b64decode(cursor.encode() + b"=" * (-len(cursor) % 4)).decode()
    except (binascii.Error, UnicodeError, ValueError):
        key = ""
    if not key or "\0" in key or encode_cursor(key) != cursor:
        raise InvalidInput("cursor", "is not a cursor of this list")
    return key


def number_cursor(cursor: str | None) -> int | None:
    """Decode the numeric key of a cursor.

    Raises:
        InvalidInput: it is not a cursor of the list.
    """
    text = text_cursor(cursor)
    if text is None:
        return None
    if not (text.isascii() and text.isdigit()) or len(text) > len(str(MAX_ID)) or int(text) > MAX_ID:
        raise InvalidInput("cursor", "is not a cursor of this list")
    return int(text)


def utc(name: str, given: datetime | None) -> datetime | None:
    """Convert the time in a parameter to UTC.

    Raises:
        InvalidInput: it has no time zone or is out of range.
    """
    if given is None:
        return None
    if given.tzinfo is None:
        raise InvalidInput(name, "must have a time zone, such as 2026-11-23T15:33:27Z")
    try:
        return given.astimezone(UTC)
    except OverflowError:
        raise InvalidInput(name, "is out of range") from None


def query_parameters(handler: BaseRouteHandler) -> dict[str, str]:
    """The query parameters of a handler: from the argument name to the name in the URL."""
    return {
        name: field.kwarg_definition.name or name
        for name, field in handler.parsed_fn_signature.parameters.items()
        if isinstance(field.kwarg_definition, QueryParameter)
    }


async def reject_unknown_parameters(
    connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler
) -> None:
    """Guard: reject unknown and repeated query parameters; a misspelled filter would match too much.

    It also rejects text that Postgres can't store, in the query and in the path.
    """
    known, lists = set(query_parameters(handler).values()), _lists(handler)
    for name, values in connection.query_params.dict().items():
        if name not in known:
            raise _wrong_parameter(name, "is not a known parameter")
        if len(values) > 1 and name not in lists:
            raise _wrong_parameter(name, "is given more than once")
    for name, value in (*connection.query_params.items(), *connection.path_params.items()):
        require_storable(value, name)


def _lists(handler: BaseRouteHandler) -> set[str]:
    """The parameters that may be repeated: those of lists."""
    names, fields = query_parameters(handler), handler.parsed_fn_signature.parameters
    return {
        parameter
        for name, parameter in names.items()
        if any(kind.is_non_string_sequence for kind in (fields[name], *fields[name].inner_types))
    }


def _wrong_parameter(name: str, message: str) -> ValidationException:
    return ValidationException(message, extra=[{"key": name, "message": message}])


def encode_cursor(key: str) -> str:
    """Return the cursor of a key."""
    return base64.urlsafe_b64encode(key.encode()).decode().rstrip("=")
