"""What does the relay's HTTP API answer, or why does it not?"""

import asyncio
import json
from collections.abc import Mapping
from http import HTTPStatus
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import quote

import aiohttp
from yarl import URL

from relay.cli.server import Server
from relay.domain.errors import RelayError, Unavailable

BASE_PATH: Final = "/api/v1/monitoring/alerts"
TIMEOUT: Final = 30.0
"""Seconds for one call."""
PAGE: Final = 500
"""The most that the API gives in one page."""


class Client:
    """The API for the time of one command; whatever goes wrong is a RelayError of one line."""

    def __init__(self, server: Server) -> None:
        """Remember the server; nothing is connected before `async with`."""
        self._server = server

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            headers={"Authorization": f"Bearer {self._server.key}", "Accept": "application/json"},
            timeout=aiohttp.ClientTimeout(total=TIMEOUT),
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._session.close()

    async def get(self, *path: str, **query: str) -> dict[str, Any]:
        """Read a resource; the parts of its path are quoted here."""
        return await self._call("GET", path, query=query)

    async def post(self, *path: str, body: Mapping[str, Any], **query: str) -> dict[str, Any]:
        """Create a resource, or ask for something to be done."""
        return await self._call("POST", path, query=query, body=body)

    async def patch(self, *path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Change the fields in `body`; null resets one."""
        return await self._call("PATCH", path, body=body)

    async def delete(self, *path: str) -> None:
        """Delete a resource."""
        await self._call("DELETE", path)

    async def pages(self, *path: str, at_most: int | None = None, **query: str) -> list[dict[str, Any]]:
        """The items of a list, from as many pages as there are; the first `at_most`, or all."""
        items: list[dict[str, Any]] = []
        cursor: dict[str, str] = {}
        while True:
            size = PAGE if at_most is None else min(PAGE, at_most - len(items))
            page = await self.get(*path, limit=str(size), **query, **cursor)
            if not isinstance(page.get("items"), list):
                raise self._no_relay(HTTPStatus.OK)
            items += page["items"]
            if not page.get("next") or len(items) == at_most:
                return items
            cursor = {"cursor": str(page["next"])}

    async def _call(
        self,
        method: str,
        path: tuple[str, ...],
        *,
        query: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        address = "/".join((self._server.url + BASE_PATH, *(quote(part, safe="") for part in path)))
        try:
            # A redirect would turn a POST into a GET, and carry the key elsewhere.
            async with self._session.request(
                method, URL(address, encoded=True), params=query or None, json=body, allow_redirects=False
            ) as response:
                return self._read(response, await response.read())
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise self._away(error) from error

    def _read(self, response: aiohttp.ClientResponse, body: bytes) -> dict[str, Any]:
        status = response.status
        if status == HTTPStatus.NO_CONTENT:
            return {}
        if status == HTTPStatus.UNAUTHORIZED:
            raise RelayError(f"{self._server.url} does not accept the key; set RELAY_KEY to one that it knows")
        if HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST:
            target = response.headers.get("Location", "elsewhere")
            raise RelayError(f"{self._server.url} points to {target}; set RELAY_URL to the relay itself")
        answer = _json_object(body)
        if answer is None:
            raise self._no_relay(status)
        if status >= HTTPStatus.BAD_REQUEST:
            raise RelayError(str(answer.get("detail") or answer.get("title") or f"the relay answered {status}"))
        return answer

    def _no_relay(self, status: int) -> RelayError:
        return RelayError(
            f"{self._server.url} answered {status}, but not as a relay does; is it one, or a proxy in between?"
        )

    def _away(self, error: Exception) -> RelayError:
        url = self._server.url
        if isinstance(error, asyncio.TimeoutError):
            return Unavailable(f"{url} did not answer within {TIMEOUT:.0f} s")
        if isinstance(error, aiohttp.ClientSSLError | aiohttp.ClientConnectorCertificateError):
            return RelayError(f"there is no trusted TLS connection to {url}: {error}")
        if isinstance(error, aiohttp.ClientConnectorError):
            return Unavailable(f"no relay answers at {url}; is it running? (relay serve, or set RELAY_URL)")
        return Unavailable(f"the connection to {url} broke: {str(error) or type(error).__name__}")


def _json_object(body: bytes) -> dict[str, Any] | None:
    try:
        answer = json.loads(body)
    except ValueError:
        return None
    return answer if isinstance(answer, dict) else None
