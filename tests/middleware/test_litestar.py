"""Routes and exceptions of Litestar."""

from typing import Any

from litestar import Litestar, Request, asgi, get
from litestar.exceptions import ClientException
from litestar.params import FromPath
from starlette.responses import PlainTextResponse

from relay.middleware import litestar_exception
from tests.middleware.driver import Instrumented, counted


def litestar() -> Litestar:
    @get("/items/{number:int}")
    async def item(number: FromPath[int], request: Request[Any, Any, Any]) -> int:
        request.state.tenant_id = "acme"
        return number

    @get("/failing")
    async def failing() -> None:
        raise ZeroDivisionError

    @get("/rejecting")
    async def rejecting() -> None:
        raise ClientException("no")

    @asgi("/mounted", is_mount=True, copy_scope=True)
    async def mounted(scope: Any, receive: Any, send: Any) -> None:
        await PlainTextResponse("ok")(scope, receive, send)

    return Litestar([item, failing, rejecting, mounted], openapi_config=None, after_exception=[litestar_exception])


async def test_litestar_routes_mounts_and_unmatched_requests_are_counted() -> None:
    instrumented = Instrumented(litestar())

    assert await instrumented.count_requests("/items/7", "/mounted/x", "/x", "/rejecting") == [
        ("/items/{number}", "200"),
        ("/mounted", "200"),
        ("unmatched", "404"),
        ("/rejecting", "400"),
    ]
    assert counted(instrumented.registry, "http_requests_total", "tenant_id") == {"acme": 1, "unknown": 3}
    assert counted(instrumented.registry, "exceptions_total", "exception_type") == {}


async def test_an_exception_that_litestar_handles_is_counted() -> None:
    instrumented = Instrumented(litestar())

    assert await instrumented.count_requests("/failing") == [("/failing", "500")]
    by_endpoint = counted(instrumented.registry, "exceptions_by_endpoint_total", "endpoint", "exception_type")
    assert by_endpoint == {("/failing", "ZeroDivisionError"): 1}
    assert counted(instrumented.registry, "exceptions_total", "module") == {__name__: 1}
