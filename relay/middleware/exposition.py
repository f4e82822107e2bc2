"""How does Prometheus get at the metrics?"""

from collections.abc import Awaitable, Callable
from typing import Any

from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, CollectorRegistry, generate_latest, make_asgi_app
from prometheus_client.multiprocess import MultiProcessCollector

from relay.middleware.metrics import in_multiprocess_mode


def metrics_app(registry: CollectorRegistry = REGISTRY) -> Callable[[Any, Any, Any], Awaitable[None]]:
    """An ASGI application that answers with the metrics, to be mounted at `/metrics`.

    In Prometheus's text format or OpenMetrics, as Accept asks, and compressed for whoever accepts it. In
    multi-process mode (PROMETHEUS_MULTIPROC_DIR) each process answers for all of them.
    """
    # prometheus-client leaves its application without types.
    application: Callable[[Any, Any, Any], Awaitable[None]] = make_asgi_app(_shown(registry))
    return application


def metrics_page(registry: CollectorRegistry = REGISTRY) -> tuple[bytes, str]:
    """The same, in the text format, for an endpoint of a framework: the body and its content type."""
    return generate_latest(_shown(registry)), CONTENT_TYPE_LATEST


def _shown(registry: CollectorRegistry) -> CollectorRegistry:
    if not in_multiprocess_mode():
        return registry
    of_all = CollectorRegistry()
    MultiProcessCollector(of_all)  # type: ignore[no-untyped-call]
    return of_all
