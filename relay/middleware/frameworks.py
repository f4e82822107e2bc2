"""How do frameworks that keep their route to themselves say which one it is?

Both write `scope["path_template"]`, which `endpoint_of` reads first. Neither framework is
imported before it is used.
"""

from collections.abc import Callable
from typing import Any


def name_django_routes(get_response: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """A Django middleware: `MIDDLEWARE = ["relay.middleware.name_django_routes", …]`."""
    from asgiref.sync import iscoroutinefunction

    if not iscoroutinefunction(get_response):

        def in_thread(request: Any) -> Any:
            response = get_response(request)
            _name_django_route(request)
            return response

        return in_thread

    async def in_loop(request: Any) -> Any:
        response = await get_response(request)
        _name_django_route(request)
        return response

    return in_loop


# What Django's decorator `sync_and_async_middleware` sets.
name_django_routes.sync_capable = True  # type: ignore[attr-defined]
name_django_routes.async_capable = True  # type: ignore[attr-defined]


def _name_django_route(request: Any) -> None:
    match = getattr(request, "resolver_match", None)
    if match is not None and hasattr(request, "scope"):
        request.scope["path_template"] = f"/{match.route}"


def name_quart_routes(app: Any) -> None:
    """Have a Quart application name its routes: `name_quart_routes(app)`, once, when it is made."""
    from quart import request

    async def name(response: Any) -> Any:
        scope: Any = request.scope
        if request.url_rule is not None:
            scope["path_template"] = request.url_rule.rule
        return response

    app.after_request(name)
