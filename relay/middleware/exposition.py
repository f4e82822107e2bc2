"""How does Prometheus get at the metrics?"""

from typing import Any

from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, CollectorRegistry, generate_latest, make_asgi_app
from prometheus_client.multiprocess import MultiProcessCollector

from relay.middleware.metrics import in_multiprocess_mode


def metrics_app(registry: CollectorRegistry = REGISTRY) -> Any:
    """An ASGI application that answers with the metrics, for a route `/metrics`.

    In the text format or OpenMetrics, as Accept asks, and compressed for whoever accepts it. In multi-process mode
    (PROMETHEUS_MULTIPROC_DIR) each process answers for all of them.
    """
    # Any: where the frameworks take an ASGI application as a route, not all of their types say so.
    return _Page(make_asgi_app(_shown(registry)))


class _Page:
    """An object, for to a function Starlette's routes would give a request."""

    def __init__(self, application: Any) -> None:
        self._application = application

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await self._application(scope, receive, send)


def metrics_page(registry: CollectorRegistry = REGISTRY) -> tuple[bytes, str]:
    """The same page in the text format, for an endpoint of a framework: the body and its content type."""
    return generate_latest(_shown(registry)), CONTENT_TYPE_LATEST


def _shown(registry: CollectorRegistry) -> CollectorRegistry:
    if not in_multiprocess_mode():
        return registry
    of_all = CollectorRegistry()
    MultiProcessCollector(of_all)  # type: ignore[no-untyped-call]
    return of_all
