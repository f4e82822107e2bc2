"""The cost of counting a request, compared with other Prometheus middlewares of the frameworks.

In process, without sockets, on the same trivial application: the time that each adds to the bare one.
"""

import gc
import time
from collections.abc import Awaitable, Callable
from typing import Any

from fastapi import FastAPI
from litestar import Litestar, MediaType, get
from litestar.params import FromPath
from litestar.plugins.prometheus import PrometheusConfig
from prometheus_client import CollectorRegistry
from prometheus_fastapi_instrumentator import Instrumentator
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette_exporter import PrometheusMiddleware

from relay.middleware import MetricsMiddleware, application_metrics, from_state
from tests.bench.figures import Figure

ROUNDS = 300
CALLS = 40
"""Per round. The best round counts, which excludes other load. More than the middleware sorts in one
batch, so that each round contains a sort."""
WARM_UP = 10
"""Calls before each round, so that the order of the applications gives none an advantage."""
MOST = 8.0
"""Microseconds."""
SHARE = 0.2

Application = Callable[[Any, Any, Any], Awaitable[None]]


async def measure(_url: str) -> list[Figure]:
    """The relay's middleware on each framework, the others where they apply, and the bare applications."""
    bare, registry = (starlette(), fastapi(), litestar()), CollectorRegistry()
    applications: dict[str, Application] = {
        "starlette": bare[0],
        "starlette, ours": ours(bare[0], registry),
        "starlette, starlette_exporter": with_exporter(starlette()),
        "fastapi": bare[1],
        "fastapi, ours": ours(bare[1], registry),
        "fastapi, prometheus-fastapi-instrumentator": with_instrumentator(fastapi()),
        "litestar": bare[2],
        "litestar, ours": ours(bare[2], registry),
        "litestar, its own": litestar(PrometheusConfig().middleware),
    }
    for path, status in (("/items/7", 200), ("/nothing", 404)):
        for application in applications.values():
            assert await answered(application, path) == status
    costs = await best(applications, "/items/7")
    missed = await best({name: applications[name] for name in ("starlette", "starlette, ours")}, "/nothing")
    return figures(added_of(costs), missed["starlette, ours"] - missed["starlette"])


def figures(added: dict[str, float], missed: float) -> list[Figure]:
    """The most that the relay's middleware adds, also relative to the least that the others add."""
    mine = {name: cost for name, cost in added.items() if name.endswith("ours")}
    theirs = {name: cost for name, cost in added.items() if name not in mine}
    worst, cheapest = max(mine.values()), min(theirs, key=theirs.__getitem__)
    every = ", ".join(f"{name} {cost:.1f}" for name, cost in added.items())
    return [
        Figure("middleware, both jobs in one pass, µs added to a request", worst, every, at_most=MOST),
        Figure("middleware, µs added to a 404", missed, "four counters and two histograms", at_most=2 * MOST),
        Figure(
            "middleware / the cheapest of the others",
            worst / theirs[cheapest],
            f"{worst:.1f} µs, {cheapest.partition(', ')[2]} {theirs[cheapest]:.1f} µs",
            at_most=SHARE,
        ),
    ]


def added_of(costs: dict[str, float]) -> dict[str, float]:
    """The time that each adds to the bare application of its framework."""
    return {name: cost - costs[name.partition(",")[0]] for name, cost in costs.items() if "," in name}


async def best(applications: dict[str, Application], path: str) -> dict[str, float]:
    """Microseconds per request, for each application."""
    costs = dict.fromkeys(applications, float("inf"))
    gc.collect()
    gc.freeze()
    gc.disable()
    try:
        for _ in range(ROUNDS):
            for name, application in applications.items():
                costs[name] = min(costs[name], await cost(application, path))
    finally:
        gc.enable()
        gc.unfreeze()
    return costs


async def cost(application: Application, path: str) -> float:
    """CPU microseconds per request, in one round."""
    gc.collect()
    scopes = [request(path) for _ in range(WARM_UP + CALLS)]
    for scope in scopes[:WARM_UP]:
        await application(scope, receive, send)
    started = time.thread_time()
    for scope in scopes[WARM_UP:]:
        await application(scope, receive, send)
    return (time.thread_time() - started) / CALLS * 1e6


async def answered(application: Application, path: str) -> int:
    """The status of the response."""
    statuses: list[int] = []

    async def note(message: Any) -> None:
        if message["type"] == "http.response.start":
            statuses.append(message["status"])

    await application(request(path), receive, note)
    return statuses[0]


def request(path: str) -> dict[str, Any]:
    """An ASGI scope as uvicorn builds it."""
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "root_path": "",
        "query_string": b"",
        "headers": [(b"host", b"api"), (b"accept", b"*/*")],
        "client": ("127.0.0.1", 50000),
        "server": ("127.0.0.1", 8000),
        "state": {"tenant_id": "acme"},
    }


async def receive() -> dict[str, Any]:
    """No body."""
    return {"type": "http.request", "body": b"", "more_body": False}


async def send(_: Any) -> None:
    """Discard the message."""


def ours(application: Application, registry: CollectorRegistry) -> Application:
    """With a tenant label, which the others do not have."""
    metrics = application_metrics("bench", registry)
    return MetricsMiddleware(application, metrics=metrics, tenant=from_state())


def with_exporter(application: Starlette) -> Application:
    """With starlette_exporter, as its documentation has it."""
    application.add_middleware(PrometheusMiddleware)
    return application


def with_instrumentator(application: FastAPI) -> Application:
    """With prometheus-fastapi-instrumentator, as its documentation has it."""
    Instrumentator(registry=CollectorRegistry()).instrument(application)
    return application


def starlette() -> Starlette:
    """One route."""

    async def item(_: Request) -> PlainTextResponse:
        return PlainTextResponse("ok")

    return Starlette(routes=[Route("/items/{number}", item)])


def fastapi() -> FastAPI:
    """One route."""
    application = FastAPI(openapi_url=None)

    @application.get("/items/{number}")
    async def item(number: str) -> PlainTextResponse:
        return PlainTextResponse(f"ok {number}")

    return application


def litestar(*middleware: Any) -> Litestar:
    """One route."""

    @get("/items/{number:str}", media_type=MediaType.TEXT)
    async def item(number: FromPath[str]) -> str:
        return f"ok {number}"

    return Litestar([item], openapi_config=None, logging_config=None, middleware=middleware)
