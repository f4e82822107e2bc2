"""Responses to OPTIONS."""

from typing import Any

from litestar import Request, Response
from litestar.routes import HTTPRoute


def answer_options(request: Request[Any, Any, Any]) -> Response[None] | None:
    """Name all methods of the path; the framework names those of the handler that was registered first."""
    if request.method != "OPTIONS":
        return None
    routes = [route for route in request.app.routes if route.path_format == request.scope["path_template"]]
    methods = sorted({method for route in routes if isinstance(route, HTTPRoute) for method in route.methods})
    return Response(None, status_code=204, headers={"Allow": ", ".join(methods)})
