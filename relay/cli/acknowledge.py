"""`relay ack`: acknowledge alerts, and withdraw acknowledgements."""

from datetime import UTC, datetime
from typing import Annotated, Any

from cyclopts import Parameter
from cyclopts.validators import Number

from relay.cli.connection import connect
from relay.cli.output import Output, show_item
from relay.domain.acknowledgements import LONGEST
from relay.domain.durations import parse_duration
from relay.domain.errors import InvalidInput


async def ack(
    alert_id: Annotated[
        int | None, Parameter(help="The id of an alert, as the history has it.", validator=Number(gte=0))
    ] = None,
    /,
    *,
    group: Annotated[
        str | None, Parameter(help="The key of a group in place of an alert: all of its alerts that fire.")
    ] = None,
    source: Annotated[str | None, Parameter(help="The source of the group; without: all sources.")] = None,
    tenant_id: Annotated[str | None, Parameter(help="Only the group's alerts of this tenant.")] = None,
    comment: Annotated[str | None, Parameter(help="A note for others.")] = None,
    until: Annotated[str | None, Parameter(help="When it ends, such as 2026-11-23T18:00:00Z.")] = None,
    duration: Annotated[str | None, Parameter(name="--for", help="How long it lasts, such as 2h.")] = None,
    withdraw: Annotated[bool, Parameter(negative=(), help="End the acknowledgement.")] = False,
    output: Output = "table",
) -> None:
    """Acknowledge an alert or a group: their repeats are suppressed until the alerts end, or until a time."""
    selected = _given(group_key=group, source=source, tenant_id=tenant_id)
    body = _given(comment=comment, until=_until(until, duration))
    if (alert_id is None) == (group is None):
        raise InvalidInput("", "give either the id of an alert or --group")
    if group is None and selected:
        raise InvalidInput("", "--source and --tenant-id require --group")
    if withdraw and body:
        raise InvalidInput("--withdraw", "can't be given with --comment, --until or --for")
    async with connect() as api:
        path = ("groups", "acknowledge") if alert_id is None else ("history", str(alert_id), "acknowledge")
        if not withdraw:
            result = await api.post(*path, body=selected | body)
        else:
            result = await api.delete(*path, body=selected or None)
    if result:
        show_item(result, output)
    else:
        print(f"the alert {alert_id} is no longer acknowledged")


def _until(until: str | None, duration: str | None) -> str | None:
    if duration is None:
        return until
    if until is not None:
        raise InvalidInput("--for", "can't be given with --until")
    return (datetime.now(UTC) + parse_duration("--for", duration, LONGEST)).isoformat()


def _given(**options: str | None) -> dict[str, Any]:
    return {name: value for name, value in options.items() if value is not None}
