"""Which metrics does an application export, and who shares them?"""

import math
import os
import threading
from collections.abc import Callable, Iterable
from typing import Any, Final
from weakref import WeakKeyDictionary

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Histogram

from relay.middleware import labels
from relay.middleware.answers import Answer, Count, SharedAnswers, Tallies

MAX_TENANTS: Final = 200
MAX_ENDPOINTS: Final = 500
MAX_OTHERS: Final = 100
"""Values of any other label: types of exceptions, operations, services and the like."""

EXCEPTION_COUNTERS: Final = {
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
        counters = EXCEPTION_COUNTERS | (TRACKED_COUNTERS if tracking else {})
        self._counters = {
            name: Counter(f"{prefix}_{name}", text, of, registry=registry) for name, (text, of) in counters.items()
        }
        limits = [float(limit) for limit in buckets]
        if not limits or limits != sorted(set(limits)):
            raise ValueError(f"the buckets of a histogram rise: {limits}")
        kept = SharedAnswers if in_multiprocess_mode() else Tallies
        self._answers = kept(prefix, registry, limits if math.isinf(limits[-1]) else [*limits, math.inf])
        self._order = {name: of for name, (_, of) in counters.items()}
        self._bounds: dict[str, Callable[[str], str]] = {
            label: labels.Bound(MAX_OTHERS) for of in self._order.values() for label in of
        }
        self._bounds |= {
            "method": labels.method,
            "status_code": labels.status_code,
            "tenant_id": labels.Bound(max_tenants),
            "endpoint": labels.Bound(max_endpoints),
        }

    def bounded(self, answer: Answer) -> Answer:
        """The same answer, with `other` for each label that is one value too many."""
        of = self._bounds
        return Answer(
            of["method"](answer.method),
            of["endpoint"](answer.endpoint),
            of["status_code"](answer.status_code),
            of["tenant_id"](answer.tenant_id),
            answer.as_request,
            answer.as_error,
        )

    def answers(self, answer: Answer) -> Count:
        """What counts such an answer, whose labels are bounded."""
        return self._answers.of(answer)

    def counter(self, name: str, **values: object) -> Counter:
        """The series of a counter, named without prefix and `_total`, for labels of any value."""
        return self._counters[name].labels(
            *(self._bounds[of](labels.named(values[of])) for of in self._order[name])
        )


_made: WeakKeyDictionary[CollectorRegistry, dict[str, tuple[dict[str, Any], ApplicationMetrics]]]
_made = WeakKeyDictionary()
_making = threading.RLock()


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
