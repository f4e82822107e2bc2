"""Do applications in one process count together or apart, as their registries say?"""

from typing import Any

import pytest
from prometheus_client import CollectorRegistry, Counter

from relay.middleware import MetricsMiddleware, application_metrics, track_http_error
from tests.middleware.driver import call, counted


async def ok(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b""})


async def test_two_applications_on_one_registry_count_together() -> None:
    registry = CollectorRegistry()
    for _ in range(2):
        await call(MetricsMiddleware(ok, metrics=application_metrics(registry=registry)), "/")

    assert counted(registry, "http_requests_total", "status_code") == {"200": 2}


async def test_two_applications_on_two_registries_count_apart() -> None:
    one, other = CollectorRegistry(), CollectorRegistry()
    await call(MetricsMiddleware(ok, metrics=application_metrics(registry=one)), "/")
    application_metrics(registry=other)

    assert counted(one, "http_requests_total", "status_code") == {"200": 1}
    assert counted(other, "http_requests_total", "status_code") == {}


async def test_prefixes_stand_side_by_side_on_one_registry() -> None:
    registry = CollectorRegistry()
    for prefix in ("shop", "billing"):
        await call(MetricsMiddleware(ok, metrics=application_metrics(prefix, registry)), "/")

    for prefix in ("shop", "billing"):
        assert counted(registry, "http_requests_total", "status_code", prefix=prefix) == {"200": 1}


def test_a_time_stands_in_the_bucket_whose_bound_it_does_not_exceed() -> None:
    registry = CollectorRegistry()
    metrics = application_metrics(registry=registry, buckets=(0.1, 1, 10))
    for seconds in (0.05, 0.1, 0.5, 100.0):
        track_http_error("GET", "/", 500, seconds=seconds, metrics=metrics)
    track_http_error("GET", "/", 500, metrics=metrics)

    buckets = counted(registry, "error_response_time_seconds_bucket", "le")
    assert buckets == {"0.1": 2, "1.0": 3, "10.0": 3, "+Inf": 4}
    assert counted(registry, "error_response_time_seconds_count", "status_code") == {"500": 4}
    assert counted(registry, "error_response_time_seconds_sum", "status_code") == {"500": 100.65}
    assert counted(registry, "http_errors_total", "status_code") == {"500": 5}


@pytest.mark.parametrize("buckets", [(), (1.0, 0.5), (1.0, 1.0)])
def test_buckets_that_do_not_rise_are_refused(buckets: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="rise"):
        application_metrics(registry=CollectorRegistry(), buckets=buckets)


def test_buckets_are_configurable_once() -> None:
    registry = CollectorRegistry()
    metrics = application_metrics(registry=registry, buckets=(0.1, 1.0))

    assert application_metrics(registry=registry) is metrics
    assert application_metrics(registry=registry, buckets=(0.1, 1.0)) is metrics
    with pytest.raises(ValueError, match="were made with the options"):
        application_metrics(registry=registry, buckets=(0.5,))


@pytest.mark.parametrize("name", ["dotmac_redis_errors", "dotmac_http_requests"])
def test_a_name_that_is_taken_is_told_at_the_start(name: str) -> None:
    registry = CollectorRegistry()
    Counter(name, "The application's own.", registry=registry)

    with pytest.raises(ValueError, match=name):
        application_metrics(registry=registry)
