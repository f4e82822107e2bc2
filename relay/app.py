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
from relay.deliver import watch
from relay.deliver.worker import Worker
from relay.middleware import MetricsMiddleware, application_metrics, litestar_exception
from relay.notify.targets import Targets
from relay.notify.transport import Transport
from relay.receive.webhook import receive_webhook
from relay.receive.writer import Writer
from relay.settings import Settings
from relay.store.config import CONFIG_CHANNEL, WAKE_CHANNEL, RemoteWake, listen
from relay.store.database import Database
from relay.store.seal import Seal
from relay.telemetry import Metrics

BASE_PATH: Final = "/api/v1/monitoring/alerts"


class Parts(msgspec.Struct, frozen=True):
    """What a process is made of."""

    settings: Settings
    database: Database
    seal: Seal
    targets: Targets
    transport: Transport
    history_url: str
    metrics: Metrics
    writer: Writer | None
    worker: Worker | None


@asynccontextmanager
async def composed(settings: Settings, *, receive: bool, deliver: bool) -> AsyncIterator[Parts]:
    """Put the parts together; at the end, close what they hold."""
    assert settings.database_url is not None
    assert settings.secret_key is not None
    database = Database(settings.database_url)
    targets, metrics, seal = Targets(settings.allowed_targets), Metrics(), Seal(settings.secret_key)
    try:
        async with Transport(targets, settings.send_timeout) as transport:
            history_url = f"{settings.reached_at}{BASE_PATH}/history?delivery_id="
            worker = Worker(database, transport, seal, metrics, settings, history_url) if deliver else None
            wake = worker.wake if worker is not None else RemoteWake(database)
            repeat_after = timedelta(seconds=settings.repeat_after)
            writer = Writer(database, settings.tenant_label, repeat_after, metrics, wake) if receive else None
            yield Parts(settings, database, seal, targets, transport, history_url, metrics, writer, worker)
    finally:
        await database.close()


def served(parts: Parts) -> MetricsMiddleware:
    """The HTTP surface, with all that it answers counted: also what no route takes."""
    metrics = application_metrics("relay", parts.metrics.registry, tracking=False)
    return MetricsMiddleware(application(parts), metrics=metrics)


def application(parts: Parts) -> Litestar:
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
    given = {name: getattr(parts, name) for name in Parts.__struct_fields__}
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


async def run_parts(parts: Parts, stop: asyncio.Event, *serving: Coroutine[Any, Any, None]) -> None:
    """Run until `stop`, or until a part ends that never should: its error is then ours.

    `serving` ends by itself after `stop`; delivery ends after it, for what was accepted last may still go out.
    """
    feed: dict[str, Any] = {}
    background: list[Coroutine[Any, Any, None]] = []
    if parts.writer is not None:
        feed[CONFIG_CHANNEL] = parts.writer.config_changed
        background.append(parts.writer.run())
    if parts.worker is not None:
        feed[WAKE_CHANNEL] = parts.worker.wake_all
        background.append(parts.worker.run())
    background.append(listen(parts.database, feed))
    background.append(watch.run(parts.database, parts.metrics, parts.settings.give_up_after))
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
        if parts.worker is not None:
            await parts.worker.stop(parts.settings.shutdown_timeout)
    finally:
        for end in ends:
            end.cancel()
        await asyncio.gather(*ends, return_exceptions=True)


def _provide(part: object) -> Provide:
    return Provide(lambda: part, use_cache=True, sync_to_thread=False)
