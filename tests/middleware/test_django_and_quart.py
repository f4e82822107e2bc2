"""Do frameworks that keep route and exception to themselves tell of them, with a line in their settings?"""

import asyncio
from typing import Any

import pytest
from quart import Quart

from relay.middleware import watch_quart
from tests.middleware.driver import SEEN, Application, Worn, call, counted, http


@pytest.fixture(scope="module")
def django() -> Application:
    """An application whose settings and URLs are below: a process can have one."""
    from django.conf import settings
    from django.core.asgi import get_asgi_application

    settings.configure(
        ROOT_URLCONF=__name__,
        MIDDLEWARE=["relay.middleware.DjangoMiddleware", f"{__name__}.strict"],
        ALLOWED_HOSTS=["*"],
        SECRET_KEY="of a test",
        LOGGING_CONFIG=None,
    )
    application: Application = get_asgi_application()
    return application


def strict(get_response: Any) -> Any:
    """Middleware of Django's, which fails by itself."""

    def respond(request: Any) -> Any:
        if request.path == "/items/13/":
            raise LookupError
        return get_response(request)

    return respond


def _urls() -> list[Any]:
    from django.http import HttpResponse
    from django.urls import include, path

    async def in_loop(request: Any, number: int) -> Any:
        request.scope["state"]["tenant_id"] = "acme"
        return HttpResponse("ok")

    def in_thread(request: Any, name: str) -> Any:
        return HttpResponse("ok")

    def failing(request: Any) -> Any:
        raise ZeroDivisionError

    return [
        path("items/<int:number>/", in_loop),
        path("users/", include([path("<name>/", in_thread)])),
        path("failing/", failing),
    ]


def __getattr__(name: str) -> Any:
    if name == "urlpatterns":
        return _urls()
    raise AttributeError(name)


async def test_django_names_routes_and_tells_of_exceptions(django: Application) -> None:
    worn = Worn(django)

    assert await worn.seen("/items/7/", "/users/ann/", "/failing/", "/x") == [
        ("/items/<int:number>/", "200"),
        ("/users/<name>/", "200"),
        ("/failing/", "500"),
        ("unmatched", "404"),
    ]
    assert counted(worn.registry, "http_requests_total", "tenant_id") == {"acme": 1, "unknown": 3}
    by_endpoint = counted(worn.registry, "exceptions_by_endpoint_total", "endpoint", "exception_type")
    assert by_endpoint == {("/failing/", "ZeroDivisionError"): 1}


async def test_django_tells_of_exceptions_in_its_middleware(django: Application) -> None:
    worn = Worn(django)

    await call(worn.application, "/items/13/")

    by_endpoint = counted(worn.registry, "exceptions_by_endpoint_total", "endpoint", "exception_type")
    assert by_endpoint == {("unmatched", "LookupError"): 1}


@pytest.mark.usefixtures("django")
def test_django_works_under_wsgi_as_before() -> None:
    from django.test import Client

    client = Client(raise_request_exception=False)

    assert client.get("/users/ann/").status_code == 200
    assert client.get("/failing/").status_code == 500


async def test_quart_names_routes_and_tells_of_exceptions() -> None:
    app = Quart(__name__)

    @app.get("/items/<int:number>")
    async def item(number: int) -> str:
        return "ok"

    @app.get("/failing")
    async def failing() -> str:
        raise ZeroDivisionError

    watch_quart(app)
    worn = Worn(app.asgi_app)

    assert await worn.seen("/items/7", "/failing", "/x") == [
        ("/items/<int:number>", "200"),
        ("/failing", "500"),
        ("unmatched", "404"),
    ]
    by_endpoint = counted(worn.registry, "exceptions_by_endpoint_total", "endpoint", "exception_type")
    assert by_endpoint == {("/failing", "ZeroDivisionError"): 1}


async def test_quart_names_the_route_of_a_client_that_goes_before_the_answer() -> None:
    app = Quart(__name__)

    @app.get("/slow/<int:number>")
    async def slow(number: int) -> str:
        await asyncio.Event().wait()
        return "late"

    watch_quart(app)
    worn = Worn(app.asgi_app)
    arriving = [{"type": "http.disconnect"}, {"type": "http.request", "body": b"", "more_body": False}]

    async def receive() -> Any:
        return arriving.pop()

    async def send(_: Any) -> None:
        raise AssertionError

    await worn.application(http("/slow/7"), receive, send)

    assert counted(worn.registry, "http_requests_total", *SEEN) == {("/slow/<int:number>", "499"): 1}
