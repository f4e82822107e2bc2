"""Functions that count errors which only the application can see.

Each function counts one event, on `application_metrics()` unless other metrics are given. `error_type` is a name
or the exception itself. Labels accept any value and convert it to text; values beyond the limit count as `other`.
"""

from relay.middleware.database import driver_error, is_connection_failure, is_query_timeout
from relay.middleware.labels import OTHER, UNKNOWN, label_text
from relay.middleware.metrics import ApplicationMetrics, application_metrics
from relay.middleware.responses import ResponseLabels


def track_http_error(
    method: str,
    endpoint: str,
    status_code: int,
    tenant_id: object = None,
    *,
    seconds: float | None = None,
    metrics: ApplicationMetrics | None = None,
) -> None:
    """Count a response of 400 or above that no middleware saw, with its duration in seconds, if known.

    Raises:
        ValueError: the status is not an error.
    """
    if not 400 <= status_code <= 599:
        raise ValueError(f"{status_code} is not an error status")
    into = _metrics_or_default(metrics)
    values = label_text(method), label_text(endpoint), f"{status_code:d}", label_text(tenant_id)
    labels = into.bounded(ResponseLabels(*values, as_request=False, as_error=True))
    into.recorder(labels)(seconds)


def track_exception(
    error: BaseException,
    *,
    endpoint: str | None = None,
    module: str | None = None,
    tenant_id: object = None,
    metrics: ApplicationMetrics | None = None,
) -> None:
    """Count an exception by its type and the module that raised it, and by its endpoint, if given.

    An exception that several layers see counts once in `exceptions`.
    """
    error, into = _single_exception(error), _metrics_or_default(metrics)
    exception_type = type(error).__name__
    if _is_first_count(error, into):
        raised_in = module or _raising_module(error)
        into.counter("exceptions", exception_type=exception_type, module=raised_in, tenant_id=tenant_id).inc()
    if endpoint is not None:
        labels = {"endpoint": endpoint, "exception_type": exception_type, "tenant_id": tenant_id}
        into.counter("exceptions_by_endpoint", **labels).inc()


def track_database_error(
    error_type: str | BaseException,
    operation: str = UNKNOWN,
    *,
    table: str = UNKNOWN,
    tenant_id: object = None,
    metrics: ApplicationMetrics | None = None,
) -> None:
    """Count a database error in an operation such as `select`.

    Connection failures and query timeouts are also counted separately. They are detected by the exception's
    SQLSTATE or type, or by a name that contains `connect` or `timeout`.
    """
    into = _metrics_or_default(metrics)
    error = driver_error(error_type) if isinstance(error_type, BaseException) else error_type
    into.counter("database_errors", error_type=_error_type(error), operation=operation, tenant_id=tenant_id).inc()
    if is_query_timeout(error):
        into.counter("database_query_timeouts", table=table, operation=operation, tenant_id=tenant_id).inc()
    elif is_connection_failure(error):
        into.counter("database_connection_failures", tenant_id=tenant_id).inc()


def track_auth_failure(
    failure_reason: str,
    *,
    token_type: str | None = None,
    tenant_id: object = None,
    metrics: ApplicationMetrics | None = None,
) -> None:
    """Count a failed authentication attempt.

    With a `token_type`, or a reason that contains `token` (`invalid_token`), it also counts in
    `invalid_token_attempts`.
    """
    into = _metrics_or_default(metrics)
    into.counter("auth_failures", failure_reason=failure_reason, tenant_id=tenant_id).inc()
    if token_type is not None or "token" in label_text(failure_reason):
        into.counter("invalid_token_attempts", token_type=token_type, tenant_id=tenant_id).inc()


def track_rate_limit_violation(
    endpoint: str, tenant_id: object = None, *, metrics: ApplicationMetrics | None = None
) -> None:
    """Count a request that a rate limit rejected. `endpoint` is the route's template."""
    _metrics_or_default(metrics).counter("rate_limit_exceeded", endpoint=endpoint, tenant_id=tenant_id).inc()


def track_external_api_error(
    service: str,
    error_type: str | BaseException,
    tenant_id: object = None,
    *,
    metrics: ApplicationMetrics | None = None,
) -> None:
    """Count an error of an external API."""
    series = _metrics_or_default(metrics).counter(
        "external_api_errors", service=service, error_type=_error_type(error_type), tenant_id=tenant_id
    )
    series.inc()


def track_redis_error(
    operation: str, tenant_id: object = None, *, metrics: ApplicationMetrics | None = None
) -> None:
    """Count a Redis error in an operation such as `get`."""
    _metrics_or_default(metrics).counter("redis_errors", operation=operation, tenant_id=tenant_id).inc()


def track_minio_error(
    operation: str, tenant_id: object = None, *, metrics: ApplicationMetrics | None = None
) -> None:
    """Count a MinIO error in an operation such as `put_object`."""
    _metrics_or_default(metrics).counter("minio_errors", operation=operation, tenant_id=tenant_id).inc()


def _metrics_or_default(metrics: ApplicationMetrics | None) -> ApplicationMetrics:
    return application_metrics() if metrics is None else metrics


def _error_type(error: str | BaseException) -> str:
    return type(error).__name__ if isinstance(error, BaseException) else label_text(error)


def _single_exception(error: BaseException) -> BaseException:
    """Unwrap exception groups with a single exception, which Starlette's BaseHTTPMiddleware raises."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error


def _raising_module(error: BaseException) -> str:
    """Return the module at the end of the traceback, which raised the exception."""
    frame = error.__traceback__
    if frame is None:
        return type(error).__module__
    while frame.tb_next is not None:
        frame = frame.tb_next
    return str(frame.tb_frame.f_globals.get("__name__", OTHER))


def _is_first_count(error: BaseException, metrics: ApplicationMetrics) -> bool:
    # Stored on the exception, which has the right lifetime; as numbers, so that it can still be pickled.
    counted_in: set[int] = error.__dict__.setdefault("_counted_in", set())
    first = id(metrics) not in counted_in
    counted_in.add(id(metrics))
    return first
