"""How do frameworks that keep their routes or their exceptions to themselves tell of them?

The route goes into `scope["path_template"]`, which `endpoint_of` reads first; the exception that became a 5xx goes
where `note_exception` puts it. No framework is imported before it is used.
"""

import sys
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final

Scope = MutableMapping[str, Any]

NOTED: Final = "relay.middleware.exception"


def note_exception(scope: Scope, error: Exception) -> None:
    """Have the exception counted that the framework answers with a 5xx, instead of letting it out.

    FastAPI and Starlette let theirs out; the rest of this module does it for Litestar, Django and Quart.
    """
    scope[NOTED] = error


async def litestar_exception(error: Exception, scope: Any) -> None:
    """For Litestar: `Litestar(…, after_exception=[litestar_exception])`."""
    note_exception(scope, error)


class DjangoMiddleware:
    """For Django: `MIDDLEWARE = ["relay.middleware.DjangoMiddleware", …]`."""

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Callable[[Any], Any]) -> None:
        """Stand before the rest of Django, synchronous or not as that is."""
        from asgiref.sync import iscoroutinefunction, markcoroutinefunction
        from django.core.signals import got_request_exception

        # Not process_exception: it isn't told of what other middlewares raise.
        got_request_exception.connect(_note_of_django, dispatch_uid=NOTED)
        self._get_response = get_response
        if iscoroutinefunction(get_response):
            markcoroutinefunction(self)

    def __call__(self, request: Any) -> Any | Awaitable[Any]:
        """Pass on."""
        return self._get_response(request)

    def process_view(self, request: Any, *_: Any) -> None:
        """Name the route as it is written in the URL configuration, with a slash before it."""
        # Under WSGI, as in Django's test client, there is no scope, and nobody who would read it.
        if hasattr(request, "scope"):
            request.scope["path_template"] = f"/{request.resolver_match.route}"


def _note_of_django(request: Any = None, **_: Any) -> None:
    error = sys.exception()
    if isinstance(error, Exception) and hasattr(request, "scope"):
        note_exception(request.scope, error)


def watch_quart(app: Any) -> None:
    """For Quart: `watch_quart(app)`, once, before `app.asgi_app` is wrapped."""
    from quart import got_request_exception, request, request_started

    # When it starts, for a request whose client goes away is not answered.
    async def name_route(_: Any, **__: Any) -> None:
        scope: Any = request.scope
        if request.url_rule is not None:
            scope["path_template"] = request.url_rule.rule

    async def note(_: Any, exception: Exception, **__: Any) -> None:
        scope: Any = request.scope
        note_exception(scope, exception)

    request_started.connect(name_route, app, weak=False)
    got_request_exception.connect(note, app, weak=False)
