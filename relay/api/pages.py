"""How are long lists cut into pages? By the key of the last item, so that new items move nothing."""

import base64
import binascii
from collections.abc import Callable
from typing import Annotated, Any, Final, Generic, TypeVar

import msgspec
from litestar.connection import ASGIConnection
from litestar.exceptions import ValidationException
from litestar.handlers import BaseRouteHandler
from litestar.params import QueryParameter

from relay.domain.errors import InvalidInput

MAX_LIMIT: Final = 500
DEFAULT_LIMIT: Final = 50
MAX_ID: Final = 2**63 - 1

Limit = Annotated[int, QueryParameter(ge=1, le=MAX_LIMIT, description="How many items a page has at most.")]
Cursor = Annotated[str | None, QueryParameter(description="`next` of the page before.")]

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
        return base64.urlsafe_b64decode(cursor.encode() + b"=" * (-len(cursor) % 4)).decode()
    except (binascii.Error, UnicodeError, ValueError):
        raise InvalidInput("cursor", "is not a cursor of this list") from None


def number_cursor(cursor: str | None) -> int | None:
    """The numeric key that a cursor stands for.

    Raises:
        InvalidInput: it is none of ours.
    """
    text = text_cursor(cursor)
    if text is None:
        return None
    if not (text.isascii() and text.isdigit()) or int(text) > MAX_ID:
        raise InvalidInput("cursor", "is not a cursor of this list")
    return int(text)


def known_parameters(connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
    """A guard: refuse query parameters that a handler does not know; a misspelt filter would show too much."""
    parameters = handler.parsed_fn_signature.parameters.items()
    known = {getattr(field.kwarg_definition, "name", None) or name for name, field in parameters}
    for name in connection.query_params:
        if name not in known:
            raise ValidationException(
                "unknown parameter", extra=[{"key": name, "message": "is not a known parameter"}]
            )


def _encode(key: str) -> str:
    return base64.urlsafe_b64encode(key.encode()).decode().rstrip("=")
