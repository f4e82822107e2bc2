"""Which endpoint took the request: by the template of its route, never by the path that was asked for?"""

from collections.abc import Iterable, MutableMapping
from typing import Any

from relay.middleware.labels import UNMATCHED

Scope = MutableMapping[str, Any]


def endpoint_of(scope: Scope) -> str:
    """The template that Litestar, FastAPI or Starlette left in the scope, with the prefixes of mounts.

    `scope["path_template"]` counts before all others, so whatever writes that names the endpoint. `unmatched` when
    no route took the request.
    """
    if "path_template" in scope:
        return scope["path_template"] or _litestar_mount(scope)
    if "app_root_path" in scope:
        return _mounted(scope)
    if "route" in scope:
        return _path_of(scope, scope["route"])
    return _path_of(scope, _by_endpoint(scope, getattr(scope.get("router"), "routes", ())))


def _path_of(scope: Scope, route: Any) -> str:
    if "fastapi" in scope:
        # A recent FastAPI keeps included routers as they are; only this context knows their prefixes.
        context = scope["fastapi"].get("effective_route_context")
        if context is not None and context.original_route is route:
            route = context
    path: str = getattr(route, "path", UNMATCHED)
    return path


def _by_endpoint(scope: Scope, routes: Iterable[Any]) -> Any:
    """The route, where an older Starlette names only the function that it calls."""
    endpoint = scope.get("endpoint")
    if endpoint is not None:
        path = scope["path"].removeprefix(scope.get("root_path", ""))
        for route in routes:
            if getattr(route, "endpoint", None) is endpoint and route.path_regex.match(path):
                return route
    return None


def _litestar_mount(scope: Scope) -> str:
    """Litestar has no template for a mount."""
    return min(getattr(scope.get("route_handler"), "paths", ()), default=UNMATCHED)


def _mounted(scope: Scope) -> str:
    """Starlette says the path inside the mount; the mount itself shows only as it was asked for, in root_path."""
    prefix, routes = _template_of(scope)
    route = scope.get("route")
    if route is None or hasattr(route, "routes"):
        route = _by_endpoint(scope, routes)
    if route is not None:
        return prefix + _path_of(scope, route)
    # Static files and the like have no routes, and then the mount is the endpoint.
    return UNMATCHED if routes else prefix or UNMATCHED


def _template_of(scope: Scope) -> tuple[str, list[Any]]:
    """The template of the mounts that a request went through, and the routes inside the last one."""
    asked = scope.get("root_path", "").removeprefix(scope["app_root_path"])
    routes: list[Any] = list(getattr(scope.get("router"), "routes", ()))
    template = ""
    while asked:
        mount, length = _taken_by(asked, routes)
        if mount is None:
            break
        template += mount.path
        asked, routes = asked[length:], list(mount.routes or ())
    return template, routes


def _taken_by(asked: str, routes: Iterable[Any]) -> tuple[Any, int]:
    """The first mount that takes a path, as in Starlette, and how much of the path."""
    for route in routes:
        if hasattr(route, "routes") and hasattr(route, "path_regex"):
            match = route.path_regex.match(f"{asked}/")
            if match is not None:
                return route, match.start("path") - 1
    return None, 0
