"""A demo application that exports its errors and shows the alerts about them.

It uses `relay.middleware`, responds with errors on request, and stands in for Slack: the page shows the messages
that the relay posts to `/sink/slack`.

    python demo.py serve
    python demo.py load --url http://127.0.0.1:8000 --rate 100 --seconds 180
"""

import argparse
import asyncio
import contextlib
import http.client
import json
import time
from collections import deque
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from relay.middleware import MetricsMiddleware, metrics_page

MAX_RATE: Final = 200
"""Requests per second of one load."""
MAX_SECONDS: Final = 600
KEPT: Final = 100
"""Messages that the sink keeps."""
MAX_BODY: Final = 256 * 1024
"""Bytes of one message; Slack accepts less."""
PAGE: Final = (Path(__file__).parent / "page.html").read_text(encoding="utf-8")


class Invalid(ValueError):
    """An invalid parameter; the message is sent to the client."""


async def page(request: Request) -> Response:
    """Serve the page with the buttons and the messages."""
    return HTMLResponse(PAGE)


async def ok(request: Request) -> Response:
    """Respond with success."""
    return PlainTextResponse("ok")


async def error(request: Request) -> Response:
    """Respond with an error: `?status=` from 400 to 599, 500 by default."""
    status = _number(request, "status", 500, least=400, most=599)
    return PlainTextResponse(f"{status}, as requested", status_code=status)


async def exception(request: Request) -> Response:
    """Raise an exception that is not handled."""
    raise RuntimeError("as requested")


async def start_load(request: Request) -> Response:
    """Start a load of errors: `?rate=` per second for `?seconds=`, with `?status=`; one load at a time."""
    state = request.app.state
    rate = _number(request, "rate", 100, least=1, most=MAX_RATE)
    seconds = _number(request, "seconds", 180, least=1, most=MAX_SECONDS)
    status = _number(request, "status", 500, least=400, most=599)
    if state.load is not None and not state.load.done():
        return PlainTextResponse("a load is already running", status_code=409)
    # Over HTTP, so that the middleware counts the errors like any others.
    _, port = request.scope["server"]
    url = f"http://127.0.0.1:{port}"
    state.load = asyncio.create_task(asyncio.to_thread(load, url, rate, seconds, status, state.stop))
    return JSONResponse({"rate": rate, "seconds": seconds, "status": status}, status_code=202)


async def receive_message(request: Request) -> Response:
    """Accept a message like Slack's incoming webhooks."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY:
            return PlainTextResponse("too_large", status_code=413)
    try:
        message = json.loads(body)
    except (ValueError, RecursionError):
        message = None
    if not isinstance(message, dict):
        return PlainTextResponse("invalid_payload", status_code=400)
    request.app.state.messages.appendleft({"at": time.time(), "message": message})
    return PlainTextResponse("ok")


async def messages(request: Request) -> Response:
    """List the messages, newest first: `[{"at": Unix time, "message": …}]`."""
    return JSONResponse(list(request.app.state.messages))


async def metrics(request: Request) -> Response:
    """Serve the metrics for Prometheus."""
    body, content_type = metrics_page()
    return Response(body, headers={"Content-Type": content_type})


async def refuse(request: Request, problem: Exception) -> Response:
    """Respond with the name of the invalid parameter."""
    return PlainTextResponse(str(problem), status_code=400)


@contextlib.asynccontextmanager
async def lifespan(app: Starlette) -> AsyncIterator[None]:
    """Start without messages; at shutdown, stop a running load."""
    app.state.messages = deque(maxlen=KEPT)
    app.state.stop = stop = Stop()
    app.state.load = None
    yield
    stop.requested = True


class Stop:
    """A flag that ends a load early."""

    requested = False


def load(url: str, rate: int, seconds: int, status: int, stop: Stop) -> int:
    """Request errors at a steady rate over one connection; return the number of error responses."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "127.0.0.1", parts.port, timeout=10)
    start, errors = time.monotonic(), 0
    for number in range(rate * seconds):
        time.sleep(max(0.0, start + number / rate - time.monotonic()))
        # Late requests are skipped: a slow application gets fewer requests, not a longer load.
        if stop.requested or time.monotonic() - start > seconds:
            break
        connection.request("GET", f"/error?status={status}")
        response = connection.getresponse()
        response.read()
        errors += response.status == status
    connection.close()
    return errors


def _number(request: Request, name: str, default: int, *, least: int, most: int) -> int:
    text = request.query_params.get(name, str(default))
    # Reject digits beyond the maximum before parsing them.
    if not (text.isascii() and text.isdigit() and len(text) <= len(str(most)) and least <= int(text) <= most):
        raise Invalid(f"{name} must be a number from {least} to {most}")
    return int(text)


def build() -> Any:
    """Build the application. The middleware wraps all of it, so that a 404 is counted too."""
    routes = [
        Route("/", page),
        Route("/ok", ok),
        Route("/error", error),
        Route("/exception", exception),
        Route("/load", start_load, methods=["POST"]),
        Route("/sink/slack", receive_message, methods=["POST"]),
        Route("/sink/messages", messages),
        Route("/metrics", metrics),
    ]
    return MetricsMiddleware(Starlette(routes=routes, lifespan=lifespan, exception_handlers={Invalid: refuse}))


def main() -> None:
    """Run the server, or send a load to a running one."""
    parser = argparse.ArgumentParser(description="Alert Relay's demo application.")
    commands = parser.add_subparsers(dest="command", required=True)
    serving = commands.add_parser("serve", help="run the application")
    serving.add_argument("--host", default="127.0.0.1")
    serving.add_argument("--port", type=int, default=8000)
    loading = commands.add_parser("load", help="request errors from a running application")
    loading.add_argument("--url", default="http://127.0.0.1:8000")
    loading.add_argument("--rate", type=int, default=100, help=f"errors per second, up to {MAX_RATE}")
    loading.add_argument("--seconds", type=int, default=180, help=f"duration, up to {MAX_SECONDS}")
    loading.add_argument("--status", type=int, default=500)
    arguments = parser.parse_args()
    if arguments.command == "serve":
        uvicorn.run(build(), host=arguments.host, port=arguments.port, log_level="warning", access_log=False)
        return
    if not (1 <= arguments.rate <= MAX_RATE and 1 <= arguments.seconds <= MAX_SECONDS):
        parser.error("the rate or the duration is out of bounds")
    print(f"{load(arguments.url, arguments.rate, arguments.seconds, arguments.status, Stop())} errors")


if __name__ == "__main__":
    main()
