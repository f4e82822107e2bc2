"""A client of the relay's HTTP API."""

import asyncio
import json
from collections.abc import Mapping, Sequence
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
Values = str | Sequence[str]
"""Of a parameter: one, or several of one that may be repeated."""
PAGE: Final = 500
"""The maximum number of items in a page."""


class Client:
    """A client for the duration of one command; every failure is a RelayError of one line."""

    def __init__(self, server: Server) -> None:
        """Set the server; the connection is made within `async with`."""
        self._server = server

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            headers={"Authorization": f"Bearer {self._server.key}", "Accept": "application/json"},
            timeout=aiohttp.ClientTimeout(total=TIMEOUT),
        )
        return self

    async def __aexit__(
        self, error_type: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._session.close()

    async def get(self, *path: str, **query: Values) -> dict[str, Any]:
        """Get a resource; the parts of its path are quoted."""
        return await self._call("GET", path, query=query)

    async def post(self, *path: str, body: Mapping[str, Any], **query: str) -> dict[str, Any]:
        """Create a resource or run an operation."""
        return await self._call("POST", path, query=query, body=body)

    async def patch(self, *path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Update the fields in `body`; null resets a field."""
        return await self._call("PATCH", path, body=body)

    async def delete(self, *path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Delete a resource, or those that `body` names; the result is empty unless the relay returns one."""
        return await self._call("DELETE", path, body=body)

    async def pages(self, *path: str, at_most: int | None = None, **query: Values) -> list[dict[str, Any]]:
        """The items of a list, from all its pages or until there are `at_most`."""
        items: list[dict[str, Any]] = []
        cursor: dict[str, str] = {}
        while True:
            size = PAGE if at_most is None else min(PAGE, at_most - len(items))
            page = await self.get(*path, limit=str(size), **query, **cursor)
            if not isinstance(page.get("items"), list):
                raise self._unexpected_response(HTTPStatus.OK)
            items += page["items"]
            if not page.get("next") or len(items) == at_most:
                return items
            cursor = {"cursor": str(page["next"])}

    async def _call(
        self,
        method: str,
        path: tuple[str, ...],
        *,
        query: Mapping[str, Values] | None = None,
        body: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        address = "/".join((self._server.url + BASE_PATH, *(quote(part, safe="") for part in path)))
        try:
            # A redirect would turn a POST into a GET, and send the key to another server.
            async with self._session.request(
                method, URL(address, encoded=True), params=query or None, json=body, allow_redirects=False
            ) as response:
                return self._read(response, await response.read())
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise self._connection_error(error) from error

    def _read(self, response: aiohttp.ClientResponse, body: bytes) -> dict[str, Any]:
        status = response.status
        if status == HTTPStatus.NO_CONTENT:
            return {}
        if status == HTTPStatus.UNAUTHORIZED:
            raise RelayError(f"{self._server.url} rejected the API key; set RELAY_KEY to a valid one")
        if HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST:
            target = response.headers.get("Location", "another address")
            raise RelayError(f"{self._server.url} redirects to {target}; set RELAY_URL to the relay's own address")
        content = _json_object(body)
        if content is None:
            raise self._unexpected_response(status)
        if status >= HTTPStatus.BAD_REQUEST:
            raise RelayError(str(content.get("detail") or content.get("title") or f"the relay responded {status}"))
        return content

    def _unexpected_response(self, status: int) -> RelayError:
        return RelayError(
            f"{self._server.url} responded {status}, but not like a relay; check RELAY_URL and proxies in between"
        )

    def _connection_error(self, error: Exception) -> RelayError:
        url = self._server.url
        if isinstance(error, asyncio.TimeoutError):
            return Unavailable(f"{url} did not respond within {TIMEOUT:.0f} s")
        if isinstance(error, aiohttp.ClientSSLError | aiohttp.ClientConnectorCertificateError):
            return RelayError(f"the TLS connection to {url} failed: {error}")
        if isinstance(error, aiohttp.ClientConnectorError):
            return Unavailable(f"can't connect to {url}; start the relay with `relay serve`, or set RELAY_URL")
        return Unavailable(f"the connection to {url} failed: {str(error) or type(error).__name__}")


def _json_object(body: bytes) -> dict[str, Any] | None:
    try:
        content = json.loads(body)
    except ValueError:
        return None
    return content if isinstance(content, dict) else None
