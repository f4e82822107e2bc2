"""How does a person, or a script, work the relay from a shell?"""

import io
import os
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Final

from cyclopts import App, CycloptsError, Parameter

from relay.domain.errors import RelayError

USAGE: Final = 2
INTERRUPTED: Final = 130
"""What a shell reports of a program that Ctrl-C ended: 128 + SIGINT."""
PIPE_CLOSED: Final = 141
"""What a shell reports of a program whose reader left: 128 + SIGPIPE."""


def run() -> None:
    """Run one command; an error that is to be expected is one line on standard error.

    Exit codes: 0 done, 1 refused or failed, 2 the command line is wrong.
    """
    _prepare_streams()
    try:
        try:
            _app()()
        finally:
            sys.stdout.flush()
    except CycloptsError as error:
        print(_line(error), file=sys.stderr)
        sys.exit(USAGE)
    except RelayError as error:
        sys.exit(_line(error))
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except BrokenPipeError:
        _abandon_output()
        sys.exit(PIPE_CLOSED)
    except OSError as error:  # a full disk, a taken port
        _abandon_output()
        sys.exit(_line(error))


def _app() -> App:
    """The command tree; a command's module is imported when it is called, so that --help is quick."""
    app = App(
        name="relay",
        help="Durable alert delivery between Prometheus Alertmanager and people.",
        version=lambda: version("alert-relay"),
        help_format="plaintext",
        default_parameter=Parameter(negative_iterable=()),
        print_error=False,
        exit_on_error=False,
    )
    app.command("relay.cli.serve:serve", name="serve", help="Run the relay: the API and the delivery.")
    app.command("relay.cli.serve:worker", name="worker", help="Run the delivery alone.")
    app.command("relay.cli.channels:app", name="channels", help="Channels: where alerts go.")
    app.command(
        "relay.cli.channel_templates:app", name="channel-templates", help="Channel templates: starting points."
    )
    app.command("relay.cli.templates:app", name="templates", help="Message templates: how channels tell alerts.")
    app.command("relay.cli.deliveries:app", name="deliveries", help="Deliveries: what was sent, waits or is dead.")
    app.command("relay.cli.keys:app", name="keys", help="API keys, directly in the database.")
    app.command("relay.cli.db:app", name="db", help="The database's schema, and its sealing key.")
    app.command("relay.cli.settings:settings", name="settings", help="Show the settings in force.")
    app.command(
        "relay.cli.secret:secret", name="secret", help="Print a new key for RELAY_SECRET_KEY, or for a webhook."
    )
    return app


def _prepare_streams() -> None:
    if sys.stdout is None:  # started with it closed
        sys.stdout = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 - for the whole process
    # A terminal that can't show a character shows its escape, instead of ending the command.
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _line(error: Exception) -> str:
    return f"relay: {' '.join(str(error).split())}"


def _abandon_output() -> None:
    # The interpreter flushes standard output once more at its end, and would complain.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
