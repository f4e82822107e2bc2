"""Metrics of several applications in one process, by registry and prefix."""

import subprocess
import sys
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, Counter

from relay.middleware import MetricsMiddleware, application_metrics, track_http_error
from tests.middleware.driver import call, counted


async def ok(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b""})


async def test_two_applications_on_one_registry_share_metrics() -> None:
    registry = CollectorRegistry()
    for _ in range(2):
        await call(MetricsMiddleware(ok, metrics=application_metrics(registry=registry)), "/")

    assert counted(registry, "http_requests_total", "status_code") == {"200": 2}


async def test_two_applications_on_two_registries_have_separate_metrics() -> None:
    one, other = CollectorRegistry(), CollectorRegistry()
    await call(MetricsMiddleware(ok, metrics=application_metrics(registry=one)), "/")
    application_metrics(registry=other)

    assert counted(one, "http_requests_total", "status_code") == {"200": 1}
    assert counted(other, "http_requests_total", "status_code") == {}


async def test_several_prefixes_share_one_registry() -> None:
    registry = CollectorRegistry()
    for prefix in ("shop", "billing"):
        await call(MetricsMiddleware(ok, metrics=application_metrics(prefix, registry)), "/")

    for prefix in ("shop", "billing"):
        assert counted(registry, "http_requests_total", "status_code", prefix=prefix) == {"200": 1}


def test_a_duration_counts_in_the_bucket_whose_bound_it_does_not_exceed() -> None:
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
def test_buckets_that_do_not_increase_are_rejected(buckets: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="must be increasing"):
        application_metrics(registry=CollectorRegistry(), buckets=buckets)


def test_buckets_are_configurable_once() -> None:
    registry = CollectorRegistry()
    metrics = application_metrics(registry=registry, buckets=(0.1, 1.0))

    assert application_metrics(registry=registry) is metrics
    assert application_metrics(registry=registry, buckets=(0.1, 1.0)) is metrics
    with pytest.raises(ValueError, match="already exist with the options"):
        application_metrics(registry=registry, buckets=(0.5,))


@pytest.mark.parametrize("name", ["dotmac_redis_errors", "dotmac_http_requests"])
def test_a_duplicate_metric_name_is_an_error_at_the_start(name: str) -> None:
    registry = CollectorRegistry()
    Counter(name, "The application's own.", registry=registry)

    with pytest.raises(ValueError, match=name):
        application_metrics(registry=registry)


def test_a_signal_handler_may_count_at_any_time() -> None:
    script = """
import signal
from itertools import count
from prometheus_client import CollectorRegistry
from relay.middleware import application_metrics, track_http_error

registry = CollectorRegistry()
metrics = application_metrics(registry=registry)
numbers = count()
counted = 0

def some(*_):
    global counted
    for endpoint in ["/", f"/{next(numbers) % 100}"] * 40:
        track_http_error("GET", endpoint, 500, seconds=0.1, metrics=metrics)
        counted += 1
    signal.setitimer(signal.ITIMER_REAL, 0.002)

signal.signal(signal.SIGALRM, some)
signal.setitimer(signal.ITIMER_REAL, 0.002)
for _ in range(200):
    for _ in range(1000):
        track_http_error("GET", "/", 500, seconds=0.1, metrics=metrics)
    list(registry.collect())
signal.signal(signal.SIGALRM, signal.SIG_IGN)
errors, = (family for family in registry.collect() if family.name == "dotmac_http_errors")
print(sum(sample.value for sample in errors.samples) - 200_000 - counted)
"""
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)

    assert ran.stdout == "0\n", ran.stderr
