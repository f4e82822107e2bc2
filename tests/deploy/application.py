"""What does an application that wears the middleware show, once each kind of trouble has been there?"""

from contextlib import suppress
from typing import Any

from prometheus_client import CollectorRegistry

from relay import middleware
from tests.middleware.driver import call


async def page_after_trouble() -> str:
    """Its /metrics, with the default prefix."""
    registry = CollectorRegistry()
    metrics = middleware.application_metrics(registry=registry)
    wearing = middleware.MetricsMiddleware(_application, metrics=metrics)
    for path in ("/404", "/500"):
        await call(wearing, path)
    with suppress(ZeroDivisionError):
        await call(wearing, "/raises")
    middleware.track_database_error("connection_refused", "connect", metrics=metrics)
    middleware.track_database_error("timeout", "select", table="orders", metrics=metrics)
    middleware.track_auth_failure("invalid_token", token_type="access", metrics=metrics)
    middleware.track_rate_limit_violation("/orders", metrics=metrics)
    middleware.track_external_api_error("payments", "timeout", metrics=metrics)
    middleware.track_redis_error("get", metrics=metrics)
    middleware.track_minio_error("put", metrics=metrics)
    return (await call(middleware.metrics_app(registry), "/metrics")).body.decode()


async def _application(scope: Any, receive: Any, send: Any) -> None:
    """Answers with the status in the path, or fails."""
    if scope["path"] == "/raises":
        raise ZeroDivisionError
    await send({"type": "http.response.start", "status": int(scope["path"][1:]), "headers": []})
    await send({"type": "http.response.body", "body": b""})
