"""The track functions and their metrics."""

from collections.abc import Callable
from typing import Any

import asyncpg
import pytest
import sqlalchemy.exc
from prometheus_client import CollectorRegistry

from relay.middleware import (
    ApplicationMetrics,
    application_metrics,
    track_auth_failure,
    track_database_error,
    track_exception,
    track_external_api_error,
    track_http_error,
    track_minio_error,
    track_rate_limit_violation,
    track_redis_error,
)
from tests.middleware.driver import counted


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
def metrics(registry: CollectorRegistry) -> ApplicationMetrics:
    return application_metrics(registry=registry)


SIMPLE: list[tuple[Callable[..., None], tuple[Any, ...], str, dict[str, str]]] = [
    (track_rate_limit_violation, ("/items/{id}", "acme"), "rate_limit_exceeded", {"endpoint": "/items/{id}"}),
    (track_redis_error, ("get", "acme"), "redis_errors", {"operation": "get"}),
    (track_minio_error, ("put_object", "acme"), "minio_errors", {"operation": "put_object"}),
    (
        track_external_api_error,
        ("billing", TimeoutError(), "acme"),
        "external_api_errors",
        {"service": "billing", "error_type": "TimeoutError"},
    ),
    (
        track_external_api_error,
        ("billing", "http_503", "acme"),
        "external_api_errors",
        {"service": "billing", "error_type": "http_503"},
    ),
]


@pytest.mark.parametrize(("track", "arguments", "name", "labels"), SIMPLE)
def test_one_event_is_one_count(
    registry: CollectorRegistry,
    metrics: ApplicationMetrics,
    track: Callable[..., None],
    arguments: tuple[Any, ...],
    name: str,
    labels: dict[str, str],
) -> None:
    track(*arguments, metrics=metrics)

    assert registry.get_sample_value(f"dotmac_{name}_total", labels | {"tenant_id": "acme"}) == 1


def test_an_http_error_counts_in_total_and_in_its_class(
    registry: CollectorRegistry, metrics: ApplicationMetrics
) -> None:
    track_http_error("GET", "/items/{id}", 503, "acme", seconds=0.2, metrics=metrics)
    track_http_error("GET", "/items/{id}", 404, metrics=metrics)

    statuses = counted(registry, "http_errors_total", "status_code", "tenant_id")
    assert statuses == {("503", "acme"): 1, ("404", "unknown"): 1}
    assert counted(registry, "http_4xx_errors_total", "status_code") == {"404": 1}
    assert counted(registry, "http_5xx_errors_total", "status_code") == {"503": 1}
    assert counted(registry, "error_response_time_seconds_sum", "status_code") == {"503": 0.2}
    with pytest.raises(ValueError, match="200"):
        track_http_error("GET", "/", 200, metrics=metrics)


CONNECTION = [
    "connection_refused",
    ConnectionRefusedError(),
    asyncpg.ConnectionDoesNotExistError(),
    asyncpg.CannotConnectNowError(),
    sqlalchemy.exc.OperationalError("SELECT 1", {}, asyncpg.AdminShutdownError()),
]
TIMEOUT = [
    "query_timeout",
    TimeoutError(),
    asyncpg.QueryCanceledError(),
    sqlalchemy.exc.DBAPIError("SELECT 1", {}, asyncpg.LockNotAvailableError()),
]
OTHERS = ["deadlock", asyncpg.UniqueViolationError(), ValueError()]


@pytest.mark.parametrize(
    ("error", "connection", "timeout"),
    [
        *((error, 1, 0) for error in CONNECTION),
        *((error, 0, 1) for error in TIMEOUT),
        *((error, 0, 0) for error in OTHERS),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_connection_failures_and_query_timeouts_are_distinguished(
    registry: CollectorRegistry, metrics: ApplicationMetrics, error: Any, connection: int, timeout: int
) -> None:
    track_database_error(error, "select", table="items", tenant_id="acme", metrics=metrics)

    assert counted(registry, "database_errors_total", "operation", "tenant_id") == {("select", "acme"): 1}
    failures = counted(registry, "database_connection_failures_total", "tenant_id")
    assert failures == ({"acme": 1} if connection else {})
    timeouts = counted(registry, "database_query_timeouts_total", "table", "operation", "tenant_id")
    assert timeouts == ({("items", "select", "acme"): 1} if timeout else {})


def test_a_database_error_is_named_by_the_driver(registry: CollectorRegistry, metrics: ApplicationMetrics) -> None:
    error = sqlalchemy.exc.IntegrityError("INSERT", {}, asyncpg.UniqueViolationError())

    track_database_error(error, "insert", metrics=metrics)

    assert counted(registry, "database_errors_total", "error_type") == {"UniqueViolationError": 1}


@pytest.mark.parametrize(
    ("reason", "token_type", "tokens"),
    [("wrong_password", None, {}), ("expired", "jwt", {"jwt": 1}), ("invalid_token", None, {"unknown": 1})],
)
def test_an_invalid_token_also_counts_as_such(
    registry: CollectorRegistry,
    metrics: ApplicationMetrics,
    reason: str,
    token_type: str | None,
    tokens: dict[str, int],
) -> None:
    track_auth_failure(reason, token_type=token_type, tenant_id="acme", metrics=metrics)

    assert counted(registry, "auth_failures_total", "failure_reason", "tenant_id") == {(reason, "acme"): 1}
    assert counted(registry, "invalid_token_attempts_total", "token_type") == tokens


def test_an_exception_counts_once_and_by_endpoint_if_given(
    registry: CollectorRegistry, metrics: ApplicationMetrics
) -> None:
    error = ValueError("never raised")
    track_exception(error, tenant_id="acme", metrics=metrics)
    track_exception(error, endpoint="/items/{id}", tenant_id="acme", metrics=metrics)

    exceptions = counted(registry, "exceptions_total", "exception_type", "module", "tenant_id")
    assert exceptions == {("ValueError", "builtins", "acme"): 1}
    assert counted(registry, "exceptions_by_endpoint_total", "endpoint") == {"/items/{id}": 1}


def test_the_default_metrics_are_used_without_others() -> None:
    from prometheus_client import REGISTRY

    before = counted(REGISTRY, "minio_errors_total", "operation").get("of_the_default", 0)
    track_minio_error("of_the_default")

    assert counted(REGISTRY, "minio_errors_total", "operation")["of_the_default"] == before + 1


def test_label_values_other_than_text_are_converted(
    registry: CollectorRegistry, metrics: ApplicationMetrics
) -> None:
    no_text: Any = None
    number: Any = 7
    track_redis_error(no_text, number, metrics=metrics)
    track_auth_failure(no_text, metrics=metrics)
    track_database_error("timeout", number, table=no_text, metrics=metrics)
    track_external_api_error("billing", number, metrics=metrics)
    track_http_error("GET", no_text, 500, metrics=metrics)

    assert counted(registry, "redis_errors_total", "operation", "tenant_id") == {("unknown", "7"): 1}
    assert counted(registry, "auth_failures_total", "failure_reason") == {"unknown": 1}
    assert counted(registry, "database_query_timeouts_total", "operation", "table") == {("7", "unknown"): 1}
    assert counted(registry, "external_api_errors_total", "error_type") == {"7": 1}
    assert counted(registry, "http_errors_total", "endpoint") == {"unknown": 1}


def test_an_exception_group_of_one_counts_as_its_exception(
    registry: CollectorRegistry, metrics: ApplicationMetrics
) -> None:
    error = ValueError("in a task")
    track_exception(error, metrics=metrics)
    track_exception(ExceptionGroup("tasks", [ExceptionGroup("more", [error])]), endpoint="/", metrics=metrics)
    track_exception(ExceptionGroup("tasks", [error, KeyError()]), metrics=metrics)

    assert counted(registry, "exceptions_total", "exception_type") == {"ValueError": 1, "ExceptionGroup": 1}
    assert counted(registry, "exceptions_by_endpoint_total", "exception_type") == {"ValueError": 1}
