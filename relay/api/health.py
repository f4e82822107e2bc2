"""Is the relay alive, is it ready, and what does it measure?"""

from typing import Any

import msgspec
from litestar import Response, get
from litestar.di import NamedDependency
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from relay.store.postgres.database import Database
from relay.telemetry import Metrics


class ServiceHealth(msgspec.Struct, frozen=True):
    """`status` is `ok`, or `degraded` when something that the relay needs is away."""

    status: str
    database: bool


@get("/-/healthy", tags=["health"], media_type="text/plain")
async def healthy() -> str:
    """The process answers."""
    return "alive"


@get("/-/ready", tags=["health"])
async def ready(database: NamedDependency[Database]) -> Response[ServiceHealth]:
    """Alerts can be taken: the database answers. Otherwise 503."""
    return await _health(database, unready=503)


@get("/health", tags=["health"])
async def health(database: NamedDependency[Database]) -> Response[ServiceHealth]:
    """What works and what doesn't, for people; always 200 as long as the process answers."""
    return await _health(database, unready=200)


@get("/metrics", tags=["health"], media_type=CONTENT_TYPE_LATEST)
async def metrics_page(metrics: NamedDependency[Metrics]) -> Response[bytes]:
    """The relay's own metrics, for Prometheus."""
    # As a header: to a media type the framework adds a second charset, and Prometheus then refuses the page.
    headers = {"Content-Type": CONTENT_TYPE_LATEST}
    return Response(generate_latest(metrics.registry), media_type=CONTENT_TYPE_LATEST, headers=headers)


async def _health(database: Database, unready: int) -> Response[ServiceHealth]:
    answers = await database.answers()
    body = ServiceHealth("ok" if answers else "degraded", answers)
    return Response(body, status_code=200 if answers else unready)


HANDLERS: list[Any] = [healthy, ready, health, metrics_page]
