"""The composition root: from settings to the database, the HTTP application and delivery."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from functools import cache
from importlib.metadata import version
from typing import Any, Final

import msgspec
from litestar import Litestar, Request, Router
from litestar.di import Provide
from litestar.openapi.config import OpenAPIConfig
from litestar.openapi.spec import Components, SecurityScheme

from relay import gauges
from relay.access.authentication import (
    Authenticator,
    authentication,
    author_of,
    principal_of,
    require_declarations,
)
from relay.access.key_reader import KeyReader
from relay.access.tokens import token_verifier
from relay.api import errors, health
from relay.api.acknowledgements import AlertAcknowledgementController, GroupAcknowledgementsController
from relay.api.audit import AuditController
from relay.api.channel_bodies import ChannelBody, ChannelBodySchema, ChannelPatch
from relay.api.channel_templates import ChannelTemplatesController
from relay.api.channel_versions import ChannelVersionsController
from relay.api.channels import ChannelsController
from relay.api.deliveries import DeliveriesController
from relay.api.history import HistoryController
from relay.api.keys import KeysController, me
from relay.api.media_types import require_json
from relay.api.message_templates import MessageTemplatesController
from relay.api.openapi import document_problems
from relay.api.options import answer_options
from relay.api.pages import reject_unknown_parameters
from relay.api.preview import PreviewController
from relay.api.route import RouteController
from relay.api.schema_page import SchemaPage, schema_router
from relay.api.silences import SilencesController
from relay.api.sources import SourcesController
from relay.api.test import TestController
from relay.api.webhook_schema import WebhookOperation
from relay.deliver.worker import Worker
from relay.domain.severities import extend_table, parse_table
from relay.http.headers import Application, ResponseHeaders
from relay.middleware import MetricsMiddleware, application_metrics, litestar_exception
from relay.notify.sender import Sender
from relay.notify.transport.egress_policy import EgressPolicy
from relay.notify.transport.proxy import ProxySettings
from relay.operations.context import OperationContext
from relay.receive.key_limits import KeyLimits
from relay.receive.webhook import receive_webhook
from relay.receive.writer import Writer
from relay.settings import Settings
from relay.store.configuration.quotas import Caller
from relay.store.configuration.seal import Seal
from relay.store.postgres import migrations
from relay.store.postgres.database import Database, Disk
from relay.store.postgres.listen import CONFIG_CHANNEL, WAKE_CHANNEL, RemoteWake, listen
from relay.telemetry import Metrics

BASE_PATH: Final = "/api/v1/monitoring/alerts"


class Services(msgspec.Struct, frozen=True):
    """The services of a process; request handlers get them injected by name."""

    settings: Settings
    database: Database
    seal: Seal
    egress_policy: EgressPolicy
    sender: Sender
    history_url: str
    metrics: Metrics
    keys: KeyReader
    key_limits: KeyLimits
    authenticator: Authenticator
    writer: Writer | None
    worker: Worker | None


@asynccontextmanager
async def open_services(
    settings: Settings,
    *,
    receive: bool,
    deliver: bool,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
    disk: Disk | None = None,
) -> AsyncIterator[Services]:
    """Create the services of a process, and close them at the end of the block.

    `now` is the clock of webhooks and silences. `disk` is that of an embedded Postgres.
    """
    assert settings.database_url is not None
    assert settings.secret_key is not None
    extend_table(parse_table(settings.severities))
    database = Database(settings.database_url, migrations.find_problem, disk)
    keys = KeyReader(database)
    egress_policy, metrics, seal = EgressPolicy(settings.allowed_targets), Metrics(), Seal(settings.secret_key)
    proxies = ProxySettings(settings.proxy, settings.no_proxy)
    tokens = token_verifier(settings, egress_policy, proxies)
    try:
        async with Sender(egress_policy, settings.send_timeout, proxies=proxies) as sender:
            history_url = f"{settings.base_url}{BASE_PATH}/history?delivery_id="
            worker = Worker(database, sender, seal, metrics, settings, history_url, now) if deliver else None
            wake = worker.wake if worker is not None else RemoteWake(database)
            repeat_after = timedelta(seconds=settings.repeat_after)
            writer = (
                Writer(database, settings.tenant_label, repeat_after, settings.stale_after, metrics, wake, now)
                if receive
                else None
            )
            yield Services(
                settings=settings,
                database=database,
                seal=seal,
                egress_policy=egress_policy,
                sender=sender,
                history_url=history_url,
                metrics=metrics,
                keys=keys,
                key_limits=KeyLimits(settings.ingest_rate),
                authenticator=Authenticator(settings, keys, tokens),
                writer=writer,
                worker=worker,
            )
    finally:
        if tokens is not None:
            await tokens.close()
        await keys.close()
        await database.close()


def asgi_application(services: Services) -> ResponseHeaders:
    """The HTTP application inside the metrics middleware, which also counts responses without a route."""
    metrics = application_metrics("relay", services.metrics.registry, tracking=False)
    return ResponseHeaders(MetricsMiddleware(_with_services(services), metrics=metrics))


def _with_services(services: Services) -> Application:
    """The Litestar application, whose requests get the services as their state."""
    application = create_application()
    by_name = {name: getattr(services, name) for name in Services.__struct_fields__}
    by_name["operations"] = _operation_context(services)

    async def handle(scope: Any, receive: Any, send: Any) -> None:
        scope["state"] = {**scope.get("state", {}), **by_name}
        await application(scope, receive, send)

    return handle


API: Final[list[Any]] = [
    ChannelsController,
    ChannelVersionsController,
    ChannelTemplatesController,
    MessageTemplatesController,
    TestController,
    RouteController,
    PreviewController,
    HistoryController,
    AlertAcknowledgementController,
    GroupAcknowledgementsController,
    DeliveriesController,
    SourcesController,
    SilencesController,
    KeysController,
    AuditController,
    me,
]


INJECTED: Final = ("database", "egress_policy", "metrics", "operations", "seal")
"""The services that request handlers declare as dependencies."""


@cache
def create_application() -> Litestar:
    """The Litestar application. It is built once in a process, and has no state: see `_with_services`."""
    admin = Router(
        BASE_PATH,
        route_handlers=API,
        guards=[reject_unknown_parameters, require_json],
        before_request=answer_options,
        security=[{"key": []}],
    )
    application = Litestar(
        [Router(BASE_PATH, route_handlers=[receive_webhook]), admin, *health.HANDLERS],
        dependencies={name: _provide(name) for name in INJECTED}
        | {
            "principal": Provide(principal_of, sync_to_thread=False),
            "caller": Provide(caller_of, sync_to_thread=False),
        },
        middleware=[authentication],
        exception_handlers=errors.HANDLERS,
        after_exception=[litestar_exception],
        openapi_config=OpenAPIConfig(
            title="Alert Relay",
            version=version("alert-relay"),
            render_plugins=[SchemaPage()],
            openapi_router=schema_router(),
            use_handler_docstrings=True,
            components=Components(security_schemes={"key": SecurityScheme(type="http", scheme="bearer")}),
        ),
        plugins=[ChannelBodySchema()],
        type_decoders=[(lambda body_type: body_type in (ChannelBody, ChannelPatch), ChannelBody.decode)],
        logging_config=None,
    )
    require_declarations(application.routes)
    document_problems(application, raw={"receive_webhook": WebhookOperation})
    return application


async def run_services(
    services: Services,
    stop: asyncio.Event,
    *serving: Coroutine[Any, Any, None],
    watching: Coroutine[Any, Any, None] | None = None,
) -> None:
    """Run until `stop` is set, or until a background task ends, whose error is raised; `watching` is one of these.

    `serving` ends after `stop` without being canceled. Delivery stops last, to send what was accepted last.
    """
    handlers: dict[str, Any] = {}
    background: list[Coroutine[Any, Any, None]] = [] if watching is None else [watching]
    if services.writer is not None:
        handlers[CONFIG_CHANNEL] = services.writer.config_changed
        background.append(services.writer.run())
    if services.worker is not None:
        handlers[WAKE_CHANNEL] = services.worker.wake_all
        background.append(services.worker.run())
    background.append(listen(services.database, handlers))
    background.append(gauges.run(services.database, services.metrics, services.settings.give_up_after))
    tasks = [asyncio.create_task(coroutine) for coroutine in background]
    servers = [asyncio.create_task(coroutine) for coroutine in serving]
    stopping = asyncio.ensure_future(stop.wait())
    all_tasks: set[asyncio.Future[Any]] = {*tasks, *servers, stopping}
    try:
        await asyncio.wait(all_tasks, return_when=asyncio.FIRST_COMPLETED)
        stop.set()
        await asyncio.gather(*servers)
        for task in tasks:
            if task.done():
                task.result()
        if services.worker is not None:
            await services.worker.stop(services.settings.shutdown_timeout)
    finally:
        for future in all_tasks:
            future.cancel()
        await asyncio.gather(*all_tasks, return_exceptions=True)


def caller_of(request: Request[Any, Any, Any]) -> Caller:
    """Dependency: who makes a change, for whose objects, and the quotas of tenants."""
    settings: Settings = request.state.settings
    return Caller(
        author=author_of(request),
        tenants=principal_of(request).tenants,
        max_channels=settings.tenant_max_channels,
        max_templates=settings.tenant_max_templates,
        max_silences=settings.tenant_max_silences,
    )


def _operation_context(services: Services) -> OperationContext:
    return OperationContext(
        database=services.database,
        seal=services.seal,
        egress_policy=services.egress_policy,
        sender=services.sender,
        tenant_label=services.settings.tenant_label,
        history_url=services.history_url,
    )


def _provide(name: str) -> Provide:
    def service(request: Request[Any, Any, Any]) -> Any:
        return request.state[name]

    return Provide(service, sync_to_thread=False)
