"""`relay me` and `relay audit`: who one is, and who changed what."""

from typing import Annotated, Any, Final

from cyclopts import Parameter

from relay.cli.connection import connect
from relay.cli.output import Output, show_item, show_items
from relay.domain.channels import MASK

COLUMNS: Final = ("at", "author_name", "action", "kind", "object_id", "changes")
MAX_VALUE: Final = 40
"""Characters of a value in the table."""


async def me(*, output: Output = "table") -> None:
    """Show who you are to the relay, and what you may do."""
    async with connect() as api:
        found = await api.get("me")
    show_item(found if output == "json" else with_all_tenants(found), output)


async def audit(
    *,
    kind: Annotated[
        str | None,
        Parameter(help="channel, channel_template, message_template, key, source, silence or acknowledgement."),
    ] = None,
    object_id: Annotated[str | None, Parameter(help="The id of a channel, a template, a key or an alert.")] = None,
    action: Annotated[str | None, Parameter(help="Such as created, updated, deleted, rotated or revoked.")] = None,
    author: Annotated[str | None, Parameter(help="An identity; see the JSON output.")] = None,
    tenant_id: Annotated[str | None, Parameter(help="The tenant of the objects.")] = None,
    since: Annotated[str | None, Parameter(help="The earliest time, such as 2026-11-23T00:00:00Z.")] = None,
    until: Annotated[str | None, Parameter(help="The time before which changes were made.")] = None,
    limit: Annotated[int, Parameter(help="How many changes at most.")] = 50,
    output: Output = "table",
) -> None:
    """List changes of the configuration, newest first."""
    given = {
        "kind": kind,
        "object_id": object_id,
        "action": action,
        "author": author,
        "tenant_id": tenant_id,
        "since": since,
        "until": until,
    }
    async with connect() as api:
        entries = await api.pages(
            "audit", at_most=limit, **{name: value for name, value in given.items() if value is not None}
        )
    show_changes(entries, COLUMNS, output)


def with_all_tenants(item: dict[str, Any]) -> dict[str, Any]:
    """A principal or a key for a table, in which no value would look like no tenants."""
    return item | {"tenants": item["tenants"] or "all"}


def show_changes(entries: list[dict[str, Any]], columns: tuple[str, ...], output: str) -> None:
    """Print changes, with the fields of each in one cell."""
    if output == "table":
        entries = [entry | {"changes": _summary(entry["changes"])} for entry in entries]
    show_items(entries, columns, output)


def _summary(changes: dict[str, dict[str, Any]]) -> str:
    shown = {name: (_short(change["before"]), _short(change["after"])) for name, change in changes.items()}
    return ", ".join(
        f"{name}: {before} → {after}"
        for name, (before, after) in shown.items()
        if before != after or before == MASK
    )


def _short(value: Any) -> str:
    text = "-" if value in (None, "", [], {}) else str(value)
    return text if len(text) <= MAX_VALUE else text[: MAX_VALUE - 1] + "…"
