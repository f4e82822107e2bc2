"""How is a relay started: whole, without its delivery, or as its delivery alone?"""

from typing import Annotated

from cyclopts import Parameter

from relay.settings import load

NoDelivery = Annotated[
    bool, Parameter(negative=(), show_default=False, help="Leave the delivery to `relay worker`.")
]
Migrate = Annotated[
    bool, Parameter(negative=(), show_default=False, help="Bring the database's schema up to date first.")
]


def serve(
    *,
    host: Annotated[str | None, Parameter(help="The address to listen on, instead of RELAY_HOST.")] = None,
    port: Annotated[int | None, Parameter(help="The port to listen on, instead of RELAY_PORT.")] = None,
    no_delivery: NoDelivery = False,
    migrate: Migrate = False,
) -> None:
    """Run the relay: accept Alertmanager's webhooks, serve the API, deliver."""
    settings = load(host=host, port=port)
    from relay.cli import process  # uvicorn, Litestar and SQLAlchemy: --help does without

    process.serve(settings, delivery=not no_delivery, migrate=migrate)


def worker(
    *,
    migrate: Migrate = False,
    metrics_port: Annotated[
        int | None, Parameter(help="Serve /metrics on this port of RELAY_HOST; otherwise it listens nowhere.")
    ] = None,
) -> None:
    """Run the delivery alone, beside a relay that was started with --no-delivery, or to share its work."""
    settings = load()
    from relay.cli import process

    process.work(settings, migrate=migrate, metrics_port=metrics_port)
