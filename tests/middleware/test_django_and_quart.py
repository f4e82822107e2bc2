"""Routes and exceptions of Django and Quart."""

import asyncio
from typing import Any

import pytest
from quart import Quart

from relay.middleware import watch_quart
from tests.middleware.driver import ENDPOINT_AND_STATUS, Application, Instrumented, call, counted, http


@pytest.fixture(scope="module")
def django() -> Application:
    """The Django application; a process can have only one."""
    from django.conf import settings
    from django.core.asgi import get_asgi_application

    settings.configure(
        ROOT_URLCONF=__name__,
        MIDDLEWARE=["relay.middleware.DjangoMiddleware", f"{__name__}.strict"],
        ALLOWED_HOSTS=["*"],
        SECRET_KEY="test",
        LOGGING_CONFIG=None,
    )
    application: Application = get_asgi_application()
    return application


def strict(get_response: Any) -> Any:
    """A Django middleware that raises."""

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


async def test_django_routes_and_exceptions_are_counted(django: Application) -> None:
    instrumented = Instrumented(django)

    assert await instrumented.count_requests("/items/7/", "/users/ann/", "/failing/", "/x") == [
        ("/items/<int:number>/", "200"),
        ("/users/<name>/", "200"),
        ("/failing/", "500"),
        ("unmatched", "404"),
    ]
    assert counted(instrumented.registry, "http_requests_total", "tenant_id") == {"acme": 1, "unknown": 3}
    by_endpoint = counted(instrumented.registry, "exceptions_by_endpoint_total", "endpoint", "exception_type")
    assert by_endpoint == {("/failing/", "ZeroDivisionError"): 1}


async def test_exceptions_in_django_middleware_are_counted(django: Application) -> None:
    instrumented = Instrumented(django)

    await call(instrumented.application, "/items/13/")

    by_endpoint = counted(instrumented.registry, "exceptions_by_endpoint_total", "endpoint", "exception_type")
    assert by_endpoint == {("unmatched", "LookupError"): 1}


@pytest.mark.usefixtures("django")
def test_django_works_under_wsgi() -> None:
    from django.test import Client

    client = Client(raise_request_exception=False)

    assert client.get("/users/ann/").status_code == 200
    assert client.get("/failing/").status_code == 500


async def test_quart_routes_and_exceptions_are_counted() -> None:
    app = Quart(__name__)

    @app.get("/items/<int:number>")
    async def item(number: int) -> str:
        return "ok"

    @app.get("/failing")
    async def failing() -> str:
        raise ZeroDivisionError

    watch_quart(app)
    instrumented = Instrumented(app.asgi_app)

    assert await instrumented.count_requests("/items/7", "/failing", "/x") == [
        ("/items/<int:number>", "200"),
        ("/failing", "500"),
        ("unmatched", "404"),
    ]
    by_endpoint = counted(instrumented.registry, "exceptions_by_endpoint_total", "endpoint", "exception_type")
    assert by_endpoint == {("/failing", "ZeroDivisionError"): 1}


async def test_the_quart_route_is_known_if_the_client_disconnects() -> None:
    app = Quart(__name__)

    @app.get("/slow/<int:number>")
    async def slow(number: int) -> str:
        await asyncio.Event().wait()
        return "late"

    watch_quart(app)
    instrumented = Instrumented(app.asgi_app)
    arriving = [{"type": "http.disconnect"}, {"type": "http.request", "body": b"", "more_body": False}]

    async def receive() -> Any:
        return arriving.pop()

    async def send(_: Any) -> None:
        raise AssertionError

    await instrumented.application(http("/slow/7"), receive, send)

    assert counted(instrumented.registry, "http_requests_total", *ENDPOINT_AND_STATUS) == {
        ("/slow/<int:number>", "499"): 1
    }
