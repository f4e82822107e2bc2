"""Which message templates are there, what did they say, and how are they changed?"""

from typing import Annotated, Any

from cyclopts import App, Parameter

from relay.cli.channel_options import from_file
from relay.cli.output import Output, show_item, show_items
from relay.cli.server import connect
from relay.domain.errors import InvalidInput
from relay.domain.templates.message_templates import PARTS

COLUMNS = ("id", "name", "version", "updated_at", "parts", "description")
VERSIONS = ("version", "created_at", "name", "parts", "description")
FROM_FILE = "`-` reads it from standard input, `@FILE` from a file."

MessageTemplateId = Annotated[str, Parameter(help="A message template, as `relay templates list` shows it.")]
Number = Annotated[int, Parameter(help="A version, as `relay templates versions` shows it.")]
Name = Annotated[str | None, Parameter(help="What people call it.")]
Id = Annotated[str | None, Parameter(name="--id", help="Its slug; made from the name when left out.")]
Description = Annotated[str | None, Parameter(help="What it is for.")]
Title = Annotated[str | None, Parameter(help=f"Jinja for the headline. {FROM_FILE}", allow_leading_hyphen=True)]
Body = Annotated[
    str | None, Parameter(help=f"Jinja for what stands before the alerts. {FROM_FILE}", allow_leading_hyphen=True)
]
Alert = Annotated[
    str | None, Parameter(name="--alert", help=f"Jinja for each alert. {FROM_FILE}", allow_leading_hyphen=True)
]
Clear = Annotated[
    list[str] | None, Parameter(help="A part to leave to the relay's own words; repeat it for more.")
]

app = App(name="templates", help="Message templates: how channels tell alerts.")


@app.command(name="list")
async def list_templates(*, output: Output = "table") -> None:
    """List all templates."""
    async with connect() as api:
        templates = await api.pages("templates")
    show_items([_told(one, output) for one in templates], COLUMNS, output)


@app.command
async def get(template_id: MessageTemplateId, /, *, output: Output = "table") -> None:
    """Show one template."""
    async with connect() as api:
        template = await api.get("templates", template_id)
    show_item(template, output)


@app.command
async def create(
    *,
    name: Annotated[str, Parameter(help="What people call it.")],
    template_id: Id = None,
    description: Description = None,
    title: Title = None,
    body: Body = None,
    alert: Alert = None,
    output: Output = "table",
) -> None:
    """Add a template; parts left out keep the relay's own words."""
    given = {"id": template_id, "name": name, "description": description}
    sent = _sent(given, {"title": title, "body": body, "alert": alert})
    async with connect() as api:
        template = await api.post("templates", body=sent)
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
    """Change a template: the fields given, and nothing else."""
    sent = _sent({"name": name, "description": description}, {"title": title, "body": body, "alert": alert})
    for part in clear or ():
        if part not in PARTS:
            raise InvalidInput("--clear", f"must be one of {', '.join(PARTS)}")
        if part in sent:
            raise InvalidInput(f"--{part}", "is both given and cleared")
        sent[part] = None
    if not sent:
        raise InvalidInput("", "there is nothing to change; give an option, such as --title")
    async with connect() as api:
        template = await api.patch("templates", template_id, body=sent)
    show_item(template, output)


@app.command
async def versions(
    template_id: MessageTemplateId, number: Number | None = None, /, *, output: Output = "table"
) -> None:
    """List all that a template ever said, the newest first; or show one version."""
    async with connect() as api:
        if number is not None:
            return show_item(await api.get("templates", template_id, "versions", str(number)), output)
        found = await api.pages("templates", template_id, "versions")
    return show_items([_told(one, output) for one in found], VERSIONS, output)


@app.command
async def restore(template_id: MessageTemplateId, number: Number, /, *, output: Output = "table") -> None:
    """Say again what a version said, as a new version."""
    async with connect() as api:
        template = await api.post("templates", template_id, "versions", str(number), "restore", body={})
    show_item(template, output)


@app.command
async def delete(template_id: MessageTemplateId, /) -> None:
    """Delete a template and its versions; channels must name it no more."""
    async with connect() as api:
        await api.delete("templates", template_id)
    print(f"the message template {template_id} is deleted")


def _sent(given: dict[str, str | None], parts: dict[str, str | None]) -> dict[str, Any]:
    read = {name: None if text is None else from_file(f"--{name}", text) for name, text in parts.items()}
    return {name: value for name, value in {**given, **read}.items() if value is not None}


def _told(template: dict[str, Any], output: str) -> dict[str, Any]:
    """A template as a table has room for it: which parts it has."""
    return template if output == "json" else {**template, "parts": [one for one in PARTS if template.get(one)]}
