"""The metrics page for Prometheus."""

from typing import Any

from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, CollectorRegistry, generate_latest, make_asgi_app
from prometheus_client.multiprocess import MultiProcessCollector

from relay.middleware.metrics import in_multiprocess_mode


def metrics_app(registry: CollectorRegistry = REGISTRY) -> Any:
    """Return an ASGI application that serves the metrics, for a route `/metrics`.

    It responds in the text format or OpenMetrics, depending on Accept, and compresses if the client accepts it. In
    multi-process mode (PROMETHEUS_MULTIPROC_DIR) each process serves the metrics of all processes.
    """
    # Any: the type hints of some frameworks do not allow an ASGI application as a route.
    return _Page(make_asgi_app(_source(registry)))


class _Page:
    """An object and not a function, because Starlette's routes would call a function with a request."""

    def __init__(self, application: Any) -> None:
        self._application = application

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await self._application(scope, receive, send)


def metrics_page(registry: CollectorRegistry = REGISTRY) -> tuple[bytes, str]:
    """Return the same page in the text format, for an endpoint of a framework: the body and its content type."""
    return generate_latest(_source(registry)), CONTENT_TYPE_LATEST


def _source(registry: CollectorRegistry) -> CollectorRegistry:
    if not in_multiprocess_mode():
        return registry
    combined = CollectorRegistry()
    MultiProcessCollector(combined)  # type: ignore[no-untyped-call]
    return combined
