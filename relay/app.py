"""The composition root: settings → database → the application and delivery."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from datetime import timedelta
from importlib.metadata import version
from typing import Any, Final

import msgspec
from litestar import Litestar, Router
from litestar.datastructures import State
from litestar.di import Provide
from litestar.openapi.config import OpenAPIConfig
from litestar.openapi.spec import Components, SecurityScheme

from relay import gauges
from relay.api import errors, health
from relay.api.auth import require_admin
from relay.api.channel_templates import ChannelTemplatesController
from relay.api.channels import ChannelBody, ChannelBodySchema, ChannelPatch, ChannelsController
from relay.api.deliveries import DeliveriesController
from relay.api.history import HistoryController
from relay.api.pages import known_parameters
from relay.api.preview import PreviewController
from relay.api.route import RouteController
from relay.api.templates import TemplatesController
from relay.api.test import TestController
from relay.deliver.worker import Worker
from relay.middleware import MetricsMiddleware, application_metrics, litestar_exception
from relay.notify.sender import Sender
from relay.notify.transport.egress_policy import EgressPolicy
from relay.receive.webhook import receive_webhook
from relay.receive.writer import Writer
from relay.settings import Settings
from relay.store.configuration.seal import Seal
from relay.store.postgres.database import Database
from relay.store.postgres.listen import CONFIG_CHANNEL, WAKE_CHANNEL, RemoteWake, listen
from relay.telemetry import Metrics

BASE_PATH: Final = "/api/v1/monitoring/alerts"


class Services(msgspec.Struct, frozen=True):
    """What a process is made of."""

    settings: Settings
    database: Database
    seal: Seal
    egress_policy: EgressPolicy
    sender: Sender
    history_url: str
    metrics: Metrics
    writer: Writer | None
    worker: Worker | None


@asynccontextmanager
async def composed(settings: Settings, *, receive: bool, deliver: bool) -> AsyncIterator[Services]:
    """Put the parts together; at the end, close what they hold."""
    assert settings.database_url is not None
    assert settings.secret_key is not None
    database = Database(settings.database_url)
    egress_policy, metrics, seal = EgressPolicy(settings.allowed_targets), Metrics(), Seal(settings.secret_key)
    try:
        async with Sender(egress_policy, settings.send_timeout) as sender:
            history_url = f"{settings.base_url}{BASE_PATH}/history?delivery_id="
            worker = Worker(database, sender, seal, metrics, settings, history_url) if deliver else None
            wake = worker.wake if worker is not None else RemoteWake(database)
            repeat_after = timedelta(seconds=settings.repeat_after)
            writer = Writer(database, settings.tenant_label, repeat_after, metrics, wake) if receive else None
            yield Services(settings, database, seal, egress_policy, sender, history_url, metrics, writer, worker)
    finally:
        await database.close()


def served(services: Services) -> MetricsMiddleware:
    """The HTTP surface, with all that it answers counted: also what no route takes."""
    metrics = application_metrics("relay", services.metrics.registry, tracking=False)
    return MetricsMiddleware(application(services), metrics=metrics)


def application(services: Services) -> Litestar:
    """The HTTP surface over the parts."""
    admin = Router(
        BASE_PATH,
        route_handlers=[
            ChannelsController,
            ChannelTemplatesController,
            TemplatesController,
            TestController,
            RouteController,
            PreviewController,
            HistoryController,
            DeliveriesController,
        ],
        guards=[require_admin, known_parameters],
        security=[{"key": []}],
    )
    given = {name: getattr(services, name) for name in Services.__struct_fields__}
    return Litestar(
        [Router(BASE_PATH, route_handlers=[receive_webhook]), admin, *health.HANDLERS],
        dependencies={name: _provide(part) for name, part in given.items()},
        state=State(given),
        exception_handlers=errors.HANDLERS,
        after_exception=[litestar_exception],
        openapi_config=OpenAPIConfig(
            title="Alert Relay",
            version=version("alert-relay"),
            path="/schema",
            use_handler_docstrings=True,
            components=Components(security_schemes={"key": SecurityScheme(type="http", scheme="bearer")}),
        ),
        plugins=[ChannelBodySchema()],
        type_decoders=[(lambda kind: kind in (ChannelBody, ChannelPatch), ChannelBody.decode)],
        logging_config=None,
    )


async def run_parts(services: Services, stop: asyncio.Event, *serving: Coroutine[Any, Any, None]) -> None:
    """Run until `stop`, or until a part ends that never should: its error is then ours.

    `serving` ends by itself after `stop`; delivery ends after it, for what was accepted last may still go out.
    """
    feed: dict[str, Any] = {}
    background: list[Coroutine[Any, Any, None]] = []
    if services.writer is not None:
        feed[CONFIG_CHANNEL] = services.writer.config_changed
        background.append(services.writer.run())
    if services.worker is not None:
        feed[WAKE_CHANNEL] = services.worker.wake_all
        background.append(services.worker.run())
    background.append(listen(services.database, feed))
    background.append(gauges.run(services.database, services.metrics, services.settings.give_up_after))
    tasks = [asyncio.create_task(part) for part in background]
    front = [asyncio.create_task(part) for part in serving]
    stopping = asyncio.ensure_future(stop.wait())
    ends: set[asyncio.Future[Any]] = {*tasks, *front, stopping}
    try:
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        stop.set()
        await asyncio.gather(*front)
        for task in tasks:
            if task.done():
                task.result()
        if services.worker is not None:
            await services.worker.stop(services.settings.shutdown_timeout)
    finally:
        for end in ends:
            end.cancel()
        await asyncio.gather(*ends, return_exceptions=True)


def _provide(part: object) -> Provide:
    return Provide(lambda: part, use_cache=True, sync_to_thread=False)
