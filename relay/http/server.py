"""uvicorn with the relay's bounds, stopped by an event instead of signals."""

import asyncio
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, Final

import uvicorn

from relay.http.headers import Application
from relay.http.occupancy import Occupancy
from relay.http.protocol import BoundedProtocol

KEEP_ALIVE: Final = 330
"""Seconds; longer than Go's HTTP client (Alertmanager) keeps idle connections, so that the client closes them."""


class UvicornServer(uvicorn.Server):
    """uvicorn that an event stops, instead of signals."""

    def __init__(self, application: Application, occupancy: Occupancy, shutdown_timeout: float) -> None:
        """Requests in progress have `shutdown_timeout` seconds to finish."""
        protocol: Any = partial(BoundedProtocol, occupancy=occupancy)
        config = uvicorn.Config(
            application,
            http=protocol,
            ws="none",
            log_config=None,
            access_log=False,
            lifespan="off",
            server_header=False,
            proxy_headers=False,  # the webhook resolves X-Forwarded-For itself, see RELAY_TRUSTED_PROXIES
            timeout_keep_alive=KEEP_ALIVE,
            timeout_graceful_shutdown=max(int(shutdown_timeout), 1),
        )
        super().__init__(config)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Install no signal handlers: delivery stops after the server, so the caller handles them."""
        yield

    async def serve_until(self, stop: asyncio.Event, listening: socket.socket) -> None:
        """Serve until the event, then finish the requests in progress."""
        serving = asyncio.create_task(self.serve(sockets=[listening]))
        stopping = asyncio.create_task(stop.wait())
        await asyncio.wait({serving, stopping}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        self.should_exit = True
        await serving
