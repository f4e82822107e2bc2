"""Liveness, readiness and the relay's own metrics."""

import asyncio
from typing import Any, Final

import msgspec
from litestar import Response, get
from litestar.di import NamedDependency
from litestar.openapi import ResponseSpec
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from relay.domain.principals import Access
from relay.store.postgres import migrations
from relay.store.postgres.database import CONNECT_TIMEOUT, UNAVAILABLE, Database
from relay.telemetry import Metrics

OK: Final = "ok"
DEGRADED: Final = "degraded"


class ServiceHealth(msgspec.Struct, frozen=True, omit_defaults=True):
    """`status` is `ok`, or `degraded` without the database, with another schema than this release's, or
    with a disk that the embedded Postgres can't write to.

    `detail` says in one line why the relay is not ready; otherwise it is absent.
    """

    status: str
    database: bool
    detail: str | None = None


@get("/-/healthy", access=Access.PUBLIC, tags=["health"], media_type="text/plain")
async def healthy() -> str:
    """Liveness: 200 while the process runs."""
    return "alive"


@get(
    "/-/ready",
    access=Access.PUBLIC,
    tags=["health"],
    responses={503: ResponseSpec(ServiceHealth, generate_examples=False, description="The relay is not ready.")},
)
async def ready(database: NamedDependency[Database]) -> Response[ServiceHealth]:
    """Readiness: 200 if the database responds with the schema of this release, otherwise 503."""
    return await _health(database, unready=503)


@get("/health", access=Access.PUBLIC, tags=["health"])
async def health(database: NamedDependency[Database]) -> Response[ServiceHealth]:
    """Health of the service and its database; always 200 while the process runs."""
    return await _health(database, unready=200)


@get("/metrics", access=Access.PUBLIC, tags=["health"], media_type=CONTENT_TYPE_LATEST)
async def metrics_page(metrics: NamedDependency[Metrics]) -> Response[bytes]:
    """The relay's own metrics, in Prometheus's text format."""
    # As a header: the framework adds a second charset to a media type, and Prometheus rejects that.
    headers = {"Content-Type": CONTENT_TYPE_LATEST}
    return Response(generate_latest(metrics.registry), media_type=CONTENT_TYPE_LATEST, headers=headers)


async def _health(database: Database, unready: int) -> Response[ServiceHealth]:
    body = await _service_health(database)
    return Response(body, status_code=200 if body.status == OK else unready)


async def _service_health(database: Database) -> ServiceHealth:
    try:
        async with asyncio.timeout(CONNECT_TIMEOUT):
            at = await migrations.current(database)
    except UNAVAILABLE:
        return ServiceHealth(DEGRADED, database=False, detail=database.outage())
    problem = migrations.schema_problem(at) or database.disk_problem()
    return ServiceHealth(OK if problem is None else DEGRADED, database=True, detail=problem)


HANDLERS: list[Any] = [healthy, ready, health, metrics_page]
