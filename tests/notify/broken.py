"""A platform that misbehaves on its connections."""

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tests.fixtures.behaviors import Behavior
from tests.fixtures.platforms import listening


@asynccontextmanager
async def broken(behavior: Behavior, tls: ssl.SSLContext | None = None) -> AsyncIterator[str]:
    """The `http://` URL of a server that reads a request, and then does what `behavior` does."""
    async with listening(tls) as platform:
        platform.always(behavior)
        yield platform.url.replace("https:", "http:")
