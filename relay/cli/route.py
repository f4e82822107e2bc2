"""`relay route` and `relay why`: which channels get an alert, and what became of one."""

from typing import Annotated, Any, Final

from cyclopts import Parameter
from cyclopts.validators import Number

from relay.cli.connection import connect
from relay.cli.output import Output, show_item, show_items, show_lines
from relay.domain.errors import InvalidInput

ROUTE_COLUMNS: Final = ("channel_id", "matched", "silenced", "reason")
CHANNEL_COLUMNS: Final = ("channel_id", "verdict", "detail")
WEBHOOK_COLUMNS: Final = ("received_at", "firing", "count", "verdict", "detail")

Labels = Annotated[
    str, Parameter(help="A label such as severity=critical; a first one without `=` is the value of alertname.")
]
AlertId = Annotated[int, Parameter(help="The id of an alert in the history.", validator=Number(gte=0))]


async def route(
    *labels: Labels,
    source: Annotated[str | None, Parameter(help="The source of the alert.")] = None,
    at: Annotated[
        str | None, Parameter(help="The time for which silences are evaluated, such as 2026-11-23T15:33:27Z.")
    ] = None,
    output: Output = "table",
) -> None:
    """Show which channels match an alert with these labels, and why the others do not. Nothing is sent."""
    body = {"labels": labels_of(labels), "source": source, "at": at}
    async with connect() as api:
        result = await api.post("route", body={name: value for name, value in body.items() if value is not None})
    if output == "json":
        return show_item(result, output)
    [alert] = result["alerts"]
    rows = [channel | {"silenced": _silences(channel)} for channel in alert["channels"]]
    return show_items(sorted(rows, key=lambda row: not row["matched"]), ROUTE_COLUMNS, output)


async def why(
    alert_id: AlertId,
    /,
    *,
    channel: Annotated[str | None, Parameter(help="The id of a channel, which may be deleted.")] = None,
    output: Output = "table",
) -> None:
    """Show why an alert was, or was not, sent to each channel, or to one with every webhook that reported it."""
    async with connect() as api:
        if channel is None:
            found = await api.get("history", str(alert_id))
        else:
            found = await api.get("history", str(alert_id), "why", channel=channel)
    if channel is None:
        show_items(found["channels"], CHANNEL_COLUMNS, output)
        if output == "table" and found["channels_omitted"]:
            show_lines([f"{found['channels_omitted']} more channels did not match"])
    elif output == "json":
        show_item(found, output)
    else:
        show_lines([f"{found['channel_name']}: {found['detail']}", ""])
        show_items(found["webhooks"], WEBHOOK_COLUMNS, output)


def labels_of(given: tuple[str, ...]) -> dict[str, str]:
    """The labels of `NAME=VALUE` texts; a first one without `=` is the value of alertname.

    Raises:
        InvalidInput: a text has no name, or there is none.
    """
    if not given:
        raise InvalidInput("", "give the labels of an alert, such as alertname=X severity=critical")
    first, *others = given
    texts = [first if "=" in first else f"alertname={first}", *others]
    labels: dict[str, str] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name or name[-1] in "!~" or value.startswith("~"):
            raise InvalidInput("", f"{text!r} is not a label; write it like severity=critical")
        labels[name] = value[1:-1] if len(value) > 1 and value[0] == value[-1] == '"' else value
    return labels


def _silences(channel: dict[str, Any]) -> str:
    """The silences that suppress an alert, each with its comment."""
    return ", ".join(
        f"{one['id']} ({one['comment']})" if one["comment"] else one["id"] for one in channel["suppressed_by"]
    )
