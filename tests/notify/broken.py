"""What stands in for platforms that don't speak HTTP well: a socket that answers bytes of the test's choice."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tests.fixtures.behaviours import Behaviour, hangs, never_ends, resets_after, says
from tests.fixtures.platforms import self_signed

__all__ = ["broken", "hangs", "never_ends", "resets_after", "says", "self_signed"]


@asynccontextmanager
async def broken(behave: Behaviour, tls: ssl.SSLContext | None = None) -> AsyncIterator[str]:
    """A server that reads a request's head, and then does as it is told."""
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readuntil(b"\r\n\r\n")
            await behave(writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(serve(reader, writer))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    server = await asyncio.start_server(accept, "127.0.0.1", 0, ssl=tls)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        for task in set(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        server.close()
        await server.wait_closed()
