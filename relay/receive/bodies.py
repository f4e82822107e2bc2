"""Bodies of webhooks, which may be compressed with gzip.

https://www.rfc-editor.org/rfc/rfc9110#section-8.4
"""

import asyncio
import zlib
from collections.abc import Callable, Iterator
from http import HTTPStatus
from typing import Any, Final

from litestar import Request
from litestar.exceptions import ClientException
from litestar.exceptions.http_exceptions import RequestEntityTooLarge

from relay.domain.errors import InvalidWebhook, Unavailable
from relay.domain.request_bodies import MAX_BODY, RESERVE, encodings_of

GZIP_NAMES: Final = frozenset({"gzip", "x-gzip"})
"""https://www.rfc-editor.org/rfc/rfc9110#section-8.4.1.3"""
GZIP_FORMAT: Final = 16 + zlib.MAX_WBITS
"""zlib's number for gzip with a window of any size. https://docs.python.org/3/library/zlib.html#zlib.decompress"""
MAX_MEMBERS: Final = 100
"""Parts of a gzip body. Each costs time, even if it is empty."""
READ: Final = 64 * 1024
WRITTEN: Final = 256 * 1024
"""Bytes that one step reads and writes at most; it takes about a millisecond."""


class UnsupportedEncoding(ClientException):
    """The body has a content encoding other than gzip."""

    status_code = HTTPStatus.UNSUPPORTED_MEDIA_TYPE


async def read_body(request: Request[Any, Any, Any]) -> bytes:
    """Read a request's body, and decompress it.

    Raises:
        UnsupportedEncoding: names the encoding, and what to do.
        RequestEntityTooLarge: the body has more than MAX_BODY bytes; it is not decompressed further.
        InvalidWebhook: the body is not gzip, or incomplete.
        Unavailable: too many bodies are in flight.
    """
    encodings = encodings_of(request.headers.getall("content-encoding", []))
    if not encodings:
        return await request.body()
    if len(encodings) > 1 or encodings[0] not in GZIP_NAMES:
        raise UnsupportedEncoding(
            f"Content-Encoding {', '.join(encodings)!r} is not supported: send the body as it is, or with gzip",
            headers={"Accept-Encoding": "gzip"},
        )
    extensions: dict[Any, Any] = request.scope.get("extensions") or {}
    return await _decompress(await request.body(), extensions[RESERVE])


async def _decompress(body: bytes, reserve: Callable[[int], bool]) -> bytes:
    parts: list[bytes] = []
    size = 0
    try:
        for part in _steps(body):
            size += len(part)
            if size > MAX_BODY:
                raise RequestEntityTooLarge(f"the decompressed body is larger than {MAX_BODY} bytes")
            if not reserve(len(part)):
                raise Unavailable("too many bodies are in flight; retry the request")
            parts.append(part)
            await asyncio.sleep(0)
    except zlib.error as error:
        raise InvalidWebhook("", f"the body is not gzip: {error}") from None
    return b"".join(parts)


def _steps(body: bytes) -> Iterator[bytes]:
    """Decompress a little at each step, which may result in nothing."""
    inflater, members = zlib.decompressobj(GZIP_FORMAT), 1
    for at in range(0, len(body), READ):
        data = body[at : at + READ]
        while data:
            if inflater.eof:
                if not (data := data.lstrip(b"\0")):  # padding
                    break
                inflater, members = zlib.decompressobj(GZIP_FORMAT), members + 1
                if members > MAX_MEMBERS:
                    raise InvalidWebhook("", f"the gzip body has more than {MAX_MEMBERS} members")
            yield inflater.decompress(data, WRITTEN)
            data = inflater.unused_data if inflater.eof else inflater.unconsumed_tail
    if body and not inflater.eof:
        raise InvalidWebhook("", "the gzip body is incomplete")
