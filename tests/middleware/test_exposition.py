"""The metrics page."""

import gzip

import pytest
from fastapi import FastAPI
from litestar import Litestar, asgi
from prometheus_client import CollectorRegistry
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families as text
from starlette.applications import Starlette
from starlette.routing import Route

from relay.middleware import application_metrics, metrics_app, metrics_page, track_redis_error
from tests.middleware.driver import Application, call


def registry() -> CollectorRegistry:
    created = CollectorRegistry()
    track_redis_error("get", "acme", metrics=application_metrics(registry=created))
    return created


async def test_the_application_serves_the_requested_format() -> None:
    application = metrics_app(registry())

    plain = await call(application, "/metrics")
    open_metrics = await call(application, "/metrics", accept="application/openmetrics-text; version=1.0.0")

    assert plain.headers["Content-Type"].startswith("text/plain")
    assert open_metrics.headers["Content-Type"].startswith("application/openmetrics-text")
    for page, parse in ((plain, text), (open_metrics, openmetrics)):
        samples = [sample for family in parse(page.body.decode()) for sample in family.samples]
        values = {sample.name: sample.value for sample in samples}
        assert values["dotmac_redis_errors_total"] == 1


async def test_the_page_is_compressed_if_accepted() -> None:
    response = await call(metrics_app(registry()), "/metrics", accept_encoding="gzip")

    assert b"dotmac_redis_errors_total" in gzip.decompress(response.body)


@pytest.mark.parametrize("framework", ["fastapi", "starlette", "litestar"])
async def test_the_application_can_be_a_route(framework: str) -> None:
    page = metrics_app(registry())
    if framework == "litestar":
        application: Application = Litestar([asgi("/metrics", copy_scope=True)(page)], openapi_config=None)
    elif framework == "starlette":
        application = Starlette(routes=[Route("/metrics", page)])
    else:
        application = FastAPI()
        application.add_route("/metrics", page)

    response = await call(application, "/metrics")

    assert response.status == 200
    assert b"dotmac_redis_errors_total" in response.body


def test_the_function_returns_a_page_and_its_type() -> None:
    page, content_type = metrics_page(registry())

    assert b'dotmac_redis_errors_total{operation="get",tenant_id="acme"} 1.0' in page
    assert content_type.startswith("text/plain; version=")
