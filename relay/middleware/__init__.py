"""Metrics of an application, as the basis for alerts. Requires only prometheus-client."""

from relay.middleware.asgi import ErrorTrackingMiddleware, MetricsMiddleware, RequestMetricsMiddleware
from relay.middleware.decorator import track_errors
from relay.middleware.exposition import metrics_app, metrics_page
from relay.middleware.frameworks import DjangoMiddleware, litestar_exception, note_exception, watch_quart
from relay.middleware.metrics import ApplicationMetrics, application_metrics
from relay.middleware.routes import endpoint_of
from relay.middleware.tenants import from_header, from_state
from relay.middleware.tracking import (
    track_auth_failure,
    track_database_error,
    track_exception,
    track_external_api_error,
    track_http_error,
    track_minio_error,
    track_rate_limit_violation,
    track_redis_error,
)

__all__ = [
    "ApplicationMetrics",
    "DjangoMiddleware",
    "ErrorTrackingMiddleware",
    "MetricsMiddleware",
    "RequestMetricsMiddleware",
    "application_metrics",
    "endpoint_of",
    "from_header",
    "from_state",
    "litestar_exception",
    "metrics_app",
    "metrics_page",
    "note_exception",
    "track_auth_failure",
    "track_database_error",
    "track_errors",
    "track_exception",
    "track_external_api_error",
    "track_http_error",
    "track_minio_error",
    "track_rate_limit_violation",
    "track_redis_error",
    "watch_quart",
]
