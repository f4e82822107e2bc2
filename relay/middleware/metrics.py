"""The metrics of an application, and their sharing within a process."""

import math
import os
import threading
from collections.abc import Callable, Iterable
from typing import Any, Final
from weakref import WeakKeyDictionary

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Histogram

from relay.middleware import labels
from relay.middleware.responses import MultiprocessResponses, Record, ResponseCollector, ResponseLabels

MAX_TENANTS: Final = 200
MAX_ENDPOINTS: Final = 500
MAX_OTHERS: Final = 100
"""Values of any other label: exception types, operations, services."""

EXCEPTION_COUNTERS: Final = {
    "exceptions": (
        "Exceptions that ended requests or were raised by tracked functions.",
        ("exception_type", "module", "tenant_id"),
    ),
    "exceptions_by_endpoint": (
        "Exceptions that ended requests, by endpoint.",
        ("endpoint", "exception_type", "tenant_id"),
    ),
}
TRACKED_COUNTERS: Final = {
    "database_errors": ("Database errors.", ("error_type", "operation", "tenant_id")),
    "database_connection_failures": ("Database connection failures.", ("tenant_id",)),
    "database_query_timeouts": ("Database queries that timed out.", ("table", "operation", "tenant_id")),
    "auth_failures": ("Failed authentication attempts.", ("failure_reason", "tenant_id")),
    "invalid_token_attempts": ("Authentication attempts with an invalid token.", ("token_type", "tenant_id")),
    "rate_limit_exceeded": ("Requests rejected by a rate limit.", ("endpoint", "tenant_id")),
    "external_api_errors": ("Errors of external APIs.", ("service", "error_type", "tenant_id")),
    "redis_errors": ("Redis errors.", ("operation", "tenant_id")),
    "minio_errors": ("MinIO errors.", ("operation", "tenant_id")),
}


class ApplicationMetrics:
    """The metrics of one prefix in one registry. `application_metrics` creates or returns them."""

    def __init__(
        self,
        prefix: str,
        registry: CollectorRegistry,
        *,
        buckets: Iterable[float] = Histogram.DEFAULT_BUCKETS,
        max_tenants: int = MAX_TENANTS,
        max_endpoints: int = MAX_ENDPOINTS,
        tracking: bool = True,
    ) -> None:
        """Register all metrics; raises ValueError if the registry already has a metric of that name."""
        counters = EXCEPTION_COUNTERS | (TRACKED_COUNTERS if tracking else {})
        self._counters = {
            name: Counter(f"{prefix}_{name}", text, names, registry=registry)
            for name, (text, names) in counters.items()
        }
        bounds = [float(bound) for bound in buckets]
        if not bounds or bounds != sorted(set(bounds)):
            raise ValueError(f"histogram buckets must be increasing: {bounds}")
        responses = MultiprocessResponses if in_multiprocess_mode() else ResponseCollector
        self._responses = responses(prefix, registry, bounds if math.isinf(bounds[-1]) else [*bounds, math.inf])
        self._label_names = {name: names for name, (_, names) in counters.items()}
        self._limits: dict[str, Callable[[str], str]] = {
            label: labels.LabelLimit(MAX_OTHERS) for names in self._label_names.values() for label in names
        }
        self._limits |= {
            "method": labels.method,
            "status_code": labels.status_code,
            "tenant_id": labels.LabelLimit(max_tenants),
            "endpoint": labels.LabelLimit(max_endpoints),
        }

    def bounded(self, unbounded: ResponseLabels) -> ResponseLabels:
        """Return the labels with `other` for each value beyond its limit."""
        limit = self._limits
        return ResponseLabels(
            limit["method"](unbounded.method),
            limit["endpoint"](unbounded.endpoint),
            limit["status_code"](unbounded.status_code),
            limit["tenant_id"](unbounded.tenant_id),
            unbounded.as_request,
            unbounded.as_error,
        )

    def recorder(self, bounded: ResponseLabels) -> Record:
        """Return the function that records responses with these bounded labels."""
        return self._responses.recorder(bounded)

    def counter(self, name: str, **values: object) -> Counter:
        """Return the series of a counter, named without prefix and `_total`, for label values of any type."""
        return self._counters[name].labels(
            *(self._limits[label](labels.label_text(values[label])) for label in self._label_names[name])
        )


_instances: WeakKeyDictionary[CollectorRegistry, dict[str, tuple[dict[str, Any], ApplicationMetrics]]]
_instances = WeakKeyDictionary()
_lock = threading.RLock()


def application_metrics(
    prefix: str = "dotmac", registry: CollectorRegistry = REGISTRY, **options: Any
) -> ApplicationMetrics:
    """Return the metrics of a prefix in a registry, created on the first call and shared afterwards.

    Args:
        prefix: the start of the metric names, without the underscore.
        registry: the registry for the metrics. In multi-process mode all registries share one set of metrics,
            because each process writes one file, which can't contain a series twice.
        options: `buckets` of the histograms, in seconds; `max_tenants` and `max_endpoints`, the numbers of values
            before `other`; `tracking=False` omits the metrics that only the `track_…` functions update.

    Raises:
        ValueError: the metrics exist with other options, or the registry already has a metric of that name.
    """
    shared = REGISTRY if in_multiprocess_mode() else registry
    with _lock:
        of_registry = _instances.setdefault(shared, {})
        if prefix not in of_registry:
            of_registry[prefix] = (options, ApplicationMetrics(prefix, shared, **options))
        existing, metrics = of_registry[prefix]
    if options and options != existing:
        raise ValueError(f"the metrics {prefix}_… already exist with the options {existing}, not {options}")
    return metrics


def in_multiprocess_mode() -> bool:
    """Whether prometheus-client stores its values in files that the processes of an application share."""
    return "PROMETHEUS_MULTIPROC_DIR" in os.environ
