"""What does an application look like that exports its errors, and what becomes of the alerts about them?

It wears `relay.middleware`, answers with errors when it is asked to, and plays Slack for the relay: what the relay
posts to `/sink/slack` is shown on the page.

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
"""Requests a second, of one load."""
MAX_SECONDS: Final = 600
KEPT: Final = 100
"""Messages that the sink remembers."""
MAX_BODY: Final = 256 * 1024
"""Bytes of one message; Slack takes less."""
PAGE: Final = (Path(__file__).parent / "page.html").read_text(encoding="utf-8")


class Invalid(ValueError):
    """A parameter that can't be; the text is for whoever sent it."""


async def page(request: Request) -> Response:
    """The buttons, and what arrived."""
    return HTMLResponse(PAGE)


async def ok(request: Request) -> Response:
    """An answer as it should be."""
    return PlainTextResponse("ok")


async def error(request: Request) -> Response:
    """An error as asked for: `?status=` from 400 to 599, else 500."""
    status = _number(request, "status", 500, least=400, most=599)
    return PlainTextResponse(f"{status}, as asked for", status_code=status)


async def exception(request: Request) -> Response:
    """An exception that nobody catches."""
    raise RuntimeError("as asked for")


async def start_load(request: Request) -> Response:
    """Ask this application for errors: `?rate=` a second, for `?seconds=`, with `?status=`; one load at a time."""
    state = request.app.state
    rate = _number(request, "rate", 100, least=1, most=MAX_RATE)
    seconds = _number(request, "seconds", 180, least=1, most=MAX_SECONDS)
    status = _number(request, "status", 500, least=400, most=599)
    if state.load is not None and not state.load.done():
        return PlainTextResponse("a load is running already", status_code=409)
    # To itself, but over HTTP: the errors are to be counted as anybody's are.
    _, port = request.scope["server"]
    url = f"http://127.0.0.1:{port}"
    state.load = asyncio.create_task(asyncio.to_thread(load, url, rate, seconds, status, state.stop))
    return JSONResponse({"rate": rate, "seconds": seconds, "status": status}, status_code=202)


async def receive_message(request: Request) -> Response:
    """Take a message as Slack's incoming webhooks do."""
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
    """What arrived, the newest first: `[{"at": Unix time, "message": …}]`."""
    return JSONResponse(list(request.app.state.messages))


async def metrics(request: Request) -> Response:
    """What Prometheus scrapes."""
    body, content_type = metrics_page()
    return Response(body, headers={"Content-Type": content_type})


async def refuse(request: Request, problem: Exception) -> Response:
    """Say which parameter is wrong."""
    return PlainTextResponse(str(problem), status_code=400)


@contextlib.asynccontextmanager
async def lifespan(app: Starlette) -> AsyncIterator[None]:
    """Begin without messages; at the end stop a load that still runs."""
    app.state.messages = deque(maxlen=KEPT)
    app.state.stop = stop = Stop()
    app.state.load = None
    yield
    stop.asked = True


class Stop:
    """Tells a load to end early."""

    asked = False


def load(url: str, rate: int, seconds: int, status: int, stop: Stop) -> int:
    """Ask for errors at a steady rate over one connection; returns how many were answered with one."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "127.0.0.1", parts.port, timeout=10)
    begin, answered = time.monotonic(), 0
    for number in range(rate * seconds):
        time.sleep(max(0.0, begin + number / rate - time.monotonic()))
        # What is late is left out: an application that is slow gets fewer requests, not a longer load.
        if stop.asked or time.monotonic() - begin > seconds:
            break
        connection.request("GET", f"/error?status={status}")
        response = connection.getresponse()
        response.read()
        answered += response.status == status
    connection.close()
    return answered


def _number(request: Request, name: str, default: int, *, least: int, most: int) -> int:
    text = request.query_params.get(name, str(default))
    # Nothing longer than the largest number is turned into one.
    if not (text.isascii() and text.isdigit() and len(text) <= len(str(most)) and least <= int(text) <= most):
        raise Invalid(f"{name} must be a number from {least} to {most}")
    return int(text)


def build() -> Any:
    """The application with the middleware around the whole of it, so that a 404 is counted too."""
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
    """Serve, or send a load to one that serves."""
    parser = argparse.ArgumentParser(description="Alert Relay's demo application.")
    commands = parser.add_subparsers(dest="command", required=True)
    serving = commands.add_parser("serve", help="run the application")
    serving.add_argument("--host", default="127.0.0.1")
    serving.add_argument("--port", type=int, default=8000)
    loading = commands.add_parser("load", help="ask a running one for errors")
    loading.add_argument("--url", default="http://127.0.0.1:8000")
    loading.add_argument("--rate", type=int, default=100, help=f"errors a second, up to {MAX_RATE}")
    loading.add_argument("--seconds", type=int, default=180, help=f"for how long, up to {MAX_SECONDS}")
    loading.add_argument("--status", type=int, default=500)
    given = parser.parse_args()
    if given.command == "serve":
        uvicorn.run(build(), host=given.host, port=given.port, log_level="warning", access_log=False)
        return
    if not (1 <= given.rate <= MAX_RATE and 1 <= given.seconds <= MAX_SECONDS):
        parser.error("the rate or the time is out of bounds")
    print(f"{load(given.url, given.rate, given.seconds, given.status, Stop())} errors")


if __name__ == "__main__":
    main()
