"""Run a server or a worker: start, serve until a signal, shut down in order."""

import asyncio
import gc
import os
import signal
import socket
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, Final, NamedTuple

import asyncpg
import msgspec
import structlog
import uvloop
from prometheus_client import start_http_server

from relay.app import BASE_PATH, Services, asgi_application, open_services, run_services
from relay.cli.data_dir import ensure_keys, write_address
from relay.cli.exposure import require_long_secrets, require_webhook_credential
from relay.cli.watch import watch_postgres
from relay.domain.errors import SettingsError
from relay.http.occupancy import Occupancy
from relay.http.server import UvicornServer
from relay.settings import Settings, http_url
from relay.store.configuration import channels
from relay.store.postgres import migrations
from relay.store.postgres.database import UNAVAILABLE, Database, error_message
from relay.store.postgres.embedded import EmbeddedPostgres
from relay.telemetry import Metrics, configure_logging

STOP_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
BACKLOG: Final = 1024
GARBAGE_THRESHOLD: Final = 20_000
"""New objects per collection; with the default of 700 the collector runs many times per batch."""


log = structlog.get_logger(__name__)


class Prepared(NamedTuple):
    """Settings complete with the database and its keys. `new_admin_key` is shown once.

    `postgres` is the embedded server, None with a database of the operator.
    """

    settings: Settings
    new_admin_key: str | None
    postgres: EmbeddedPostgres | None = None


def serve(settings: Settings, *, delivery: bool, migrate: bool) -> None:
    """Run the service in this process until SIGTERM or SIGINT.

    Raises:
        SettingsError: it can't start.
    """
    configure_logging(settings.log_format, settings.log_level)
    require_long_secrets(settings)
    with listening_socket(settings.host, settings.port) as listening, _prepare(settings) as prepared:
        _run(_serve(prepared, listening, delivery=delivery, migrate=migrate))


def work(settings: Settings, *, migrate: bool, metrics_port: int | None) -> None:
    """Run delivery without the HTTP API in this process until SIGTERM or SIGINT; with a port, serve /metrics.

    Raises:
        SettingsError: it can't start.
    """
    configure_logging(settings.log_format, settings.log_level)
    with _prepare(settings) as prepared:
        _run(_work(prepared, migrate=migrate, metrics_port=metrics_port))


async def _serve(prepared: Prepared, listening: socket.socket, *, delivery: bool, migrate: bool) -> None:
    settings = prepared.settings
    postgres = prepared.postgres
    async with open_services(settings, receive=True, deliver=delivery, disk=postgres) as services:
        await _migrate(services.database, migrate=migrate or postgres is not None)
        await require_webhook_credential(settings, services.database)
        await _report_unreadable_secrets(services)
        occupancy = Occupancy(settings.max_connections, services.metrics)
        server = UvicornServer(asgi_application(services), occupancy, settings.shutdown_timeout)
        stop = _stop_on_signals(postgres)
        listens_on = http_url(settings.host, listening.getsockname()[1])
        if postgres is not None:
            write_address(settings, listens_on)
        _print_banner(prepared, settings.external_url or listens_on)
        watching = None if postgres is None else watch_postgres(postgres)
        await run_services(services, stop, server.serve_until(stop, listening), watching=watching)


async def _work(prepared: Prepared, *, migrate: bool, metrics_port: int | None) -> None:
    settings = prepared.settings
    postgres = prepared.postgres
    async with open_services(settings, receive=False, deliver=True, disk=postgres) as services:
        await _migrate(services.database, migrate=migrate or postgres is not None)
        await _report_unreadable_secrets(services)
        with _metrics_page(settings.host, metrics_port, services.metrics):
            metrics = (
                "" if metrics_port is None else f", metrics on {http_url(settings.host, metrics_port)}/metrics"
            )
            print(f"Alert Relay worker started{metrics}", flush=True)
            watching = None if postgres is None else watch_postgres(postgres)
            await run_services(services, _stop_on_signals(postgres), watching=watching)


@contextmanager
def _metrics_page(host: str, port: int | None, metrics: Metrics) -> Iterator[None]:
    """Serve only the metrics."""
    if port is None:
        yield
        return
    try:
        server, thread = start_http_server(port, host, metrics.registry)
    except OSError as error:
        raise SettingsError(f"can't listen on {host} port {port}: {error.strerror or error}") from None
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _stop_on_signals(postgres: EmbeddedPostgres | None) -> asyncio.Event:
    """An event that the first signal sets; the second stops an embedded server and exits with status 1."""
    stop = asyncio.Event()

    def on_signal() -> None:
        if not stop.is_set():
            stop.set()
            return
        if postgres is not None:
            postgres.stop()
        os._exit(1)

    for number in STOP_SIGNALS:
        asyncio.get_running_loop().add_signal_handler(number, on_signal)
    return stop


def _handle_signals(handler: Callable[[int, Any], None] | signal.Handlers) -> None:
    """Handle the signals outside of the event loop."""
    for number in STOP_SIGNALS:
        signal.signal(number, handler)


def _exit_on_signal(number: int, _: Any) -> None:
    raise SystemExit(128 + number)


@contextmanager
def listening_socket(host: str, port: int) -> Iterator[socket.socket]:
    """A listening socket. It is opened first, so that a port in use fails before anything starts."""
    try:
        family, socket_type, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listening = socket.socket(family, socket_type, protocol)
    except OSError as error:
        raise SettingsError(f"can't listen on {host}: {error.strerror or error}") from None
    with listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind(address)
        except OSError as error:
            raise SettingsError(
                f"can't listen on {host} port {port}: {error.strerror}; choose another with --port or RELAY_PORT"
            ) from None
        listening.listen(BACKLOG)
        yield listening


@contextmanager
def _prepare(settings: Settings) -> Iterator[Prepared]:
    """Complete the settings; without a database URL, start the embedded Postgres."""
    if not settings.embedded:
        if settings.secret_key is None:
            raise SettingsError(
                "RELAY_SECRET_KEY is required with RELAY_DATABASE_URL; generate one with `relay secret`"
            )
        yield Prepared(settings, new_admin_key=None)
        return
    postgres = EmbeddedPostgres(settings.data_dir)
    # Otherwise SIGTERM or SIGHUP would end this process and leave Postgres running.
    _handle_signals(_exit_on_signal)
    try:
        postgres.start()
        keys = ensure_keys(settings)
        completed = msgspec.structs.replace(
            settings,
            database_url=postgres.url,
            secret_key=keys.secret_key,
            admin_key=keys.admin_key,
        )
        new_admin_key = keys.admin_key if keys.created else None
        yield Prepared(completed, new_admin_key=new_admin_key, postgres=postgres)
    finally:
        _handle_signals(signal.SIG_IGN)
        postgres.stop()


def _run(main: Coroutine[Any, Any, None]) -> None:
    # Imported modules are never garbage; freezing them spares the collector from scanning them.
    gc.collect()
    gc.freeze()
    gc.set_threshold(GARBAGE_THRESHOLD)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main)


async def _migrate(database: Database, *, migrate: bool) -> None:
    try:
        if migrate:
            await migrations.upgrade(database)
        await migrations.require_head(database)
    except (*UNAVAILABLE, asyncpg.PostgresError) as error:
        raise SettingsError(f"the database can't be used: {error_message(error)}") from None


async def _report_unreadable_secrets(services: Services) -> None:
    """Log in one line that channels can't be used because their secrets were sealed with another key."""
    async with services.database.begin() as connection:
        sealed = await channels.unreadable_ids(connection, services.seal)
    if sealed:
        log.error(
            "secrets_unreadable",
            channels=len(sealed),
            first=sealed[0],
            detail="RELAY_SECRET_KEY, or the file secret.key, is not the key that sealed them; "
            "start the relay with the right one, until then their deliveries wait",
        )


def _print_banner(prepared: Prepared, url: str) -> None:
    """Print the address, the new admin key, and the receiver for alertmanager.yml."""
    settings = prepared.settings
    lines = [f"Alert Relay listens on {url}"]
    if prepared.postgres is not None:
        new = ", new and empty" if prepared.postgres.created else ""
        lines.append(f"  database   embedded Postgres in {settings.data_dir}{new}")
    if prepared.new_admin_key is not None:
        lines.append(f"  admin key  {prepared.new_admin_key}   (shown once; stored in {settings.admin_key_file})")
    if settings.webhook_open and not settings.on_loopback:
        lines.append("  warning    RELAY_WEBHOOK_OPEN is set: anyone who can reach this port can post alerts")
    lines += ["", "In alertmanager.yml:", "", *_receiver(url, with_token=not settings.webhook_is_open), ""]
    print("\n".join(lines), flush=True)


def _receiver(url: str, *, with_token: bool) -> list[str]:
    lines = [
        "  receivers:",
        "    - name: alert-relay",
        "      webhook_configs:",
        f"        - url: {url}{BASE_PATH}/webhook",
        "          send_resolved: true",
    ]
    if with_token:
        lines += [
            "          http_config:",
            "            authorization:",
            "              credentials: <the value of RELAY_WEBHOOK_TOKEN, or an ingest key>",
        ]
    return lines
