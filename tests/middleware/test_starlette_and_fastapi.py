"""Routes and exceptions of Starlette and FastAPI."""

import asyncio
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from fastapi import APIRouter, FastAPI, WebSocket
from fastapi import Request as FastAPIRequest
from fastapi.responses import StreamingResponse
from prometheus_client import CollectorRegistry
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.requests import ClientDisconnect
from starlette.responses import PlainTextResponse
from starlette.routing import Host, Mount, Route
from starlette.staticfiles import StaticFiles

from relay.middleware import MetricsMiddleware, application_metrics
from tests.middleware.driver import ENDPOINT_AND_STATUS, Instrumented, call, counted, http


def starlette(path: Path | None = None) -> Starlette:
    async def item(_: Any) -> PlainTextResponse:
        return PlainTextResponse("ok")

    async def failing(_: Any) -> PlainTextResponse:
        raise ZeroDivisionError

    return Starlette(
        routes=[
            Route("/items/{number:int}", item),
            Route("/same/{one}", item),
            Route("/failing", failing),
            Mount("/static", StaticFiles(directory=path or Path(__file__).parent)),
            Mount("/of/{tenant}", routes=[Route("/b/{name}", item), Mount("/deep", routes=[Route("/c", item)])]),
            Host("admin", Starlette(routes=[Route("/home", item)])),
        ]
    )


def fastapi() -> FastAPI:
    application, inner = FastAPI(), FastAPI()
    router, deeper = APIRouter(prefix="/r"), APIRouter(prefix="/deeper")

    @deeper.get("/{name}")
    @router.get("/items/{number}")
    @application.get("/plain/{number}")
    @inner.get("/inner/{number}")
    async def item() -> str:
        return "ok"

    @application.get("/failing")
    async def failing() -> None:
        raise ZeroDivisionError

    router.include_router(deeper)
    application.include_router(router, prefix="/v1")
    inner.include_router(router)
    application.mount("/mounted", inner)
    application.mount("/of/{tenant}", inner)
    application.mount("/static", StaticFiles(directory=Path(__file__).parent))
    return application


async def test_starlette_routes_include_the_templates_of_their_mounts() -> None:
    instrumented = Instrumented(starlette())

    assert await instrumented.count_requests("/items/7", "/same/x", "/of/acme/b/x", "/of/acme/deep/c") == [
        ("/items/{number:int}", "200"),
        ("/same/{one}", "200"),
        ("/of/{tenant}/b/{name}", "200"),
        ("/of/{tenant}/deep/c", "200"),
    ]
    assert await instrumented.count_requests("/static/driver.py", "/static/none") == [
        ("/static", "200"),
        ("/static", "404"),
    ]


async def test_starlette_requests_without_a_route_are_unmatched() -> None:
    instrumented = Instrumented(starlette())

    unmatched = ("unmatched", "404")
    assert await instrumented.count_requests("/x", "/of/acme/x", "/of/acme/deep/x") == [unmatched] * 3
    assert await instrumented.count_requests("/items/7", method="DELETE") == [("/items/{number:int}", "405")]


async def test_the_route_of_an_older_starlette_is_found_by_its_endpoint() -> None:
    application = starlette()

    async def older(scope: Any, receive: Any, send: Any) -> None:
        class WithoutRoute(dict[str, Any]):
            def __setitem__(self, name: str, value: Any) -> None:
                if name != "route":
                    super().__setitem__(name, value)

        inner_scope = WithoutRoute(scope)

        async def sending(message: Any) -> None:
            scope.update(inner_scope)
            await send(message)

        await application(inner_scope, receive, sending)

    assert await Instrumented(older).count_requests(
        "/items/7", "/same/x", "/of/acme/b/x", "/x", "/static/driver.py"
    ) == [
        ("/items/{number:int}", "200"),
        ("/same/{one}", "200"),
        ("/of/{tenant}/b/{name}", "200"),
        ("unmatched", "404"),
        ("/static", "200"),
    ]


async def test_fastapi_routes_include_the_prefixes_of_routers_and_mounts() -> None:
    instrumented = Instrumented(fastapi())

    paths = ("/plain/1", "/v1/r/items/1", "/v1/r/deeper/x", "/mounted/inner/1", "/of/acme/inner/1")
    assert await instrumented.count_requests(*paths, "/mounted/r/items/1", "/static/driver.py") == [
        ("/plain/{number}", "200"),
        ("/v1/r/items/{number}", "200"),
        ("/v1/r/deeper/{name}", "200"),
        ("/mounted/inner/{number}", "200"),
        ("/of/{tenant}/inner/{number}", "200"),
        ("/mounted/r/items/{number}", "200"),
        ("/static", "200"),
    ]
    assert await instrumented.count_requests("/x", "/v1/r/x", "/mounted/x") == [("unmatched", "404")] * 3
    assert await instrumented.count_requests("/v1/r/items/1", method="POST") == [("/v1/r/items/{number}", "405")]


@pytest.mark.parametrize("application", [fastapi, starlette])
async def test_an_exception_in_a_handler_is_counted_by_its_module(application: Any) -> None:
    instrumented = Instrumented(application())

    with pytest.raises(ZeroDivisionError):
        await call(instrumented.application, "/failing")

    assert counted(instrumented.registry, "http_5xx_errors_total", *ENDPOINT_AND_STATUS) == {
        ("/failing", "500"): 1
    }
    assert counted(instrumented.registry, "exceptions_total", "exception_type", "module") == {
        ("ZeroDivisionError", __name__): 1
    }
    by_endpoint = counted(instrumented.registry, "exceptions_by_endpoint_total", "endpoint", "exception_type")
    assert by_endpoint == {("/failing", "ZeroDivisionError"): 1}


@pytest.mark.parametrize("inside", [False, True])
async def test_an_upload_that_the_client_aborts_is_a_499_without_an_exception(inside: bool) -> None:
    application, registry = FastAPI(), CollectorRegistry()

    @application.post("/upload")
    async def upload(request: FastAPIRequest) -> int:
        return len(await request.body())

    metrics = application_metrics(registry=registry)
    if inside:
        application.add_middleware(MetricsMiddleware, metrics=metrics)
    outermost = application if inside else MetricsMiddleware(application, metrics=metrics)

    async def receive() -> Any:
        return {"type": "http.disconnect"}

    async def send(_: Any) -> None: ...

    with pytest.raises(ClientDisconnect):
        await outermost(http("/upload", "POST"), receive, send)

    assert counted(registry, "http_requests_total", *ENDPOINT_AND_STATUS) == {("/upload", "499"): 1}
    assert counted(registry, "exceptions_total", "exception_type") == {}


async def test_add_middleware_also_counts_404s_and_exceptions() -> None:
    application, registry = fastapi(), CollectorRegistry()
    application.add_middleware(MetricsMiddleware, metrics=application_metrics(registry=registry))

    await call(application, "/x")
    await call(application, "/v1/r/items/1")
    with pytest.raises(ZeroDivisionError):
        await call(application, "/failing")

    assert counted(registry, "http_requests_total", *ENDPOINT_AND_STATUS) == {
        ("unmatched", "404"): 1,
        ("/v1/r/items/{number}", "200"): 1,
        ("/failing", "500"): 1,
    }


async def test_a_tenant_from_an_inner_starlette_middleware_is_counted() -> None:
    async def authenticate(request: Any, call_next: Any) -> Any:
        request.state.tenant_id = "acme"
        return await call_next(request)

    application = starlette()
    application.add_middleware(BaseHTTPMiddleware, dispatch=authenticate)
    instrumented = Instrumented(application)

    assert await instrumented.count_requests("/items/7") == [("/items/{number:int}", "200")]
    assert counted(instrumented.registry, "http_requests_total", "tenant_id") == {"acme": 1}


async def test_a_background_task_is_not_in_the_duration() -> None:
    done: list[dict[Any, float]] = []
    registry = CollectorRegistry()

    async def later() -> None:
        done.append(counted(registry, "http_request_duration_seconds_count", "endpoint"))

    async def item(_: Any) -> PlainTextResponse:
        return PlainTextResponse("ok", background=BackgroundTask(later))

    application = Starlette(routes=[Route("/", item)])
    await call(MetricsMiddleware(application, metrics=application_metrics(registry=registry)), "/")

    assert done == [{"/": 1}]


async def test_a_fastapi_stream_counts_with_its_template() -> None:
    application = FastAPI()

    @application.get("/stream/{name}")
    async def stream() -> StreamingResponse:
        async def parts() -> Any:
            for _ in range(5):
                yield b"part"
                await asyncio.sleep(0)

        return StreamingResponse(parts())

    assert await Instrumented(application).count_requests("/stream/x") == [("/stream/{name}", "200")]


async def test_a_websocket_is_served_and_not_counted() -> None:
    application = FastAPI()

    @application.websocket("/talk")
    async def talk(socket: WebSocket) -> None:
        await socket.accept()
        await socket.send_text("hello")
        await socket.close()

    instrumented = Instrumented(application)
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "websocket.connect"}

    async def send(message: Any) -> None:
        sent.append(message)

    await instrumented.application(
        {"type": "websocket", "path": "/talk", "headers": [], "query_string": b"", "subprotocols": []},
        receive,
        send,
    )

    assert [message["type"] for message in sent] == ["websocket.accept", "websocket.send", "websocket.close"]
    assert counted(instrumented.registry, "http_requests_total", *ENDPOINT_AND_STATUS) == {}


async def test_the_lifespan_runs() -> None:
    ran: list[str] = []

    async def lifespan(application: Any) -> Any:
        ran.append("started")
        yield
        ran.append("stopped")

    application = FastAPI(lifespan=asynccontextmanager(lifespan))
    arriving = [{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}]

    async def receive() -> Any:
        return arriving.pop(0)

    async def send(_: Any) -> None: ...

    await Instrumented(application).application({"type": "lifespan", "state": {}}, receive, send)

    assert ran == ["started", "stopped"]
