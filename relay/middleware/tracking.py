"""What went wrong, where only the application can see it?

Each function counts one event, on `application_metrics()` unless it is given others. `error_type` is a name, or
the exception itself. Labels take any text, and any value as text; what is one value too many counts as `other`.
"""

from relay.middleware.answers import Answer
from relay.middleware.database import is_connection_failure, is_query_timeout, of_the_driver
from relay.middleware.labels import OTHER, UNKNOWN, named
from relay.middleware.metrics import ApplicationMetrics, application_metrics


def track_http_error(
    method: str,
    endpoint: str,
    status_code: int,
    tenant_id: object = None,
    *,
    seconds: float | None = None,
    metrics: ApplicationMetrics | None = None,
) -> None:
    """An answer of 400 or above that no middleware saw; `seconds`, if known, is how long it took.

    Raises:
        ValueError: the status is no error.
    """
    if not 400 <= status_code <= 599:
        raise ValueError(f"{status_code} is no status of an error")
    into = _into(metrics)
    labels = named(method), named(endpoint), f"{status_code:d}", named(tenant_id)
    answer = Answer(*labels, as_request=False, as_error=True)
    into.answers(into.bounded(answer))(seconds)


def track_exception(
    error: BaseException,
    *,
    endpoint: str | None = None,
    module: str | None = None,
    tenant_id: object = None,
    metrics: ApplicationMetrics | None = None,
) -> None:
    """An exception, by its type and the module that raised it, and with an endpoint by that too.

    However many layers see the same exception on its way up, it counts once in `exceptions`.
    """
    error, into = _alone(error), _into(metrics)
    kind = type(error).__name__
    if _first_seen(error, into):
        where = module or _raised_in(error)
        into.counter("exceptions", exception_type=kind, module=where, tenant_id=tenant_id).inc()
    if endpoint is not None:
        of = {"endpoint": endpoint, "exception_type": kind, "tenant_id": tenant_id}
        into.counter("exceptions_by_endpoint", **of).inc()


def track_database_error(
    error_type: str | BaseException,
    operation: str = UNKNOWN,
    *,
    table: str = UNKNOWN,
    tenant_id: object = None,
    metrics: ApplicationMetrics | None = None,
) -> None:
    """An error of the database, in an operation such as `select`.

    A failure of the connection and a query that took too long are counted as such too. They are told by the
    exception, by its SQLSTATE where it has one, or by a name with `connection` or `timeout` in it.
    """
    into = _into(metrics)
    error = of_the_driver(error_type) if isinstance(error_type, BaseException) else error_type
    into.counter("database_errors", error_type=_kind(error), operation=operation, tenant_id=tenant_id).inc()
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
    """An attempt to authenticate that failed.

    With a `token_type`, or with a reason that has `token` in it (`invalid_token`), it counts in
    `invalid_token_attempts` too.
    """
    into = _into(metrics)
    into.counter("auth_failures", failure_reason=failure_reason, tenant_id=tenant_id).inc()
    if token_type is not None or "token" in named(failure_reason):
        into.counter("invalid_token_attempts", token_type=token_type, tenant_id=tenant_id).inc()


def track_rate_limit_violation(
    endpoint: str, tenant_id: object = None, *, metrics: ApplicationMetrics | None = None
) -> None:
    """A request refused as one too many. Name the endpoint by its route's template."""
    _into(metrics).counter("rate_limit_exceeded", endpoint=endpoint, tenant_id=tenant_id).inc()


def track_external_api_error(
    service: str,
    error_type: str | BaseException,
    tenant_id: object = None,
    *,
    metrics: ApplicationMetrics | None = None,
) -> None:
    """An error of another service's API."""
    series = _into(metrics).counter(
        "external_api_errors", service=service, error_type=_kind(error_type), tenant_id=tenant_id
    )
    series.inc()


def track_redis_error(
    operation: str, tenant_id: object = None, *, metrics: ApplicationMetrics | None = None
) -> None:
    """An error of Redis, in an operation such as `get`."""
    _into(metrics).counter("redis_errors", operation=operation, tenant_id=tenant_id).inc()


def track_minio_error(
    operation: str, tenant_id: object = None, *, metrics: ApplicationMetrics | None = None
) -> None:
    """An error of MinIO, in an operation such as `put_object`."""
    _into(metrics).counter("minio_errors", operation=operation, tenant_id=tenant_id).inc()


def _into(metrics: ApplicationMetrics | None) -> ApplicationMetrics:
    return application_metrics() if metrics is None else metrics


def _kind(error: str | BaseException) -> str:
    return type(error).__name__ if isinstance(error, BaseException) else named(error)


def _alone(error: BaseException) -> BaseException:
    """What was raised in a group of tasks that holds nothing else, as Starlette's BaseHTTPMiddleware has one."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error


def _raised_in(error: BaseException) -> str:
    """The module at the end of the traceback, where it was raised."""
    step = error.__traceback__
    if step is None:
        return type(error).__module__
    while step.tb_next is not None:
        step = step.tb_next
    return str(step.tb_frame.f_globals.get("__name__", OTHER))


def _first_seen(error: BaseException, metrics: ApplicationMetrics) -> bool:
    # Kept in the exception, for nothing else lives exactly as long; numbers, so that it can still be pickled.
    seen: set[int] = error.__dict__.setdefault("_counted_in", set())
    first = id(metrics) not in seen
    seen.add(id(metrics))
    return first
