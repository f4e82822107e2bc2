"""Which metrics does an application export, and who shares them?"""

import os
import threading
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final
from weakref import WeakKeyDictionary

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Histogram

from relay.middleware import labels

MAX_TENANTS: Final = 200
MAX_ENDPOINTS: Final = 500
MAX_OTHERS: Final = 100
"""Values of any other label: types of exceptions, operations, services and the like."""

_OF_A_REQUEST: Final = ("method", "endpoint", "status_code", "tenant_id")

HTTP_COUNTERS: Final = {
    "http_requests": ("Requests answered.", _OF_A_REQUEST),
    "http_errors": ("Requests answered with a status of 400 or above.", _OF_A_REQUEST),
    "http_4xx_errors": ("Requests answered with a status of 400 to 499.", _OF_A_REQUEST),
    "http_5xx_errors": ("Requests answered with a status of 500 or above.", _OF_A_REQUEST),
    "exceptions": (
        "Exceptions that ended requests or left tracked functions.",
        ("exception_type", "module", "tenant_id"),
    ),
    "exceptions_by_endpoint": (
        "Exceptions that ended requests, by endpoint.",
        ("endpoint", "exception_type", "tenant_id"),
    ),
}
TRACKED_COUNTERS: Final = {
    "database_errors": ("Errors of the database.", ("error_type", "operation", "tenant_id")),
    "database_connection_failures": ("Errors of the database's connection.", ("tenant_id",)),
    "database_query_timeouts": ("Queries that took too long.", ("table", "operation", "tenant_id")),
    "auth_failures": ("Attempts to authenticate that failed.", ("failure_reason", "tenant_id")),
    "invalid_token_attempts": ("Attempts with a token that does not hold.", ("token_type", "tenant_id")),
    "rate_limit_exceeded": ("Requests refused as too many.", ("endpoint", "tenant_id")),
    "external_api_errors": ("Errors of other services' APIs.", ("service", "error_type", "tenant_id")),
    "redis_errors": ("Errors of Redis.", ("operation", "tenant_id")),
    "minio_errors": ("Errors of MinIO.", ("operation", "tenant_id")),
}
HISTOGRAMS: Final = {
    "http_request_duration_seconds": (
        "Time from a request's arrival to the end of its answer.",
        ("method", "endpoint", "tenant_id"),
    ),
    "error_response_time_seconds": (
        "The same, of answers with a status of 400 or above.",
        ("status_code", "tenant_id"),
    ),
}


class ApplicationMetrics:
    """The metrics of one prefix in one registry. `application_metrics` makes them, or finds those there are."""

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
        """Register them all; ValueError when the registry has another metric of such a name."""
        counters = {**HTTP_COUNTERS, **(TRACKED_COUNTERS if tracking else {})}
        self._counters = {
            name: Counter(f"{prefix}_{name}", text, of, registry=registry) for name, (text, of) in counters.items()
        }
        limits = tuple(buckets)
        self._histograms = {
            name: Histogram(f"{prefix}_{name}", text, of, registry=registry, buckets=limits)
            for name, (text, of) in HISTOGRAMS.items()
        }
        self._order = {name: of for name, (_, of) in (*counters.items(), *HISTOGRAMS.items())}
        self._bounds: dict[str, Callable[[str], str]] = {
            label: labels.Bound(MAX_OTHERS) for of in self._order.values() for label in of
        }
        self._bounds |= {
            "method": labels.method,
            "status_code": labels.status_code,
            "tenant_id": labels.Bound(max_tenants),
            "endpoint": labels.Bound(max_endpoints),
        }

    def bounded(self, **values: str) -> dict[str, str]:
        """The same labels, with `other` for each value that is one too many."""
        return {label: self._bounds[label](value) for label, value in values.items()}

    def counter(self, name: str, **values: str) -> Counter:
        """The series of a counter, named without prefix and `_total`, for labels of any value."""
        return self._counters[name].labels(*self._ordered(name, values))

    def histogram(self, name: str, **values: str) -> Histogram:
        """The series of a histogram, named without prefix, for labels of any value."""
        return self._histograms[name].labels(*self._ordered(name, values))

    def _ordered(self, name: str, values: Mapping[str, str]) -> list[str]:
        return [self._bounds[label](values[label]) for label in self._order[name]]


_made: WeakKeyDictionary[CollectorRegistry, dict[str, tuple[dict[str, Any], ApplicationMetrics]]]
_made = WeakKeyDictionary()
_making = threading.Lock()


def application_metrics(
    prefix: str = "dotmac", registry: CollectorRegistry = REGISTRY, **options: Any
) -> ApplicationMetrics:
    """The metrics of a prefix in a registry, made when first asked for and shared from then on.

    Args:
        prefix: what the names begin with, without the underscore.
        registry: where they are registered. In multi-process mode all registries share one: there, each process
            writes one file, in which the same series can't stand twice.
        options: `buckets` of the histograms, in seconds; `max_tenants` and `max_endpoints`, the numbers of values
            before `other`; `tracking=False` leaves out what only the functions `track_…` count.

    Raises:
        ValueError: they were made with other options, or the registry has another metric of such a name.
    """
    shared = REGISTRY if in_multiprocess_mode() else registry
    with _making:
        of_registry = _made.setdefault(shared, {})
        if prefix not in of_registry:
            of_registry[prefix] = (options, ApplicationMetrics(prefix, shared, **options))
        made_with, metrics = of_registry[prefix]
    if options and options != made_with:
        raise ValueError(f"the metrics {prefix}_… were made with the options {made_with}, not {options}")
    return metrics


def in_multiprocess_mode() -> bool:
    """Whether prometheus-client keeps its values in files that the processes of one application share."""
    return "PROMETHEUS_MULTIPROC_DIR" in os.environ
