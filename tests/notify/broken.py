"""What stands in for platforms that don't speak HTTP well: a socket that answers bytes of the test's choice."""

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tests.fixtures.behaviors import Behavior, hangs, never_ends, resets_after, sends
from tests.fixtures.platforms import listening, self_signed

__all__ = ["broken", "hangs", "never_ends", "resets_after", "self_signed", "sends"]


@asynccontextmanager
async def broken(misbehave: Behavior, tls: ssl.SSLContext | None = None) -> AsyncIterator[str]:
    """A server that reads a request, and then does as it is told."""
    async with listening(tls) as platform:
        platform.always(misbehave)
        yield platform.url.replace("https:", "http:")
