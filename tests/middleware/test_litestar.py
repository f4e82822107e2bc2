"""Is the endpoint the route's template, and is every answer counted, in Litestar with a line in its settings?"""

from typing import Any

from litestar import Litestar, Request, asgi, get
from litestar.exceptions import ClientException
from litestar.params import FromPath
from starlette.responses import PlainTextResponse

from relay.middleware import litestar_exception
from tests.middleware.driver import Worn, counted


def litestar() -> Litestar:
    @get("/items/{number:int}")
    async def item(number: FromPath[int], request: Request[Any, Any, Any]) -> int:
        request.state.tenant_id = "acme"
        return number

    @get("/failing")
    async def failing() -> None:
        raise ZeroDivisionError

    @get("/refusing")
    async def refusing() -> None:
        raise ClientException("no")

    @asgi("/mounted", is_mount=True, copy_scope=True)
    async def mounted(scope: Any, receive: Any, send: Any) -> None:
        await PlainTextResponse("ok")(scope, receive, send)

    return Litestar([item, failing, refusing, mounted], openapi_config=None, after_exception=[litestar_exception])


async def test_litestar_names_routes_and_mounts_and_counts_what_no_route_took() -> None:
    worn = Worn(litestar())

    assert await worn.seen("/items/7", "/mounted/x", "/x", "/refusing") == [
        ("/items/{number}", "200"),
        ("/mounted", "200"),
        ("unmatched", "404"),
        ("/refusing", "400"),
    ]
    assert counted(worn.registry, "http_requests_total", "tenant_id") == {"acme": 1, "unknown": 3}
    assert counted(worn.registry, "exceptions_total", "exception_type") == {}


async def test_litestar_tells_of_the_exception_that_it_answers_itself() -> None:
    worn = Worn(litestar())

    assert await worn.seen("/failing") == [("/failing", "500")]
    by_endpoint = counted(worn.registry, "exceptions_by_endpoint_total", "endpoint", "exception_type")
    assert by_endpoint == {("/failing", "ZeroDivisionError"): 1}
    assert counted(worn.registry, "exceptions_total", "module") == {__name__: 1}
