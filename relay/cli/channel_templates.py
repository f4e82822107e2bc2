"""`relay channel-templates`: manage channel templates."""

import json
import math
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Final

from cyclopts import App, Parameter

from relay.cli.channel_options import ALL_FIELDS, FROM_FILE, from_file, object_in
from relay.cli.connection import connect
from relay.cli.output import Output, show_item, show_items
from relay.domain.errors import InvalidInput
from relay.domain.templates.checks import parameter_type

COLUMNS = ("id", "name", "builtin", "parameters", "description")
PARAMETERS = ("name", "type", "required", "secret", "default", "description")
BOOLEANS: Final = {"true": True, "yes": True, "false": False, "no": False}

TemplateId = Annotated[str, Parameter(help="The id of a channel template; see `relay channel-templates list`.")]
File = Annotated[
    str,
    Parameter(
        name="--file", help="A JSON file as the API accepts it; `-` is standard input.", allow_leading_hyphen=True
    ),
]

app = App(name="channel-templates", help="Manage channel templates, the starting points of channels.")


@app.command(name="list")
async def list_templates(*, output: Output = "table") -> None:
    """List all channel templates, built-in ones included."""
    async with connect() as api:
        templates = await api.pages("channel-templates")
    if output == "table":
        templates = [{**template, "parameters": _parameter_names(template)} for template in templates]
    show_items(templates, COLUMNS, output)


@app.command
async def get(template_id: TemplateId, /, *, output: Output = "table") -> None:
    """Show a channel template and its parameters."""
    async with connect() as api:
        template = await api.get("channel-templates", template_id)
    if output == "json":
        return show_item(template, output)
    show_item({name: value for name, value in template.items() if name != "parameters"}, output)
    print()
    return show_items(_parameters(template), PARAMETERS, output)


@app.command
async def create(*, file: File, output: Output = "table") -> None:
    """Create a channel template."""
    body = object_in("--file", file)
    async with connect() as api:
        template = await api.post("channel-templates", body=body)
    show_item(template, output)


@app.command
async def update(template_id: TemplateId, /, *, file: File, output: Output = "table") -> None:
    """Update a channel template: only the fields in the file."""
    body = object_in("--file", file)
    async with connect() as api:
        template = await api.patch("channel-templates", template_id, body=body)
    show_item(template, output)


@app.command
async def delete(template_id: TemplateId, /) -> None:
    """Delete a channel template. Channels created from it remain."""
    async with connect() as api:
        await api.delete("channel-templates", template_id)
    print(f"the channel template {template_id} is deleted")


def values_of(template: Mapping[str, Any], given: Iterable[str]) -> dict[str, Any]:
    """Convert `--set NAME=VALUE …` to the types of the template's parameters, or of the channels' fields.

    Raises:
        InvalidInput: names the value that is wrong.
    """
    texts: dict[str, list[str]] = {}
    for argument in given:
        name, equals, text = argument.partition("=")
        if not equals or not name.strip():
            raise InvalidInput("--set", f"must look like NAME=VALUE, not {name!r}")
        texts.setdefault(name.strip().replace("-", "_"), []).append(text)
    parameters = {str(parameter.get("name")): parameter for parameter in _parameters(template)}
    return {name: _value(name, values, parameters.get(name)) for name, values in texts.items()}


def _value(name: str, texts: list[str], parameter: Mapping[str, Any] | None) -> Any:
    option = f"--set {name}"
    if parameter is not None:
        value_type, in_file = str(parameter.get("type")), bool(parameter.get("secret"))
    else:
        value_type = parameter_type(ALL_FIELDS[name].type) if name in ALL_FIELDS else "string"
        in_file = name in FROM_FILE
    values = [from_file(option, text) if in_file else text for text in texts]
    if value_type == "list":
        return values
    if len(values) > 1:
        raise InvalidInput(option, "is given twice")
    return _convert(option, value_type, values[0])


def _convert(option: str, value_type: str, text: str) -> Any:
    if value_type == "boolean":
        if text.lower() not in BOOLEANS:
            raise InvalidInput(option, "must be true or false")
        return BOOLEANS[text.lower()]
    if value_type not in ("number", "object"):
        return text
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    if value_type == "object" and isinstance(found, dict):
        return found
    if value_type == "number" and type(found) in (int, float) and math.isfinite(found):
        return found
    raise InvalidInput(option, "must be a number" if value_type == "number" else "must be a JSON object")


def _parameter_names(template: Mapping[str, Any]) -> list[str]:
    """The names of the parameters; optional ones in brackets."""
    return [
        str(parameter.get("name")) if parameter.get("required") else f"[{parameter.get('name')}]"
        for parameter in _parameters(template)
    ]


def _parameters(template: Mapping[str, Any]) -> list[dict[str, Any]]:
    found = template.get("parameters")
    return [item for item in found if isinstance(item, dict)] if isinstance(found, list) else []
