"""Every request is counted once, with its result, duration and tenant."""

import asyncio
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from relay.middleware import (
    ErrorTrackingMiddleware,
    MetricsMiddleware,
    RequestMetricsMiddleware,
    application_metrics,
    from_header,
    from_state,
)
from tests.middleware.driver import Application, call, counted, http

REQUESTS = ("method", "endpoint", "status_code", "tenant_id")


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


def instrumented(application: Application, registry: CollectorRegistry, **options: Any) -> MetricsMiddleware:
    return MetricsMiddleware(application, metrics=application_metrics(registry=registry), **options)


def responding(status: int, **scope: Any) -> Application:
    async def application(given: Any, receive: Any, send: Any) -> None:
        given.update(scope)
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body", "body": b"ok"})

    return application


def requests(registry: CollectorRegistry) -> dict[Any, float]:
    return counted(registry, "http_requests_total", *REQUESTS)


async def test_a_request_is_counted_and_timed(registry: CollectorRegistry) -> None:
    await call(instrumented(responding(200, path_template="/items/{id}"), registry), "/items/7")

    assert requests(registry) == {("GET", "/items/{id}", "200", "unknown"): 1}
    times = counted(registry, "http_request_duration_seconds_count", "method", "endpoint", "tenant_id")
    assert times == {("GET", "/items/{id}", "unknown"): 1}
    assert counted(registry, "http_errors_total", "status_code") == {}
    assert counted(registry, "error_response_time_seconds_count", "status_code") == {}


@pytest.mark.parametrize(("status", "of_400", "of_500"), [(404, 1, 0), (499, 1, 0), (500, 0, 1), (503, 0, 1)])
async def test_an_error_is_counted_in_total_and_in_its_class(
    registry: CollectorRegistry, status: int, of_400: int, of_500: int
) -> None:
    await call(instrumented(responding(status), registry), "/secret/7")

    labels = ("GET", "unmatched", str(status), "unknown")
    assert counted(registry, "http_errors_total", *REQUESTS) == {labels: 1}
    assert counted(registry, "http_4xx_errors_total", *REQUESTS) == ({labels: 1} if of_400 else {})
    assert counted(registry, "http_5xx_errors_total", *REQUESTS) == ({labels: 1} if of_500 else {})
    assert counted(registry, "error_response_time_seconds_count", "status_code") == {str(status): 1}
    assert requests(registry) == {labels: 1}


async def test_the_two_partial_middlewares_together_equal_the_full_one(registry: CollectorRegistry) -> None:
    metrics = application_metrics(registry=registry)
    halves = ErrorTrackingMiddleware(RequestMetricsMiddleware(responding(404), metrics=metrics), metrics=metrics)
    whole = CollectorRegistry()

    await call(halves, "/")
    await call(instrumented(responding(404), whole), "/")

    for name in ("http_requests_total", "http_errors_total", "http_4xx_errors_total"):
        assert counted(registry, name, *REQUESTS) == counted(whole, name, *REQUESTS) != {}
    assert requests(registry) == {("GET", "unmatched", "404", "unknown"): 1}


async def test_an_exception_before_the_response_is_a_500(registry: CollectorRegistry) -> None:
    async def failing(scope: Any, receive: Any, send: Any) -> None:
        raise KeyError("no")

    with pytest.raises(KeyError):
        await call(instrumented(failing, registry), "/")

    assert counted(registry, "http_5xx_errors_total", "status_code") == {"500": 1}
    kinds = counted(registry, "exceptions_total", "exception_type", "module", "tenant_id")
    assert kinds == {("KeyError", __name__, "unknown"): 1}
    by_endpoint = counted(registry, "exceptions_by_endpoint_total", "endpoint", "exception_type")
    assert by_endpoint == {("unmatched", "KeyError"): 1}


async def test_an_exception_during_the_response_keeps_the_sent_status(
    registry: CollectorRegistry,
) -> None:
    async def breaking(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"half", "more_body": True})
        raise ValueError("torn")

    with pytest.raises(ValueError, match="torn"):
        await call(instrumented(breaking, registry), "/")

    assert requests(registry) == {("GET", "unmatched", "200", "unknown"): 1}
    assert counted(registry, "http_errors_total", "status_code") == {}
    assert counted(registry, "exceptions_total", "exception_type") == {"ValueError": 1}


async def test_no_response_is_a_500(registry: CollectorRegistry) -> None:
    async def silent(scope: Any, receive: Any, send: Any) -> None:
        return

    await instrumented(silent, registry)(http("/"), None, None)  # type: ignore[arg-type]

    assert counted(registry, "http_5xx_errors_total", "status_code") == {"500": 1}


async def test_a_stream_counts_once_when_complete(registry: CollectorRegistry) -> None:
    snapshots: list[dict[Any, float]] = []

    async def streaming(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for _ in range(3):
            await send({"type": "http.response.body", "body": b"part", "more_body": True})
            snapshots.append(requests(registry))
        await send({"type": "http.response.body"})

    response = await call(instrumented(streaming, registry), "/")

    assert response.body == b"part" * 3
    assert snapshots == [{}, {}, {}]
    assert requests(registry) == {("GET", "unmatched", "200", "unknown"): 1}


async def test_work_after_the_response_does_not_delay_the_count(
    registry: CollectorRegistry,
) -> None:
    async def busy(scope: Any, receive: Any, send: Any) -> None:
        await responding(200)(scope, receive, send)
        assert requests(registry) == {("GET", "unmatched", "200", "unknown"): 1}
        raise RuntimeError("in the background")

    with pytest.raises(RuntimeError):
        await call(instrumented(busy, registry), "/")

    assert requests(registry) == {("GET", "unmatched", "200", "unknown"): 1}
    assert counted(registry, "exceptions_total", "exception_type") == {"RuntimeError": 1}


async def test_a_canceled_request_is_a_499_without_an_exception(registry: CollectorRegistry) -> None:
    entered = asyncio.Event()

    async def waiting(scope: Any, receive: Any, send: Any) -> None:
        entered.set()
        await asyncio.Event().wait()

    task = asyncio.ensure_future(call(instrumented(waiting, registry), "/"))
    await entered.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert requests(registry) == {("GET", "unmatched", "499", "unknown"): 1}
    assert counted(registry, "exceptions_total", "exception_type") == {}


@pytest.mark.parametrize("raises", [True, False])
async def test_a_client_disconnect_before_the_response_is_a_499_without_an_exception(
    registry: CollectorRegistry, raises: bool
) -> None:
    class ClientDisconnect(Exception):
        pass

    async def reading(scope: Any, receive: Any, send: Any) -> None:
        if (await receive())["type"] == "http.disconnect" and raises:
            raise ClientDisconnect

    async def disconnected() -> Any:
        return {"type": "http.disconnect"}

    application = instrumented(reading, registry)
    if raises:
        with pytest.raises(ClientDisconnect):
            await application(http("/"), disconnected, None)  # type: ignore[arg-type]
    else:
        await application(http("/"), disconnected, None)  # type: ignore[arg-type]

    assert requests(registry) == {("GET", "unmatched", "499", "unknown"): 1}
    assert counted(registry, "exceptions_total", "exception_type") == {}


@pytest.mark.parametrize("kind", ["websocket", "lifespan"])
async def test_other_scopes_than_http_pass_through_unchanged(registry: CollectorRegistry, kind: str) -> None:
    given: list[Any] = []

    async def application(*passed: Any) -> None:
        given.extend(passed)

    scope = {"type": kind}

    async def receive() -> Any: ...
    async def send(message: Any) -> None: ...

    await instrumented(application, registry)(scope, receive, send)

    assert given == [scope, receive, send]
    assert scope == {"type": kind}
    assert requests(registry) == {}


async def test_nested_middleware_counts_once(registry: CollectorRegistry) -> None:
    await call(instrumented(instrumented(responding(404), registry), registry), "/")

    assert sum(requests(registry).values()) == 1
    assert sum(counted(registry, "http_errors_total", "method").values()) == 1


async def test_the_tenant_is_read_from_the_state(registry: CollectorRegistry) -> None:
    async def authenticating(scope: Any, receive: Any, send: Any) -> None:
        scope["state"]["tenant_id"] = 42
        await responding(200)(scope, receive, send)

    await call(instrumented(authenticating, registry, tenant=from_state()), "/")
    await call(instrumented(responding(200), registry, tenant=from_state()), "/")

    assert counted(registry, "http_requests_total", "tenant_id") == {"42": 1, "unknown": 1}


async def test_the_tenant_is_read_from_a_header_if_known(registry: CollectorRegistry) -> None:
    application = instrumented(responding(200), registry, tenant=from_header("X-Tenant-ID", known={"acme"}))
    for headers in ({"x_tenant_id": "acme"}, {"x_tenant_id": "made-up"}, {"x_tenant_id": ""}, {}):
        await call(application, "/", **headers)

    assert counted(registry, "http_requests_total", "tenant_id") == {"acme": 1, "other": 1, "unknown": 2}


async def test_a_failing_callable_affects_the_label_alone(registry: CollectorRegistry) -> None:
    def failing(scope: Any) -> str:
        raise LookupError("not found")

    response = await call(instrumented(responding(200), registry, tenant=failing, endpoint=failing), "/")

    assert response.status == 200
    assert requests(registry) == {("GET", "unmatched", "200", "unknown"): 1}


@pytest.mark.parametrize(
    ("endpoint", "label"), [(None, "unmatched"), ("", "unmatched"), (7, "7"), (["/items"], "['/items']")]
)
async def test_an_endpoint_that_is_not_text_is_converted(
    registry: CollectorRegistry, endpoint: object, label: str
) -> None:
    response = await call(instrumented(responding(200), registry, endpoint=lambda _: endpoint), "/")

    assert response.body == b"ok"
    assert counted(registry, "http_requests_total", "endpoint") == {label: 1}
