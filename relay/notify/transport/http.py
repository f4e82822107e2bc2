"""The HTTP session of the process: bounded in time, connections and response size, without redirects."""

import asyncio
import io
import ssl
import time
from typing import Final
from urllib.parse import quote

import aiohttp
import yarl

from relay.notify.redact import basic_credentials
from relay.notify.requests import Request, Response
from relay.notify.transport.egress_policy import EgressCheck, EgressPolicy, host_url
from relay.notify.transport.proxy import ProxySettings

MAX_RESPONSE: Final = 256 * 1024
"""Bytes of a response body that are read. Slack returns the message, in which a character may take 12 bytes."""
RESPONSE_TIMEOUT: Final = 5.0
"""Seconds for the body after the status."""
CONNECT_TIMEOUT: Final = 5.0
MAX_CHUNK: Final = 512 * 1024
MAX_CONNECTIONS: Final = 100
PRINTABLE: Final = "".join(map(chr, range(0x21, 0x7F)))
HEADERS: Final = {"User-Agent": "alert-relay", "Accept-Encoding": "identity"}


class HttpTransport:
    """One aiohttp session for all channels. `open` before the first request, `close` after the last."""

    def __init__(self, policy: EgressPolicy, timeout: float, proxies: ProxySettings) -> None:
        """`timeout` is in seconds, for one request."""
        self._policy = policy
        self._proxies = proxies
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

    async def send(self, request: Request, check: EgressCheck, tls: ssl.SSLContext | None = None) -> Response:
        """Send one request and read the start of the response. `tls` is that of the channel, if it has its own.

        Raises:
            aiohttp.ClientError, OSError, TimeoutError: there is no response.
        """
        assert self._session is not None, "the HTTP session is not open"
        url, login = exact_url(request.url)
        headers = request.headers if login is None else request.headers | {"Authorization": f"Basic {login}"}
        if request.signing is not None:
            headers = headers | request.signing.headers(request.body, int(time.time()))
        # A large body is written in chunks: it must not block the event loop, and aiohttp warns about large bytes.
        body = request.body if len(request.body) <= MAX_CHUNK else io.BytesIO(request.body)
        if (proxy := self._proxies.proxy_for(url)) is not None:
            check.use_proxy()
        async with self._session.request(
            request.method,
            url,
            data=body,
            headers=headers,
            allow_redirects=False,
            ssl=True if tls is None else tls,
            proxy=None if proxy is None else proxy.url,
            proxy_headers=None if proxy is None else proxy.headers,
        ) as response:
            response_headers = {name.lower(): value for name, value in response.headers.items()}
            content = await _read(response.content)
            return Response(status=response.status, headers=response_headers, body=content)


def exact_url(text: str) -> tuple[yarl.URL, str | None]:
    """A URL whose path and query are sent byte for byte, and its credentials for HTTP basic authentication.

    The library would decode and encode them anew: `%2F` in a query as `/`, for example. Letters outside of ASCII
    are encoded.

    Raises:
        ValueError: the URL is malformed.
    """
    parsed = yarl.URL(text)
    rest = text.partition("://")[2]
    start = min((at for character in "/?#" if (at := rest.find(character)) >= 0), default=len(rest))
    target = quote(rest[start:].partition("#")[0], safe=PRINTABLE)
    if not target.startswith("/"):
        target = f"/{target}"
    url = yarl.URL(host_url(parsed.scheme, parsed.raw_host or "", parsed.explicit_port) + target, encoded=True)
    has_login = parsed.user is not None or parsed.password is not None
    return url, basic_credentials(parsed.user or "", parsed.password or "") if has_login else None


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
