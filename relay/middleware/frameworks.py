"""Integration with frameworks that do not expose routes or exceptions in the ASGI scope.

The route is written to `scope["path_template"]`, which `endpoint_of` reads first. An exception that became a 5xx
is stored by `note_exception`. No framework is imported before it is used.
"""

import sys
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final

Scope = MutableMapping[str, Any]

EXCEPTION_KEY: Final = "relay.middleware.exception"


def note_exception(scope: Scope, error: Exception) -> None:
    """Store an exception that the framework converts to a 5xx instead of raising it, so that it is counted.

    FastAPI and Starlette raise exceptions; for Litestar, Django and Quart use the other functions of this module.
    """
    scope[EXCEPTION_KEY] = error


async def litestar_exception(error: Exception, scope: Any) -> None:
    """For Litestar: `Litestar(…, after_exception=[litestar_exception])`."""
    note_exception(scope, error)


class DjangoMiddleware:
    """For Django: `MIDDLEWARE = ["relay.middleware.DjangoMiddleware", …]`."""

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Callable[[Any], Any]) -> None:
        """Wrap the rest of Django, synchronous or asynchronous."""
        from asgiref.sync import iscoroutinefunction, markcoroutinefunction
        from django.core.signals import got_request_exception

        # Not process_exception: it does not get exceptions of other middlewares.
        got_request_exception.connect(_note_django_exception, dispatch_uid=EXCEPTION_KEY)
        self._get_response = get_response
        if iscoroutinefunction(get_response):
            markcoroutinefunction(self)

    def __call__(self, request: Any) -> Any | Awaitable[Any]:
        """Call the rest of Django."""
        return self._get_response(request)

    def process_view(self, request: Any, *_: Any) -> None:
        """Store the route as in the URL configuration, with a leading slash."""
        # Under WSGI, as in Django's test client, there is no scope.
        if hasattr(request, "scope"):
            request.scope["path_template"] = f"/{request.resolver_match.route}"


def _note_django_exception(request: Any = None, **_: Any) -> None:
    error = sys.exception()
    if isinstance(error, Exception) and hasattr(request, "scope"):
        note_exception(request.scope, error)


def watch_quart(app: Any) -> None:
    """For Quart: `watch_quart(app)`, once, before `app.asgi_app` is wrapped."""
    from quart import got_request_exception, request, request_started

    # At the start, because a request whose client disconnects gets no response.
    async def name_route(_: Any, **__: Any) -> None:
        scope: Any = request.scope
        if request.url_rule is not None:
            scope["path_template"] = request.url_rule.rule

    async def note(_: Any, exception: Exception, **__: Any) -> None:
        scope: Any = request.scope
        note_exception(scope, exception)

    request_started.connect(name_route, app, weak=False)
    got_request_exception.connect(note, app, weak=False)
