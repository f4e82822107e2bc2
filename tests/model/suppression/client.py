"""A client of several replicas, any of which may be down."""

import asyncio
from collections.abc import Sequence
from random import Random
from typing import Any, Final

import aiohttp

from relay.app import BASE_PATH
from tests.fixtures.relays import ADMIN_KEY

TIMEOUT: Final = aiohttp.ClientTimeout(total=5)
RETRY_EVERY: Final = 0.05
GONE: Final = (400, 404, 409)


class Client:
    """Sends each request to a random replica, until one answers it."""

    def __init__(self, session: aiohttp.ClientSession, urls: Sequence[str], rng: Random) -> None:
        self._session = session
        self._urls = urls
        self._rng = rng

    async def call(self, method: str, path: str, **request: Any) -> Any:
        """The JSON of a response; None if it has none, or if what the request is about is gone or over."""
        headers = {"Authorization": f"Bearer {ADMIN_KEY}"}
        while True:
            url = f"{self._rng.choice(self._urls)}{BASE_PATH}{path}"
            try:
                async with self._session.request(
                    method, url, headers=headers, timeout=TIMEOUT, **request
                ) as response:
                    if response.status < 300:
                        return await response.json() if response.content_type.endswith("json") else None
                    if response.status in GONE:
                        return None
                    if response.status < 500:
                        raise AssertionError(f"{method} {path}: {response.status} {await response.text()}")
            except (aiohttp.ClientError, OSError, TimeoutError):
                pass
            await asyncio.sleep(RETRY_EVERY)
