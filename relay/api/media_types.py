"""The types of the bodies that the admin API reads."""

from http import HTTPStatus
from typing import Any, Final

from litestar.connection import ASGIConnection
from litestar.exceptions import ClientException
from litestar.handlers import BaseRouteHandler

from relay.domain.request_bodies import encodings_of

UNSPECIFIC: Final = {"", "application/octet-stream", "application/x-www-form-urlencoded", "text/plain"}
"""What clients send that were told no type: curl and Python's urllib name a form, others text or bytes."""


async def require_json(connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
    """Guard: reject a body that is compressed, or that says to be of another type than JSON.

    Raises:
        ClientException: with the status 415; says what to send.
    """
    if handler.parsed_data_field is None:
        return
    if encodings := encodings_of(connection.headers.getall("content-encoding", [])):
        detail = f"Content-Encoding {', '.join(encodings)!r} is not supported: send the body as it is"
        raise _unsupported(detail, {"Accept-Encoding": "identity"})
    media_type = connection.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type not in UNSPECIFIC and media_type.rpartition("/")[2].rpartition("+")[2] != "json":
        detail = f"Content-Type {media_type!r} is not supported: send application/json"
        raise _unsupported(detail, {"Accept": "application/json"})


def _unsupported(detail: str, headers: dict[str, str]) -> ClientException:
    return ClientException(detail, status_code=HTTPStatus.UNSUPPORTED_MEDIA_TYPE, headers=headers)
