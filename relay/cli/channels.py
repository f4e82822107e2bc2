"""`relay channels`: manage, test and preview channels."""

import sys
from collections.abc import Callable
from typing import Annotated, Any

from cyclopts import App, Parameter

from relay.cli.access import show_changes
from relay.cli.channel_options import ChannelId, create_options, flag, payload, update_options, with_options
from relay.cli.channel_templates import TemplateId, values_of
from relay.cli.connection import connect
from relay.cli.output import Output, show_item, show_items
from relay.cli.preview import preview
from relay.domain.channel_types import CHANNEL_CLASSES, BaseChannel, type_name
from relay.domain.errors import InvalidInput

COLUMNS = ("id", "name", "channel_type", "enabled", "health", "tenant_id", "severities", "alert_names", "matchers")

app = App(name="channels", help="Manage channels, the destinations of alerts.")
create = App(name="create", help="Create a channel of one type, or the channels of a channel template.")
app.command(create)


def _create_command(channel_class: type[BaseChannel]) -> Callable[..., Any]:
    async def create_one(*, output: str = "table", **options: Any) -> None:
        body = {"channel_type": type_name(channel_class), **payload(options)}
        async with connect() as api:
            created = await api.post("channels", body=body)
        show_item(_summary(created, output), output)
        _warn(created)

    create_one.__doc__ = channel_class.__doc__
    return with_options(create_options(channel_class), create_one)


for _channel_class in CHANNEL_CLASSES:
    create.command(_create_command(_channel_class), name=type_name(_channel_class))


@create.default
async def create_from_template(
    *,
    from_template: TemplateId | None = None,
    given: Annotated[
        list[str] | None,
        Parameter(
            name="--set",
            help="A parameter of the template, or a field of its channels, as NAME=VALUE; repeatable, also for "
            "the values of a list. `NAME=-` reads a secret from standard input, `NAME=@FILE` from a file.",
        ),
    ] = None,
    output: Output = "table",
) -> None:
    """Create the channels of a channel template: all of them or none."""
    if from_template is None:
        if given:
            raise InvalidInput("--set", "requires --from-template")
        return create.help_print()
    async with connect() as api:
        template = await api.get("channel-templates", from_template)
        created = await api.post("channels", body=values_of(template, given or ()), from_template=from_template)
    channels = created.get("items", [])
    show_items([_summary(channel, output) for channel in channels], COLUMNS, output)
    return _warn(*channels)


@app.command(name="list")
async def list_channels(*, output: Output = "table") -> None:
    """List all channels."""
    async with connect() as api:
        channels = await api.pages("channels")
    show_items([_summary(channel, output) for channel in channels], COLUMNS, output)


def _summary(channel: dict[str, Any], output: str) -> dict[str, Any]:
    """The channel to show; in a table, its health is reduced to the state."""
    health = channel.get("health")
    if output == "json" or not isinstance(health, dict):
        return channel
    return {**channel, "health": health.get("state")}


def _warn(*channels: dict[str, Any]) -> None:
    """Print what the owners of channels should know, apart from the output."""
    for channel in channels:
        for caveat in channel.get("health", {}).get("caveats", ()):
            print(f"warning: {caveat}", file=sys.stderr)


@app.command
async def get(channel_id: ChannelId, /, *, output: Output = "table") -> None:
    """Show a channel, with secrets masked."""
    async with connect() as api:
        channel = await api.get("channels", channel_id)
    show_item(_summary(channel, output), output)


@app.command
async def health(channel_id: ChannelId, /, *, output: Output = "table") -> None:
    """Show the health of a channel: results of its attempts, and its pending deliveries."""
    async with connect() as api:
        found = await api.get("channels", channel_id, "health")
    show_item(found, output)


async def update(
    channel_id: str, /, *, output: str = "table", clear: list[str] | None = None, **options: Any
) -> None:
    """Update a channel: only the given fields."""
    cleared = [name.replace("-", "_") for name in clear or ()]
    body = payload(options)
    for name in cleared:
        if name in body:
            raise InvalidInput(flag(name), "can't be both set and cleared")
    body |= dict.fromkeys(cleared)
    if not body:
        raise InvalidInput("", "nothing to update; give an option, such as --no-enabled")
    async with connect() as api:
        channel = await api.patch("channels", channel_id, body=body)
    show_item(_summary(channel, output), output)
    _warn(channel)


app.command(with_options(update_options(), update))


@app.command
async def delete(channel_id: ChannelId, /) -> None:
    """Delete a channel. Its deliveries remain in the history."""
    async with connect() as api:
        await api.delete("channels", channel_id)
    print(f"the channel {channel_id} is deleted")


@app.command
async def versions(channel_id: ChannelId, /, *, output: Output = "table") -> None:
    """List the versions of a channel, deleted or not, newest first."""
    async with connect() as api:
        found = await api.pages("channels", channel_id, "versions")
    show_changes(found, ("number", "at", "author_name", "action", "changes"), output)


@app.command
async def restore(
    channel_id: ChannelId,
    number: Annotated[int, Parameter(help="The number of a version; see `relay channels versions`.")],
    /,
    *,
    secret: Annotated[
        list[str] | None,
        Parameter(
            help="A secret field, as NAME=-, which reads it from standard input, or NAME=@FILE; repeatable. "
            "Required if the channel was deleted, or sent elsewhere.",
        ),
    ] = None,
    output: Output = "table",
) -> None:
    """Restore a version of a channel as a new version."""
    body = values_of({}, secret or ())
    async with connect() as api:
        channel = await api.post("channels", channel_id, "versions", str(number), "restore", body=body)
    show_item(_summary(channel, output), output)
    _warn(channel)


@app.command(name="test")
async def send_test(
    channel_id: ChannelId,
    /,
    *,
    severity: Annotated[str | None, Parameter(help="The severity of the test alert.")] = None,
    message: Annotated[str | None, Parameter(help="The summary of the test alert.")] = None,
    output: Output = "table",
) -> None:
    """Send a test alert to a channel. Exits with 1 if the platform does not accept it."""
    options = {"severity": severity, "message": message}
    given = {name: value for name, value in options.items() if value is not None}
    async with connect() as api:
        outcome = await api.post("test", body={"channel_id": channel_id, **given})
    show_item(outcome, output)
    if not outcome.get("delivered"):
        sys.exit(1)


app.command(preview)
