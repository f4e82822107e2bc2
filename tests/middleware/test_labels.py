"""Limits on the number of series that clients can create."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

from prometheus_client import CollectorRegistry

from relay.middleware import (
    MetricsMiddleware,
    application_metrics,
    from_header,
    metrics_page,
    track_redis_error,
)
from relay.middleware.labels import LabelLimit
from tests.middleware.driver import call, counted


async def not_found(scope: Any, receive: Any, send: Any) -> None:
    scope["path_template"] = scope["path"]  # which no framework should do
    await send({"type": "http.response.start", "status": 404, "headers": []})
    await send({"type": "http.response.body", "body": b""})


async def test_methods_tenants_and_endpoints_are_bounded() -> None:
    registry = CollectorRegistry()
    metrics = application_metrics(registry=registry, max_tenants=3, max_endpoints=5)
    application = MetricsMiddleware(not_found, metrics=metrics, tenant=from_header("x-tenant"))

    for at in range(50):
        await call(application, f"/{at}", f"METHOD{at}", x_tenant=f"tenant-{at}")

    assert counted(registry, "http_requests_total", "method") == {"OTHER": 50}
    tenants = counted(registry, "http_requests_total", "tenant_id")
    assert tenants == {"tenant-0": 1, "tenant-1": 1, "tenant-2": 1, "other": 47}
    endpoints = counted(registry, "http_requests_total", "endpoint")
    assert endpoints == {"/0": 1, "/1": 1, "/2": 1, "/3": 1, "/4": 1, "other": 45}


async def test_a_lowercase_method_is_not_recognized() -> None:
    registry = CollectorRegistry()
    application = MetricsMiddleware(not_found, metrics=application_metrics(registry=registry))

    await call(application, "/", "get")

    assert counted(registry, "http_requests_total", "method") == {"OTHER": 1}


def test_the_limit_holds_with_many_threads() -> None:
    bound = LabelLimit(10)
    with ThreadPoolExecutor(16) as pool:
        passed = set(pool.map(bound, [f"value-{at % 500}" for at in range(10_000)]))

    assert len(passed - {"other"}) == 10


def test_counts_are_exact_with_many_threads() -> None:
    registry = CollectorRegistry()
    metrics = application_metrics(registry=registry, max_tenants=10)
    with ThreadPoolExecutor(16) as pool:
        for _ in pool.map(lambda at: track_redis_error("get", at % 30, metrics=metrics), range(6000)):
            pass

    counts = counted(registry, "redis_errors_total", "tenant_id")
    assert len(counts) == 11
    assert sum(counts.values()) == 6000


def test_an_unencodable_or_long_value_becomes_other() -> None:
    registry = CollectorRegistry()
    metrics = application_metrics(registry=registry)
    for tenant in ("\ud800", "x" * 10_000, 'quo"te\n\\'):
        track_redis_error("get", tenant, metrics=metrics)

    page, _ = metrics_page(registry)

    assert b'tenant_id="quo\\"te\\n\\\\"' in page
    assert counted(registry, "redis_errors_total", "tenant_id") == {"other": 2, 'quo"te\n\\': 1}
