"""`relay settings`: show the effective settings."""

from relay.cli.output import Output, show_item
from relay.settings import load, masked_values


def settings(*, output: Output = "table") -> None:
    """Show the effective settings by environment variable, with secrets masked."""
    show_item(masked_values(load()), output)
