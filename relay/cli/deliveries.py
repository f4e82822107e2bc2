"""`relay deliveries`: list and redeliver deliveries."""

from typing import Annotated, Final, Literal

from cyclopts import App, Parameter
from cyclopts.validators import Number

from relay.cli.connection import connect
from relay.cli.output import Output, show_item, show_items

COLUMNS = ("id", "channel_id", "state", "attempt_count", "created_at", "group_key", "last_reason", "last_error")
DEFAULT_LIMIT: Final = 50

DeliveryId = Annotated[
    int, Parameter(help="The id of a delivery; see `relay deliveries list`.", validator=Number(gte=0))
]
OfChannel = Annotated[str | None, Parameter(name="--channel-id", help="Only deliveries of this channel.")]
OfSource = Annotated[str | None, Parameter(name="--source", help="Only deliveries of this source.")]
Since = Annotated[
    str | None, Parameter(help="Only deliveries created at this time or later: 2026-11-23T15:33:27Z.")
]
Until = Annotated[str | None, Parameter(help="Only deliveries created before this time.")]
AnyState = Annotated[
    Literal["pending", "sending", "delivered", "merged", "suppressed", "dead"] | None,
    Parameter(help="Only deliveries in this state."),
]
EndState = Annotated[
    Literal["dead", "delivered", "suppressed"] | None,
    Parameter(help="Only deliveries in this state; by default dead."),
]
AtMost = Annotated[int, Parameter(help="The maximum number of deliveries to show.", validator=Number(gte=1))]

app = App(name="deliveries", help="List and redeliver deliveries.")


@app.command(name="list")
async def list_deliveries(
    *,
    channel_id: OfChannel = None,
    state: AnyState = None,
    source: OfSource = None,
    since: Since = None,
    until: Until = None,
    limit: AtMost = DEFAULT_LIMIT,
    output: Output = "table",
) -> None:
    """List deliveries, newest first."""
    wanted = _given(channel_id=channel_id, state=state, source=source, since=since, until=until)
    async with connect() as api:
        found = await api.pages("deliveries", at_most=limit, **wanted)
    show_items(found, COLUMNS, output)


@app.command
async def get(delivery_id: DeliveryId, /, *, output: Output = "table") -> None:
    """Show a delivery with its attempts."""
    async with connect() as api:
        delivery = await api.get("deliveries", str(delivery_id))
    show_item(delivery, output)


@app.command
async def redeliver(delivery_id: DeliveryId, /, *, output: Output = "table") -> None:
    """Redeliver a dead, delivered or suppressed delivery; a pending one is sent immediately."""
    async with connect() as api:
        delivery = await api.post("deliveries", str(delivery_id), "redeliver", body={})
    show_item(delivery, output)


@app.command
async def redeliver_all(
    *,
    channel_id: OfChannel = None,
    source: OfSource = None,
    state: EndState = None,
    since: Since = None,
    until: Until = None,
    output: Output = "table",
) -> None:
    """Redeliver all deliveries that match. If the result has `more`, run the command again."""
    wanted = _given(channel_id=channel_id, source=source, state=state, since=since, until=until)
    async with connect() as api:
        outcome = await api.post("deliveries", "redeliver", body=wanted)
    show_item(outcome, output)


def _given(**options: str | None) -> dict[str, str]:
    return {name: value for name, value in options.items() if value is not None}
