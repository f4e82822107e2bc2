"""Fixtures of authentication."""

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from relay.access.jwks import KeySetCache
from tests.access.issuer import fetch
from tests.fixtures.sink import Sink

NewCache = Callable[..., KeySetCache]


@pytest.fixture
async def new_cache(sink: Sink) -> AsyncIterator[NewCache]:
    """Creates caches of the sink's key set, which are closed after the test."""
    caches: list[KeySetCache] = []

    def create(**options: Any) -> KeySetCache:
        given: dict[str, Any] = {
            "fetch": fetch,
            "url": f"{sink.url}/keys",
            "algorithms": ("RS256", "ES256"),
            "timeout": 60.0,
        }
        caches.append(KeySetCache(**given | options))
        return caches[-1]

    yield create
    for cache in caches:
        await cache.close()
