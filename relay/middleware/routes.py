"""The endpoint of a request: the template of its route, never the requested path."""

from collections.abc import Iterable, MutableMapping
from typing import Any

from relay.middleware.labels import UNMATCHED

Scope = MutableMapping[str, Any]


def endpoint_of(scope: Scope) -> str:
    """Return the route template that Litestar, FastAPI or Starlette left in the scope, with the prefixes of
    mounts.

    `scope["path_template"]` takes precedence, so any layer can set the endpoint. Returns `unmatched` if no route
    matched the request.
    """
    if "path_template" in scope:
        return scope["path_template"] or _litestar_mount(scope)
    if "app_root_path" in scope:
        return _mounted(scope)
    if "route" in scope:
        return _path_of(scope, scope["route"])
    return _path_of(scope, _route_of_endpoint(scope, getattr(scope.get("router"), "routes", ())))


def _path_of(scope: Scope, route: Any) -> str:
    if "fastapi" in scope:
        # Recent versions of FastAPI do not flatten included routers; only this context has their prefixes.
        context = scope["fastapi"].get("effective_route_context")
        if context is not None and context.original_route is route:
            route = context
    path: str = getattr(route, "path", UNMATCHED)
    return path


def _route_of_endpoint(scope: Scope, routes: Iterable[Any]) -> Any:
    """Return the route for older versions of Starlette, which store only the endpoint function in the scope."""
    endpoint = scope.get("endpoint")
    if endpoint is not None:
        path = scope["path"].removeprefix(scope.get("root_path", ""))
        for route in routes:
            if getattr(route, "endpoint", None) is endpoint and route.path_regex.match(path):
                return route
    return None


def _litestar_mount(scope: Scope) -> str:
    """Return the path of a Litestar mount, for which Litestar sets no template."""
    return min(getattr(scope.get("route_handler"), "paths", ()), default=UNMATCHED)


def _mounted(scope: Scope) -> str:
    """Return the template of a route inside a Starlette mount; the scope has only its path, in root_path."""
    prefix, routes = _mount_template(scope)
    route = scope.get("route")
    if route is None or hasattr(route, "routes"):
        route = _route_of_endpoint(scope, routes)
    if route is not None:
        return prefix + _path_of(scope, route)
    # An application without routes, such as static files: the mount is the endpoint.
    return UNMATCHED if routes else prefix or UNMATCHED


def _mount_template(scope: Scope) -> tuple[str, list[Any]]:
    """Return the template of the mounts of a request, and the routes inside the last mount."""
    path = scope.get("root_path", "").removeprefix(scope["app_root_path"])
    routes: list[Any] = list(getattr(scope.get("router"), "routes", ()))
    template = ""
    while path:
        mount, length = _matching_mount(path, routes)
        if mount is None:
            break
        template += mount.path
        path, routes = path[length:], list(mount.routes or ())
    return template, routes


def _matching_mount(path: str, routes: Iterable[Any]) -> tuple[Any, int]:
    """Return the first mount that matches a path, as in Starlette, and the length of the match."""
    for route in routes:
        if hasattr(route, "routes") and hasattr(route, "path_regex"):
            match = route.path_regex.match(f"{path}/")
            if match is not None:
                return route, match.start("path") - 1
    return None, 0
