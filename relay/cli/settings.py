"""Which settings are in force?"""

from relay.cli.output import Output, show_item
from relay.settings import load, masked_values


def settings(*, output: Output = "table") -> None:
    """Show the settings in force, by their environment variables, secrets masked."""
    show_item(masked_values(load()), output)
