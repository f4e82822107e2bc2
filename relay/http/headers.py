"""The headers of every response: a request id, and what browsers must not do with the response."""

import re
import secrets
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final

import structlog

REQUEST_ID: Final = b"x-request-id"
SECURITY_HEADERS: Final[tuple[tuple[bytes, bytes], ...]] = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
)
"""Added to a response that does not set them itself."""
_id_given = re.compile(rb"[A-Za-z0-9._-]{1,64}")

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Any, Receive, Send], Awaitable[None]]


def new_request_id() -> bytes:
    """A random id."""
    return secrets.token_hex(8).encode()


class ResponseHeaders:
    """Adds the headers to each response of an ASGI application, and the request id to each log line of a request.

    The id is that of the request's X-Request-Id, if it consists of 1 to 64 letters, digits, `.`, `_` and `-`.
    """

    def __init__(self, application: Application) -> None:
        """Wrap the outermost application, so that errors get the headers as well."""
        self._application = application

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        """Handle a request; other scopes pass through."""
        if scope["type"] != "http":
            await self._application(scope, receive, send)
            return
        given = next((value for name, value in scope["headers"] if name == REQUEST_ID), b"")
        request_id = given if _id_given.fullmatch(given) else new_request_id()
        added = ((REQUEST_ID, request_id), *SECURITY_HEADERS)

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = list(message.get("headers", ()))
                present = {bytes(name).lower() for name, _ in headers}
                headers += [header for header in added if header[0] not in present]
                message["headers"] = headers
            await send(message)

        with structlog.contextvars.bound_contextvars(request_id=request_id.decode()):
            await self._application(scope, receive, send_with_headers)
