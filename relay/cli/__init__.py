"""The `relay` command."""

import io
import os
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Final

from cyclopts import App, CycloptsError, Parameter

from relay.domain.errors import RelayError

USAGE: Final = 2
INTERRUPTED: Final = 130
"""The exit status of a program that Ctrl-C terminated: 128 + SIGINT."""
PIPE_CLOSED: Final = 141
"""The exit status of a program whose output pipe was closed: 128 + SIGPIPE."""


def run(arguments: Sequence[str] | None = None) -> None:
    """Run one command; expected errors are printed as one line on standard error.

    Exit codes: 0 success, 1 failure, 2 usage error.

    Args:
        arguments: the command line without the program's name; by default that of the process.
    """
    _prepare_streams()
    try:
        try:
            _app()(arguments)
        finally:
            sys.stdout.flush()
    except CycloptsError as error:
        print(_one_line(error), file=sys.stderr)
        sys.exit(USAGE)
    except RelayError as error:
        sys.exit(_one_line(error))
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except BrokenPipeError:
        _abandon_output()
        sys.exit(PIPE_CLOSED)
    except OSError as error:  # a full disk, a taken port
        _abandon_output()
        sys.exit(_one_line(error))


def _app() -> App:
    """The command tree. The module of a command is imported when it runs, which keeps --help fast."""
    app = App(
        name="relay",
        help="Durable alert delivery between Prometheus Alertmanager and people.",
        version=lambda: version("alert-relay"),
        help_format="plaintext",
        default_parameter=Parameter(negative_iterable=()),
        print_error=False,
        exit_on_error=False,
    )
    app.command(
        "relay.cli.serve:serve",
        name="serve",
        help="Run the relay: accept Alertmanager's webhooks, serve the API and deliver.",
    )
    app.command(
        "relay.cli.serve:worker",
        name="worker",
        help="Run delivery only, in addition to relays started with or without --no-delivery.",
    )
    app.command("relay.cli.channels:app", name="channels", help="Manage channels, the destinations of alerts.")
    app.command(
        "relay.cli.channel_templates:app",
        name="channel-templates",
        help="Manage channel templates, the starting points of channels.",
    )
    app.command(
        "relay.cli.message_templates:app",
        name="templates",
        help="Manage message templates, the texts of messages.",
    )
    _add_alert_commands(app)
    app.command("relay.cli.sources:app", name="sources", help="Show the sources of alerts and their senders.")
    app.command("relay.cli.keys:app", name="keys", help="Manage API keys: who may read, change or post what.")
    app.command("relay.cli.access:me", name="me", help="Show who you are to the relay, and what you may do.")
    app.command("relay.cli.access:audit", name="audit", help="List changes of the configuration.")
    app.command("relay.cli.db:app", name="db", help="Migrate the database and reseal its secrets.")
    app.command("relay.cli.settings:settings", name="settings", help="Show the effective settings.")
    app.command(
        "relay.cli.secret:secret", name="secret", help="Generate a key for RELAY_SECRET_KEY or for a webhook."
    )
    return app


def _add_alert_commands(app: App) -> None:
    """The commands about alerts and what is sent of them."""
    app.command("relay.cli.deliveries:app", name="deliveries", help="List and redeliver deliveries.")
    app.command(
        "relay.cli.silences:app", name="silence", help="Manage silences: alerts that are not sent for a time."
    )
    app.command(
        "relay.cli.route:route", name="route", help="Show which channels match an alert, and why others do not."
    )
    app.command("relay.cli.route:why", name="why", help="Show why an alert was, or was not, sent.")
    app.command("relay.cli.acknowledge:ack", name="ack", help="Acknowledge alerts: repeats are suppressed.")


def _prepare_streams() -> None:
    if sys.stdout is None:  # the process was started with stdout closed
        sys.stdout = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 - open until the process exits
    # Characters that the terminal's encoding lacks are printed as escapes instead of raising an error.
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _one_line(error: Exception) -> str:
    return f"relay: {' '.join(str(error).split())}"


def _abandon_output() -> None:
    # The interpreter flushes standard output at exit, and would report an error.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
