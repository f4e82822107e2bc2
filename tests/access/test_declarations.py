"""Every route declares what it requires."""

import pytest
from litestar import Litestar, asgi, get, post
from litestar.types import Receive, Scope, Send

from relay.access.authentication import access_of, require_declarations
from relay.domain.principals import Access


@get("/declared", access=Access.READ)
async def declared() -> None: ...


@post("/declared")
async def undeclared() -> None: ...


@get("/unknown", access="everything")
async def unknown() -> None: ...


@get("/public", access=Access.PUBLIC)
async def public() -> None: ...


@asgi("/mounted", access=Access.READ, copy_scope=True)
async def mounted(scope: Scope, receive: Receive, send: Send) -> None: ...


@pytest.mark.parametrize("handler", [undeclared, unknown, mounted], ids=str)
def test_an_application_with_a_route_that_declares_nothing_does_not_start(handler: object) -> None:
    application = Litestar([declared, handler], openapi_config=None)  # type: ignore[list-item]
    with pytest.raises((TypeError, ValueError)):
        require_declarations(application.routes)


def test_options_require_a_principal_unless_the_path_is_public() -> None:
    application = Litestar([declared, public], openapi_config=None)
    require_declarations(application.routes)
    required = {
        route.path: access_of(handler)
        for route in application.routes
        for handler in getattr(route, "route_handlers", ())
        if handler.http_methods == {"OPTIONS"}
    }
    assert required == {"/declared": Access.SELF, "/public": Access.PUBLIC}
