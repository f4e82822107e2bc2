"""What the connections of a process occupy: how many there are, and the bytes of the bodies in flight."""

import time
from collections.abc import Callable
from typing import Final

import structlog

from relay.telemetry import Metrics

MAX_BODIES: Final = 64 * 1024 * 1024
"""Bytes of bodies in flight, from their headers until their responses."""
SMALL_BODY: Final = 64 * 1024
RESERVED_FOR_SMALL: Final = 8 * 1024 * 1024
"""Bytes of `MAX_BODIES` that only bodies of at most `SMALL_BODY` may use."""
LOG_EVERY: Final = 10.0
"""Seconds between log lines about the same bound."""

log = structlog.get_logger(__name__)


class Occupancy:
    """Counts connections and bodies against the bounds of the process."""

    def __init__(self, max_connections: int, metrics: Metrics) -> None:
        """Nothing is occupied."""
        self._max_connections = max_connections
        self._metrics = metrics
        self._connections = 0
        self._bytes = 0
        # Connections without a request in progress, the longest waiting first, and how to close each.
        self._new: dict[object, Callable[[], None]] = {}
        self._idle: dict[object, Callable[[], None]] = {}
        self._logged: dict[str, float] = {}

    def connect(self, connection: object, close: Callable[[], None]) -> bool:
        """Count a connection; return whether there is room for it. Each is followed by `disconnect`.

        For a new one, the one is closed that has waited longest for the headers of its first request, or else the
        one that has been idle longest; so that those who hold connections open do not keep others out.
        """
        self._connections += 1
        self._metrics.connections.set(self._connections)
        if self._connections > self._max_connections:
            self._metrics.connections_refused.inc()
            self._warn("connections_exhausted", limit=self._max_connections, setting="RELAY_MAX_CONNECTIONS")
            waiting = self._new or self._idle
            if not waiting:
                return False
            waiting.pop(next(iter(waiting)))()
        self._new[connection] = close
        return True

    def begin(self, connection: object) -> None:
        """The headers of a request have arrived, which is in progress now."""
        self._new.pop(connection, None)
        self._idle.pop(connection, None)

    def finish(self, connection: object, close: Callable[[], None]) -> None:
        """The connection has no request in progress any longer."""
        self._idle[connection] = close

    def disconnect(self, connection: object) -> None:
        """A connection is closed."""
        self.begin(connection)
        self._connections -= 1
        self._metrics.connections.set(self._connections)

    def reserve(self, size: int, *, small: bool) -> bool:
        """Reserve bytes for a body; return whether there was room."""
        room = MAX_BODIES if small else MAX_BODIES - RESERVED_FOR_SMALL
        if self._bytes + size > room:
            self._metrics.bodies_refused.inc()
            self._warn("bodies_exhausted", limit_bytes=room, in_flight_bytes=self._bytes)
            return False
        self._bytes += size
        return True

    def release(self, size: int) -> None:
        """Return bytes that were reserved."""
        self._bytes -= size

    def _warn(self, event: str, **facts: object) -> None:
        now = time.monotonic()
        if now - self._logged.get(event, -LOG_EVERY) >= LOG_EVERY:
            self._logged[event] = now
            log.warning(event, **facts)
