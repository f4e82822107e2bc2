"""`relay serve` and `relay worker`."""

from typing import Annotated

from cyclopts import Parameter

from relay.settings import load

NoDelivery = Annotated[
    bool, Parameter(negative=(), show_default=False, help="Do not deliver; workers do (`relay worker`).")
]
Migrate = Annotated[bool, Parameter(negative=(), show_default=False, help="Upgrade the database's schema first.")]


def serve(
    *,
    host: Annotated[str | None, Parameter(help="The address to listen on, instead of RELAY_HOST.")] = None,
    port: Annotated[int | None, Parameter(help="The port to listen on, instead of RELAY_PORT.")] = None,
    no_delivery: NoDelivery = False,
    migrate: Migrate = False,
) -> None:
    """Run the relay: accept Alertmanager's webhooks, serve the API and deliver."""
    settings = load(host=host, port=port)
    from relay.cli import process  # imports uvicorn, Litestar and SQLAlchemy, which --help does not need

    process.serve(settings, delivery=not no_delivery, migrate=migrate)


def worker(
    *,
    migrate: Migrate = False,
    metrics_port: Annotated[
        int | None, Parameter(help="The port on RELAY_HOST that serves /metrics; by default none.")
    ] = None,
) -> None:
    """Run delivery only, in addition to relays started with or without --no-delivery."""
    settings = load()
    from relay.cli import process

    process.work(settings, migrate=migrate, metrics_port=metrics_port)
