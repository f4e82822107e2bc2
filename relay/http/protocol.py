"""uvicorn's HTTP protocol with bounds on headers, on bodies, and on the time that a request takes to arrive."""

import asyncio
from functools import partial
from http import HTTPStatus
from typing import Any, Final, cast

import msgspec
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from relay.domain.problems import PROBLEM_TYPE, Problem
from relay.domain.request_bodies import MAX_BODY, RESERVE
from relay.http.headers import SECURITY_HEADERS, new_request_id
from relay.http.occupancy import SMALL_BODY, Occupancy

MAX_HEAD: Final = 32 * 1024
"""Bytes of the request line and headers; also of trailers, and of chunk extensions between two parts of a body."""
MAX_FIELDS: Final = 100
HEAD_TIMEOUT: Final = 10.0
"""Seconds from the start of a connection or request until its headers are complete."""
LATE_HEAD: Final = "the headers did not arrive in time"
BODY_TIMEOUT: Final = 30.0
"""Seconds from the headers until the body is complete."""
RETRY_SECONDS: Final = 5
FREE_CHUNKS: Final = 256
MIN_CHUNK: Final = 64
"""Bytes that a body's chunks must have on average, after the first ones: even an empty one costs time."""


class BoundedProtocol(HttpToolsProtocol):
    """Refuses a request that exceeds a bound with a problem, and closes its connection."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
        *,
        occupancy: Occupancy,
    ) -> None:
        """`occupancy` is shared by all connections of the process."""
        super().__init__(config, server_state, app_state, _loop)
        self._occupancy = occupancy
        self._deadline: asyncio.TimerHandle | None = None
        self._refused = False
        self._refusal: tuple[HTTPStatus, str] | None = None
        self._in_request = False
        self._overhead = 0
        """Bytes since the parser last completed headers, a part of a body or a message."""
        self._declared = 0
        self._chunks = 0
        """Parts in which the current body has arrived, if its length was not declared."""
        self._reserved: dict[RequestResponseCycle, int] = {}
        """Bytes reserved for each request, until the application is done with it."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Refuse a connection above the maximum."""
        super().connection_made(cast("asyncio.Transport", transport))  # uvloop's is no subclass
        if self._occupancy.connect(self, self._refuse_connection):
            self._start_timer(HEAD_TIMEOUT, LATE_HEAD)
        else:
            self._refuse_connection()

    def connection_lost(self, exc: Exception | None) -> None:
        """Return what the connection occupied."""
        self._stop_timer()
        self._occupancy.disconnect(self)
        for cycle, _ in self.pipeline:  # never started; the application may go on with the others
            self._release(cycle)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse in parts that are at most as large as the headers may be."""
        if not self._in_request and self._deadline is None:
            self._start_timer(HEAD_TIMEOUT, LATE_HEAD)
        at = 0
        while at < len(data) and not self._refused and not self.transport.is_closing():
            part = data[at : at + MAX_HEAD + 1 - self._overhead]
            at += len(part)
            self._overhead += len(part)
            super().data_received(part)
            if self._refusal is not None:
                self._refuse(*self._refusal)
            elif self._overhead > MAX_HEAD:
                self._refuse(
                    HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, f"the headers are longer than {MAX_HEAD} bytes"
                )

    def on_message_begin(self) -> None:
        """Start a request."""
        super().on_message_begin()
        if self._deadline is None:
            self._start_timer(HEAD_TIMEOUT, LATE_HEAD)
        self._in_request = True
        self._declared = self._chunks = 0

    def on_header(self, name: bytes, value: bytes) -> None:
        """Count the fields, trailers included."""
        if len(self.headers) >= MAX_FIELDS:
            self._refusal = (
                HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
                f"the request has more than {MAX_FIELDS} header fields",
            )
            return
        if name.lower() == b"content-length" and value.isdigit():
            self._declared = int(value)
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Reserve room for the body, and hand the request to the application."""
        self._overhead = 0
        if self._refusal is not None or self._refused:
            return
        self._occupancy.begin(self)
        # The application refuses a body of a larger declared length without reading it.
        size = 0 if self._declared > MAX_BODY else self._declared
        if not self._occupancy.reserve(size, small=size <= SMALL_BODY):
            self._refuse_body()
            return
        self._start_timer(BODY_TIMEOUT, "the body did not arrive in time")
        super().on_headers_complete()
        self._reserved[self.cycle] = size

    def on_body(self, body: bytes) -> None:
        """Reserve room for a body without a declared length as it arrives."""
        self._overhead = 0
        if self._refusal is not None or self._refused:
            return
        if not self._declared and not self.cycle.response_complete and not self._grow(len(body)):
            return
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The request is complete."""
        self._overhead = 0
        self._in_request = False
        if self._refusal is not None or self._refused:
            return
        self._stop_timer()
        super().on_message_complete()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        """Return the room of the body when the application is done with it, which may be after a disconnect."""

        async def releasing(scope: Any, receive: Any, send: Any) -> None:
            scope["extensions"] = {**scope.get("extensions", {}), RESERVE: partial(self._reserve_more, cycle)}
            try:
                await app(scope, receive, send)
            finally:
                self._release(cycle)

        super()._start_asgi_task(cycle, releasing)

    def on_response_complete(self) -> None:
        """The connection waits for its next request."""
        super().on_response_complete()
        if self.cycle.response_complete and not self.transport.is_closing():
            self._occupancy.finish(self, self._close_idle)

    def send_400_response(self, msg: str) -> None:
        """Refuse what is not HTTP."""
        self._refuse(HTTPStatus.BAD_REQUEST, msg)

    def _grow(self, size: int) -> bool:
        if self.cycle not in self._reserved:
            return True
        if not self._reserve_more(self.cycle, size):
            self._refuse_body()
            return False
        self._chunks += 1
        if self._chunks > FREE_CHUNKS and self._reserved[self.cycle] < self._chunks * MIN_CHUNK:
            self._refusal = (HTTPStatus.BAD_REQUEST, "the body has too many small chunks; send larger ones")
            return False
        return True

    def _reserve_more(self, cycle: RequestResponseCycle, size: int) -> bool:
        """Reserve room in addition to what a request has; return whether there was any."""
        total = self._reserved[cycle] + size
        if not self._occupancy.reserve(size, small=total <= SMALL_BODY):
            return False
        self._reserved[cycle] = total
        return True

    def _release(self, cycle: RequestResponseCycle) -> None:
        self._occupancy.release(self._reserved.pop(cycle, 0))

    def _refuse_connection(self) -> None:
        self._refuse(HTTPStatus.SERVICE_UNAVAILABLE, "too many connections; retry the request")

    def _close_idle(self) -> None:
        if self._in_request:  # whose headers have not arrived
            self._refuse_connection()
        else:
            self.transport.close()

    def _refuse_body(self) -> None:
        self._refusal = (HTTPStatus.SERVICE_UNAVAILABLE, "too many bodies are in flight; retry the request")

    def _refuse(self, status: HTTPStatus, detail: str) -> None:
        """Respond with a problem, unless a response is in progress, and close the connection."""
        if self._refused:
            return
        self._refused = True
        self._stop_timer()
        if self.transport.is_closing():
            return
        cycle = cast("RequestResponseCycle | None", self.cycle)
        if cycle is None or cycle.response_complete or not cycle.response_started:
            self.transport.write(_response(status, detail))
        if cycle is not None and not cycle.response_complete:
            cycle.disconnected = True
            cycle.message_event.set()
        self.transport.close()

    def _start_timer(self, seconds: float, detail: str) -> None:
        self._stop_timer()
        self._deadline = self.loop.call_later(seconds, self._refuse, HTTPStatus.REQUEST_TIMEOUT, detail)

    def _stop_timer(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None


def _response(status: HTTPStatus, detail: str) -> bytes:
    body = msgspec.json.encode(Problem.of(status, detail))
    fields = [
        (b"content-type", PROBLEM_TYPE.encode()),
        (b"content-length", str(len(body)).encode()),
        (b"connection", b"close"),
        (b"x-request-id", new_request_id()),
        *SECURITY_HEADERS,
    ]
    if status is HTTPStatus.SERVICE_UNAVAILABLE:
        fields.append((b"retry-after", str(RETRY_SECONDS).encode()))
    head = f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode()
    return head + b"".join(name + b": " + value + b"\r\n" for name, value in fields) + b"\r\n" + body
