"""`relay silence`: manage silences, in the words of `amtool silence`."""

import sys
from typing import Annotated, Any, Final

from cyclopts import App, Parameter

from relay.cli.connection import connect
from relay.cli.output import Output, show_item, show_items
from relay.cli.silence_options import SilenceOptions, fields_of, matchers_of, written
from relay.domain.errors import InvalidInput

COLUMNS: Final = ("id", "state", "matchers", "starts_at", "ends_at", "created_by", "comment")
ALERT_COLUMNS: Final = ("id", "alertname", "starts_at", "ends_at", "channels", "labels")

Matchers = Annotated[
    str,
    Parameter(
        help='A matcher such as team=~"db|infra"; a first one without an operator is the value of alertname.'
    ),
]
SilenceId = Annotated[str, Parameter(help="The id of a silence; see `relay silence query`.")]

app = App(name="silence", help="Manage silences: alerts that are not sent for a time.")


@app.command
async def add(*matchers: Matchers, options: SilenceOptions | None = None, output: Output = "table") -> None:
    """Create a silence and print its id. It lasts an hour, unless --for, --end or --rrule say otherwise."""
    body = _new(matchers, options)
    async with connect() as api:
        created = await api.post("silences", body=body)
    _show_id(created, output)


@app.command
async def query(
    *matchers: Matchers,
    expired: Annotated[
        bool, Parameter(negative=(), help="Show expired silences in place of active and pending ones.")
    ] = False,
    created_by: Annotated[str | None, Parameter(help="Only silences of this author.")] = None,
    alert: Annotated[int | None, Parameter(help="Only silences whose matchers this alert meets, by id.")] = None,
    quiet: Annotated[bool, Parameter(name=("--quiet", "-q"), negative=(), help="Print the ids alone.")] = False,
    output: Output = "table",
) -> None:
    """List silences that have all of these matchers, written in the same way."""
    wanted: dict[str, Any] = {"state": ["expired"] if expired else ["active", "pending"]}
    if matchers:
        wanted["matcher"] = [written(one) for one in matchers_of(matchers)]
    if created_by is not None:
        wanted["created_by"] = created_by
    if alert is not None:
        wanted["alert_id"] = str(alert)
    async with connect() as api:
        found = await api.pages("silences", **wanted)
    if quiet:
        return print(*(one["id"] for one in found), sep="\n")
    return show_items([_summary(one, output) for one in found], COLUMNS, output)


@app.command
async def get(silence_id: SilenceId, /, *, output: Output = "table") -> None:
    """Show a silence."""
    async with connect() as api:
        found = await api.get("silences", silence_id)
    show_item(_summary(found, output), output)


@app.command
async def expire(*silence_ids: SilenceId) -> None:
    """End silences now."""
    _require_ids(silence_ids)
    async with connect() as api:
        for silence_id in silence_ids:
            await api.post("silences", silence_id, "expire", body={})
            print(f"the silence {silence_id} is expired")


@app.command
async def update(
    *silence_ids: SilenceId,
    matcher: Annotated[
        list[str] | None, Parameter(help="A matcher, which replaces all; repeatable. It makes a new silence.")
    ] = None,
    clear: Annotated[list[str] | None, Parameter(help="A field to reset to its default; repeatable.")] = None,
    options: SilenceOptions | None = None,
    output: Output = "table",
) -> None:
    """Update silences, and print their ids. A change that makes a new silence expires the earlier one.

    --for counts from --start, or else from now.
    """
    _require_ids(silence_ids)
    body = fields_of(options or SilenceOptions())
    if matcher:
        body["matchers"] = matchers_of(matcher)
    body |= {name.replace("-", "_"): None for name in clear or ()}
    if not body:
        raise InvalidInput("", "nothing to update; give an option, such as --for 2h")
    async with connect() as api:
        for silence_id in silence_ids:
            changed = await api.patch("silences", silence_id, body=body)
            if changed.get("replaces"):
                print(f"the silence {silence_id} is replaced by {changed['id']}", file=sys.stderr)
            _show_id(changed, output)


@app.command
async def preview(
    *matchers: Matchers,
    silence_id: Annotated[
        str | None, Parameter(name="--id", help="Preview this silence in place of a new one.")
    ] = None,
    options: SilenceOptions | None = None,
    output: Output = "table",
) -> None:
    """Show what a silence would silence now, and would have silenced in the last 7 days; nothing is created."""
    if (silence_id is None) is not bool(matchers):
        raise InvalidInput("", "give either matchers or --id")
    body = {"id": silence_id} if silence_id is not None else _new(matchers, options)
    async with connect() as api:
        found = await api.post("silences", "preview", body=body)
    if output == "json":
        return show_item(found, output)
    for name, title in (("now", "alerts firing now"), ("last_7_days", "alerts of the last 7 days")):
        part = found[name]
        more = "+" if part["truncated"] else ""
        print(f"{title}: {part['count']}{more}")
        if part["alerts"]:
            show_items(part["alerts"], ALERT_COLUMNS, output)
    return None


def _new(matchers: tuple[str, ...], options: SilenceOptions | None) -> dict[str, Any]:
    if not matchers:
        raise InvalidInput("", 'give a matcher, such as alertname=X or team=~"db|infra"')
    return {"matchers": matchers_of(matchers)} | fields_of(options or SilenceOptions(), is_new=True)


def _require_ids(silence_ids: tuple[str, ...]) -> None:
    if not silence_ids:
        raise InvalidInput("", "give the id of a silence; see `relay silence query`")


def _show_id(silence: dict[str, Any], output: str) -> None:
    if output == "json":
        return show_item(silence, output)
    return print(silence.get("id"))


def _summary(silence: dict[str, Any], output: str) -> dict[str, Any]:
    """The silence to show; in a table, its matchers are written as texts."""
    if output == "json" or not isinstance(silence.get("matchers"), list):
        return silence
    return silence | {"matchers": [written(one) for one in silence["matchers"]]}
