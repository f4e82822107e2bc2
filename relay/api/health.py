"""Liveness, readiness and the relay's own metrics."""

from typing import Any

import msgspec
from litestar import Response, get
from litestar.di import NamedDependency
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from relay.store.postgres.database import Database
from relay.telemetry import Metrics


class ServiceHealth(msgspec.Struct, frozen=True):
    """`status` is `ok`, or `degraded` without the database."""

    status: str
    database: bool


@get("/-/healthy", tags=["health"], media_type="text/plain")
async def healthy() -> str:
    """Liveness: 200 while the process runs."""
    return "alive"


@get("/-/ready", tags=["health"])
async def ready(database: NamedDependency[Database]) -> Response[ServiceHealth]:
    """Readiness: 200 if the database responds and alerts can be accepted, otherwise 503."""
    return await _health(database, unready=503)


@get("/health", tags=["health"])
async def health(database: NamedDependency[Database]) -> Response[ServiceHealth]:
    """Health of the service and its database; always 200 while the process runs."""
    return await _health(database, unready=200)


@get("/metrics", tags=["health"], media_type=CONTENT_TYPE_LATEST)
async def metrics_page(metrics: NamedDependency[Metrics]) -> Response[bytes]:
    """The relay's own metrics, in Prometheus's text format."""
    # As a header: the framework adds a second charset to a media type, and Prometheus rejects that.
    headers = {"Content-Type": CONTENT_TYPE_LATEST}
    return Response(generate_latest(metrics.registry), media_type=CONTENT_TYPE_LATEST, headers=headers)


async def _health(database: Database, unready: int) -> Response[ServiceHealth]:
    responds = await database.is_available()
    body = ServiceHealth("ok" if responds else "degraded", responds)
    return Response(body, status_code=200 if responds else unready)


HANDLERS: list[Any] = [healthy, ready, health, metrics_page]
