"""`relay templates`: manage message templates and their versions."""

from typing import Annotated, Any

from cyclopts import App, Parameter

from relay.cli.channel_options import from_file
from relay.cli.connection import connect
from relay.cli.output import Output, show_item, show_items
from relay.domain.errors import InvalidInput
from relay.domain.templates.message_templates import PARTS

COLUMNS = ("id", "name", "version", "updated_at", "parts", "description")
VERSIONS = ("version", "created_at", "name", "parts", "description")
FROM_FILE = "Use `-` for standard input, `@FILE` for a file."

MessageTemplateId = Annotated[str, Parameter(help="The id of a message template; see `relay templates list`.")]
Number = Annotated[int, Parameter(help="The number of a version; see `relay templates versions`.")]
Name = Annotated[str | None, Parameter(help="The display name.")]
Id = Annotated[str | None, Parameter(name="--id", help="The id; by default derived from the name.")]
Description = Annotated[str | None, Parameter(help="A description.")]
Title = Annotated[
    str | None, Parameter(help=f"The Jinja template of the headline. {FROM_FILE}", allow_leading_hyphen=True)
]
Body = Annotated[
    str | None,
    Parameter(help=f"The Jinja template of the text before the alerts. {FROM_FILE}", allow_leading_hyphen=True),
]
Alert = Annotated[
    str | None,
    Parameter(name="--alert", help=f"The Jinja template of each alert. {FROM_FILE}", allow_leading_hyphen=True),
]
Clear = Annotated[list[str] | None, Parameter(help="A part to reset to the built-in text; repeatable.")]

app = App(name="templates", help="Manage message templates, the texts of messages.")


@app.command(name="list")
async def list_templates(*, output: Output = "table") -> None:
    """List all message templates."""
    async with connect() as api:
        templates = await api.pages("templates")
    show_items([_summary(template, output) for template in templates], COLUMNS, output)


@app.command
async def get(template_id: MessageTemplateId, /, *, output: Output = "table") -> None:
    """Show a message template."""
    async with connect() as api:
        template = await api.get("templates", template_id)
    show_item(template, output)


@app.command
async def create(
    *,
    name: Annotated[str, Parameter(help="The display name.")],
    template_id: Id = None,
    description: Description = None,
    title: Title = None,
    body: Body = None,
    alert: Alert = None,
    output: Output = "table",
) -> None:
    """Create a message template. Omitted parts use the built-in text."""
    given = {"id": template_id, "name": name, "description": description}
    changes = _body(given, {"title": title, "body": body, "alert": alert})
    async with connect() as api:
        template = await api.post("templates", body=changes)
    show_item(template, output)


@app.command
async def update(
    template_id: MessageTemplateId,
    /,
    *,
    name: Name = None,
    description: Description = None,
    title: Title = None,
    body: Body = None,
    alert: Alert = None,
    clear: Clear = None,
    output: Output = "table",
) -> None:
    """Update a message template: only the given fields."""
    changes = _body({"name": name, "description": description}, {"title": title, "body": body, "alert": alert})
    for part in clear or ():
        if part not in PARTS:
            raise InvalidInput("--clear", f"must be one of {', '.join(PARTS)}")
        if part in changes:
            raise InvalidInput(f"--{part}", "can't be both set and cleared")
        changes[part] = None
    if not changes:
        raise InvalidInput("", "nothing to update; give an option, such as --title")
    async with connect() as api:
        template = await api.patch("templates", template_id, body=changes)
    show_item(template, output)


@app.command
async def versions(
    template_id: MessageTemplateId, number: Number | None = None, /, *, output: Output = "table"
) -> None:
    """List the versions of a message template, newest first; or show one version."""
    async with connect() as api:
        if number is not None:
            return show_item(await api.get("templates", template_id, "versions", str(number)), output)
        found = await api.pages("templates", template_id, "versions")
    return show_items([_summary(version, output) for version in found], VERSIONS, output)


@app.command
async def restore(template_id: MessageTemplateId, number: Number, /, *, output: Output = "table") -> None:
    """Restore a version as a new version."""
    async with connect() as api:
        template = await api.post("templates", template_id, "versions", str(number), "restore", body={})
    show_item(template, output)


@app.command
async def delete(template_id: MessageTemplateId, /) -> None:
    """Delete a message template and its versions. No channel may use it."""
    async with connect() as api:
        await api.delete("templates", template_id)
    print(f"the message template {template_id} is deleted")


def _body(given: dict[str, str | None], parts: dict[str, str | None]) -> dict[str, Any]:
    read = {name: None if text is None else from_file(f"--{name}", text) for name, text in parts.items()}
    return {name: value for name, value in {**given, **read}.items() if value is not None}


def _summary(template: dict[str, Any], output: str) -> dict[str, Any]:
    """The template to show; in a table, its parts are reduced to their names."""
    return template if output == "json" else {**template, "parts": [part for part in PARTS if template.get(part)]}
