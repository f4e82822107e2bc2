"""An application with the middleware, and its metrics after one error of each kind."""

from contextlib import suppress
from typing import Any

from prometheus_client import CollectorRegistry

from relay import middleware
from tests.middleware.driver import call


async def metrics_page_after_errors() -> str:
    """The application's /metrics, with the default prefix, after one error of each kind."""
    registry = CollectorRegistry()
    metrics = middleware.application_metrics(registry=registry)
    wrapped = middleware.MetricsMiddleware(_application, metrics=metrics)
    for path in ("/404", "/500"):
        await call(wrapped, path)
    with suppress(ZeroDivisionError):
        await call(wrapped, "/raises")
    middleware.track_database_error("connection_refused", "connect", metrics=metrics)
    middleware.track_database_error("timeout", "select", table="orders", metrics=metrics)
    middleware.track_auth_failure("invalid_token", token_type="access", metrics=metrics)
    middleware.track_rate_limit_violation("/orders", metrics=metrics)
    middleware.track_external_api_error("payments", "timeout", metrics=metrics)
    middleware.track_redis_error("get", metrics=metrics)
    middleware.track_minio_error("put", metrics=metrics)
    return (await call(middleware.metrics_app(registry), "/metrics")).body.decode()


async def _application(scope: Any, receive: Any, send: Any) -> None:
    """Respond with the status in the path, or raise."""
    if scope["path"] == "/raises":
        raise ZeroDivisionError
    await send({"type": "http.response.start", "status": int(scope["path"][1:]), "headers": []})
    await send({"type": "http.response.body", "body": b""})
