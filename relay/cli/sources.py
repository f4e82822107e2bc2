"""`relay sources`: show the sources of alerts and their senders."""

from typing import Annotated, Any

from cyclopts import App, Parameter
from cyclopts.validators import Number

from relay.cli.connection import connect
from relay.cli.output import Output, show_item, show_items
from relay.domain.errors import InvalidInput

COLUMNS = ("source", "external_url", "address", "last_seen_at", "stale_after")

SourceName = Annotated[str, Parameter(help="The name of a source; see `relay sources list`.")]
StaleAfter = Annotated[
    float | None,
    Parameter(help="Seconds without a report after which alerts of the source are stale.", validator=Number(gt=0)),
]

app = App(name="sources", help="Show the sources of alerts and their senders.")


@app.command(name="list")
async def list_sources(*, output: Output = "table") -> None:
    """List all sources with the Alertmanager processes that send their alerts."""
    async with connect() as api:
        sources = await api.pages("sources")
    if output == "table":
        sources = [row for source in sources for row in _rows(source)]
    show_items(sources, COLUMNS, output)


@app.command
async def get(name: SourceName, /, *, output: Output = "table") -> None:
    """Show a source and its senders."""
    async with connect() as api:
        source = await api.get("sources", name)
    if output == "json":
        show_item(source, output)
    else:
        show_items(_rows(source), COLUMNS, output)


@app.command
async def update(
    name: SourceName,
    /,
    *,
    stale_after: StaleAfter = None,
    clear: Annotated[bool, Parameter(help="Use RELAY_STALE_AFTER again.", negative=())] = False,
    output: Output = "table",
) -> None:
    """Set after what time without a report alerts of a source are stale."""
    if clear == (stale_after is not None):
        raise InvalidInput("", "give either --stale-after or --clear")
    async with connect() as api:
        source = await api.patch("sources", name, body={"stale_after": stale_after})
    if output == "json":
        show_item(source, output)
    else:
        show_items(_rows(source), COLUMNS, output)


def _rows(source: dict[str, Any]) -> list[dict[str, Any]]:
    """A row for each sender; one without a sender for a source that no webhook has named."""
    settings = {"source": source["name"], "stale_after": source["stale_after"]}
    return [settings | sender for sender in source["senders"]] or [settings]
