"""The page at /schema: Swagger UI, served from a package, so that it works without the internet."""

import importlib.util
from pathlib import Path
from typing import Any, Final

from litestar import Request, Response, Router, get
from litestar.openapi.plugins import OpenAPIRenderPlugin
from litestar.params import FromPath

from relay.access.authentication import ACCESS
from relay.domain.errors import NotFound
from relay.domain.principals import Access

PATH: Final = "/schema"
POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)
"""The page runs only scripts of the relay, and connects only to it."""
MEDIA_TYPES: Final = {
    "swagger-ui-bundle.js": "text/javascript",
    "swagger-ui.css": "text/css",
    "favicon-32x32.png": "image/png",
}
"""The files of the package that are served."""
START: Final = "start.js"
START_SCRIPT: Final = """\
window.addEventListener("load", () => {
  SwaggerUIBundle({url: "/schema/openapi.json", dom_id: "#schema", deepLinking: true});
});
"""
PAGE: Final = """\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Alert Relay: HTTP API</title>
<link rel="icon" href="/schema/assets/favicon-32x32.png">
<link rel="stylesheet" href="/schema/assets/swagger-ui.css">
<script src="/schema/assets/swagger-ui-bundle.js"></script>
<script src="/schema/assets/start.js"></script>
</head>
<body><div id="schema"></div></body>
</html>
"""


class SchemaPage(OpenAPIRenderPlugin):
    """Renders the page; the document is at /schema/openapi.json."""

    def __init__(self) -> None:
        """Serve the page at /schema itself."""
        super().__init__(path="/")

    def render(self, request: Request[Any, Any, Any], openapi_schema: dict[str, Any]) -> bytes:
        """Return the page."""
        return PAGE.encode()

    def receive_router(self, router: Router) -> None:
        """Serve the files of the page."""
        router.register(asset)


def schema_router() -> Router:
    """The router of the page, whose responses may run the scripts of the relay."""
    return Router(
        PATH,
        route_handlers=[],
        opt={ACCESS: Access.PUBLIC},
        response_headers={"Content-Security-Policy": POLICY},
        include_in_schema=False,
    )


@get("/assets/{name:str}", include_in_schema=False, sync_to_thread=True)
def asset(name: FromPath[str]) -> Response[bytes]:
    """A file of the page."""
    if name == START:
        return Response(START_SCRIPT.encode(), media_type="text/javascript")
    if name not in MEDIA_TYPES:
        raise NotFound(f"there is no file {name!r}")
    # Found, not imported: the package's module imports web frameworks.
    package = importlib.util.find_spec("swagger_ui")
    assert package is not None
    assert package.submodule_search_locations is not None
    content = (Path(package.submodule_search_locations[0]) / "static" / name).read_bytes()
    return Response(content, media_type=MEDIA_TYPES[name], headers={"Cache-Control": "public, max-age=86400"})
