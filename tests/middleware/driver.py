"""Calls of ASGI applications in the test's process, and the resulting metrics."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

from prometheus_client import CollectorRegistry

from relay.middleware import MetricsMiddleware, application_metrics, from_state

Application = Callable[[Any, Any, Any], Awaitable[None]]


class Response(NamedTuple):
    """The response of the application."""

    status: int
    headers: dict[str, str]
    body: bytes


def http(path: str, method: str = "GET", **headers: str) -> dict[str, Any]:
    """A scope as uvicorn creates it."""
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "root_path": "",
        "query_string": b"",
        "headers": [
            (b"host", b"api"),
            *((name.replace("_", "-").encode(), text.encode()) for name, text in headers.items()),
        ],
        "client": ("127.0.0.1", 50000),
        "server": ("127.0.0.1", 8000),
        "state": {},
    }


async def call(application: Application, path: str, method: str = "GET", **headers: str) -> Response:
    """One request without a body."""
    sent: list[Any] = []
    arriving = [{"type": "http.request", "body": b"", "more_body": False}]

    async def receive() -> Any:
        return arriving.pop() if arriving else await asyncio.Event().wait()

    async def send(message: Any) -> None:
        sent.append(message)

    await application(http(path, method, **headers), receive, send)
    received = {name.decode(): text.decode() for name, text in sent[0]["headers"]}
    return Response(sent[0]["status"], received, b"".join(message.get("body", b"") for message in sent[1:]))


def counted(registry: CollectorRegistry, name: str, *labels: str, prefix: str = "dotmac") -> dict[Any, float]:
    """The values of a counter, or of a histogram's samples, by the values of these labels."""
    found: dict[Any, float] = {}
    for family in registry.collect():
        for sample in family.samples:
            if sample.name == f"{prefix}_{name}":
                values = tuple(sample.labels[label] for label in labels)
                key = values[0] if len(values) == 1 else values
                found[key] = found.get(key, 0.0) + sample.value
    return found


ENDPOINT_AND_STATUS = ("endpoint", "status_code")


class Instrumented:
    """An application with the middleware as the outermost layer, and its metrics."""

    def __init__(self, application: Application) -> None:
        self.registry = CollectorRegistry()
        metrics = application_metrics(registry=self.registry)
        self.application = MetricsMiddleware(application, metrics=metrics, tenant=from_state())

    async def count_requests(self, *paths: str, method: str = "GET") -> list[tuple[str, str]]:
        """Send a request to each path; return the endpoint and status under which it was counted."""
        found = []
        for path in paths:
            before = counted(self.registry, "http_requests_total", *ENDPOINT_AND_STATUS)
            await call(self.application, path, method)
            after = counted(self.registry, "http_requests_total", *ENDPOINT_AND_STATUS)
            [changed] = [key for key, count in after.items() if count != before.get(key)]
            found.append(changed)
        return found
