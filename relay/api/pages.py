"""How are long lists cut into pages? By the key of the last item, so that new items move nothing."""

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

MAX_LIMIT: Final = 500
DEFAULT_LIMIT: Final = 50
MAX_ID: Final = 2**63 - 1

Limit = Annotated[int, QueryParameter(ge=1, le=MAX_LIMIT, description="How many items a page has at most.")]
Cursor = Annotated[str | None, QueryParameter(description="`next` of the page before.")]
Id = Annotated[int, PathParameter(ge=0, le=MAX_ID)]
Number = Annotated[int, PathParameter(ge=1, le=2**31 - 1)]
IdFilter = Annotated[int | None, QueryParameter(ge=0, le=MAX_ID)]

T = TypeVar("T")


class Page(msgspec.Struct, Generic[T], frozen=True):
    """A page of a list. `next` is the cursor of the page after it, or null at the end."""

    items: list[T]
    next: str | None


def page_of(items: list[T], limit: int, key: Callable[[T], object]) -> Page[T]:
    """Make a page of up to `limit` items out of up to `limit + 1` that were read."""
    more = len(items) > limit
    shown = items[:limit]
    return Page(shown, _encode(str(key(shown[-1]))) if more else None)


def text_cursor(cursor: str | None) -> str | None:
    """The key that a cursor stands for.

    Raises:
        InvalidInput: it is none of ours.
    """
    if cursor is None:
        return None
    try:
        key = base64.urlsafe_b64decode(cursor.encode() + b"=" * (-len(cursor) % 4)).decode()
    except (binascii.Error, UnicodeError, ValueError):
        key = ""
    if not key or "\0" in key or _encode(key) != cursor:
        raise InvalidInput("cursor", "is not a cursor of this list")
    return key


def number_cursor(cursor: str | None) -> int | None:
    """The numeric key that a cursor stands for.

    Raises:
        InvalidInput: it is none of ours.
    """
    text = text_cursor(cursor)
    if text is None:
        return None
    if not (text.isascii() and text.isdigit()) or len(text) > len(str(MAX_ID)) or int(text) > MAX_ID:
        raise InvalidInput("cursor", "is not a cursor of this list")
    return int(text)


def moment(name: str, given: datetime | None) -> datetime | None:
    """The time that a parameter names, in UTC.

    Raises:
        InvalidInput: it says no time zone, or is one that no calendar of ours holds.
    """
    if given is None:
        return None
    if given.tzinfo is None:
        raise InvalidInput(name, "must say its time zone, such as 2026-11-23T15:33:27Z")
    try:
        return given.astimezone(UTC)
    except OverflowError:
        raise InvalidInput(name, "is out of range") from None


def query_parameters(handler: BaseRouteHandler) -> dict[str, str]:
    """The query parameters of a handler: its own name for each, and the caller's."""
    return {
        name: field.kwarg_definition.name or name
        for name, field in handler.parsed_fn_signature.parameters.items()
        if isinstance(field.kwarg_definition, QueryParameter)
    }


def known_parameters(connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
    """A guard: refuse query parameters that are not known or come twice; a misspelt filter would show too much.

    Text that Postgres can't hold is refused here too, in the path as well.
    """
    known = set(query_parameters(handler).values())
    for name, values in connection.query_params.dict().items():
        if name not in known:
            raise _wrong_parameter(name, "is not a known parameter")
        if len(values) > 1:
            raise _wrong_parameter(name, "is given more than once")
    for name, value in (*connection.query_params.items(), *connection.path_params.items()):
        require_storable(value, name)


def _wrong_parameter(name: str, message: str) -> ValidationException:
    return ValidationException(message, extra=[{"key": name, "message": message}])


def _encode(key: str) -> str:
    return base64.urlsafe_b64encode(key.encode()).decode().rstrip("=")
