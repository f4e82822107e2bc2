"""What was sent, what waits and what is dead, and how is it sent again?"""

from typing import Annotated, Final, Literal

from cyclopts import App, Parameter
from cyclopts.validators import Number

from relay.cli.output import Output, show_item, show_items
from relay.cli.server import connect

COLUMNS = ("id", "channel_id", "state", "attempts", "created_at", "group_key", "last_reason", "last_error")
DEFAULT_LIMIT: Final = 50

DeliveryId = Annotated[int, Parameter(help="As `relay deliveries list` shows it.", validator=Number(gte=0))]
OfChannel = Annotated[str | None, Parameter(name="--channel-id", help="Only those of this channel.")]
Since = Annotated[str | None, Parameter(help="Only those made at this time or later: 2026-11-23T15:33:27Z.")]
Until = Annotated[str | None, Parameter(help="Only those made before this time.")]
AnyState = Annotated[
    Literal["pending", "sending", "delivered", "merged", "dead"] | None,
    Parameter(help="Only these."),
]
EndState = Annotated[Literal["dead", "delivered"] | None, Parameter(help="In which state; dead when left out.")]
AtMost = Annotated[int, Parameter(help="How many to show at most.", validator=Number(gte=1))]

app = App(name="deliveries", help="Deliveries: what was sent, waits or is dead.")


@app.command(name="list")
async def list_deliveries(
    *,
    channel_id: OfChannel = None,
    state: AnyState = None,
    since: Since = None,
    until: Until = None,
    limit: AtMost = DEFAULT_LIMIT,
    output: Output = "table",
) -> None:
    """List deliveries, the newest first."""
    wanted = _given(channel_id=channel_id, state=state, since=since, until=until)
    async with connect() as api:
        found = await api.pages("deliveries", at_most=limit, **wanted)
    show_items(found, COLUMNS, output)


@app.command
async def get(delivery_id: DeliveryId, /, *, output: Output = "table") -> None:
    """Show one delivery with its tries."""
    async with connect() as api:
        delivery = await api.get("deliveries", str(delivery_id))
    show_item(delivery, output)


@app.command
async def redeliver(delivery_id: DeliveryId, /, *, output: Output = "table") -> None:
    """Send one delivery again; one that waits is sent now."""
    async with connect() as api:
        delivery = await api.post("deliveries", str(delivery_id), "redeliver", body={})
    show_item(delivery, output)


@app.command
async def redeliver_all(
    *,
    channel_id: OfChannel = None,
    state: EndState = None,
    since: Since = None,
    until: Until = None,
    output: Output = "table",
) -> None:
    """Send all deliveries again that fit; when it says that there are more, run it once more."""
    wanted = _given(channel_id=channel_id, state=state, since=since, until=until)
    async with connect() as api:
        outcome = await api.post("deliveries", "redeliver", body=wanted)
    show_item(outcome, output)


def _given(**options: str | None) -> dict[str, str]:
    return {name: value for name, value in options.items() if value is not None}
