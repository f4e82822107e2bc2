"""Which options has a channel on the command line? One for each field of its type, made from the type itself."""

import inspect
import json
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import msgspec.inspect
from cyclopts import Group, Parameter

from relay.cli.output import Output
from relay.domain.channel_types import CHANNEL_CLASSES, BaseChannel, Filters, own_fields
from relay.domain.errors import InvalidInput

FIRST: Final = ("name", "id")
ChannelId = Annotated[str, Parameter(help="As `relay channels list` shows it.")]
LONG_TEXTS: Final = frozenset({"custom_payload_template"})
SETTINGS: Final = Group("Channel", sort_key=1)
FILTERS: Final = Group("Filters", help="Which alerts it gets; a filter left out matches all.", sort_key=2)
HELP: Final = {
    "name": "What people call it.",
    "id": "Its slug; made from the name when left out.",
    "enabled": "Whether it gets anything.",
    "tenant_id": "Only this tenant's alerts.",
    "severities": "Only these severities.",
    "alert_names": "Only these alerts.",
    "alert_categories": "Only these categories.",
    "matchers": "Only what matches all of these, such as 'team=~\"db|infra\"'.",
    "send_resolved": "Whether it is told that an alert is over.",
    "rate_limit": 'Messages it gets, as JSON: \'{"per_second": 1, "burst": 3}\'; its platform\'s when left out.',
    "fallback_channel_id": "The channel that is told what this one can't be told.",
    "template": "The message template that says how groups are told; see `relay templates`.",
    "webhook_url": "Where to post. Slack takes a bot's token in its place.",
    "slack_channel": "The channel to post to: for a bot by its id, such as C0123456789.",
    "slack_username": "The name to post under, where Slack allows it.",
    "slack_icon_emoji": "The icon to post under, such as :bell:, where Slack allows it.",
    "slack_api_url": "Where Slack's Web API is, which a bot speaks to.",
    "slack_reply_resolved": "Whether a bot also replies below its message when all in it is resolved.",
    "update_message": "Whether a group is told in one message that is edited; Slack needs a bot for it.",
    "discord_username": "The name to post under.",
    "discord_avatar_url": "The picture to post under.",
    "teams_title": "The title of its cards.",
    "max_messages": "How many messages a large group may take, 1 to 20.",
    "custom_headers": "A header to send, as 'Name: value'; repeat it for more.",
    "custom_payload_template": "The body to send, as a template.",
    "signing_secret": "Signs what is sent, by Standard Webhooks; `relay secret --webhook` prints a new one.",
    "signing_secret_previous": "The secret before, which signs too until receivers know the new one.",
    "bot_token": "The bot's token: xoxb-… of a Slack app, or as Telegram's BotFather gave it.",
    "chat_id": "The chat to post to: a number (negative for a group), or @name.",
    "message_thread_id": "The topic to post to, in a group that has topics.",
    "telegram_api_url": "Where the Bot API is, if it is one's own server.",
    "routing_key": "The integration key of the service: 32 characters.",
    "pagerduty_url": "Where to send events, such as https://events.eu.pagerduty.com/v2/enqueue.",
    "account_sid": "The Twilio account: AC and 32 digits.",
    "auth_token": "The account's token.",
    "sms_to": "A number to text, such as +4915112345678; repeat it for more.",
    "sms_from": "The number or name to text from.",
    "messaging_service_sid": "The messaging service to text by, instead of a number: MG and 32 digits.",
    "twilio_url": "Where Twilio's API is.",
    "smtp_host": "The mail server, by name or address.",
    "smtp_port": "Its port; 587 when left out, 465 with tls, 25 with none.",
    "smtp_security": "How the connection is encrypted: starttls, tls from the start, or none.",
    "smtp_username": "Who to log in as.",
    "smtp_password": "The password to log in with.",
    "email_from": "The address that the mail comes from.",
    "email_to": "An address that gets the mail; repeat it for more.",
    "apprise_url": "The URL by which Apprise knows the service.",
}


def create_options(channel_class: type[BaseChannel]) -> inspect.Signature:
    """The options of `create` for one type: its required fields are required."""
    fields = _fields(channel_class)
    names = [*FIRST, *own_fields(channel_class), *fields]
    return _signature(_option(fields[name], required=fields[name].required) for name in dict.fromkeys(names))


def update_options() -> inspect.Signature:
    """The id, and as options the fields of all types, and those to clear."""
    fields = {name: field for name, field in ALL_FIELDS.items() if name != "id"}
    names = [*FIRST[:1], *(name for name in fields if name not in Filters.__struct_fields__), *fields]
    clear = inspect.Parameter(
        "clear", inspect.Parameter.KEYWORD_ONLY, default=None, annotation=_clear_annotation()
    )
    channel_id = inspect.Parameter("channel_id", inspect.Parameter.POSITIONAL_ONLY, annotation=ChannelId)
    options = [_option(fields[name], required=False) for name in dict.fromkeys(names)]
    return _signature([channel_id, *options, clear])


def taking(options: inspect.Signature, command: Callable[..., Any]) -> Callable[..., Any]:
    """Let a command take made options in place of those that it was written with."""
    command.__signature__ = options  # type: ignore[attr-defined]
    command.__annotations__ = {name: option.annotation for name, option in options.parameters.items()}
    return command


def payload(options: Mapping[str, Any]) -> dict[str, Any]:
    """What to send: the options that were given, as the API wants them.

    Raises:
        InvalidInput: names the option.
    """
    return {name: _value(name, given) for name, given in options.items() if given is not None}


def flag(name: str) -> str:
    """The option that stands for a field: `--webhook-url`."""
    return "--" + name.replace("_", "-")


def _fields(channel_class: type[BaseChannel]) -> dict[str, msgspec.inspect.Field]:
    described = msgspec.inspect.type_info(channel_class)
    assert isinstance(described, msgspec.inspect.StructType)
    return {field.name: field for field in described.fields}


ALL_FIELDS: Final = {name: field for kind in CHANNEL_CLASSES for name, field in _fields(kind).items()}
FROM_FILE: Final = LONG_TEXTS.union(*(kind.SECRET for kind in CHANNEL_CLASSES))
"""These may be given as `-` or `@FILE`: a command line is seen by others, and kept in the shell's history."""


def _signature(parameters: Iterable[inspect.Parameter]) -> inspect.Signature:
    output = inspect.Parameter("output", inspect.Parameter.KEYWORD_ONLY, default="table", annotation=Output)
    return inspect.Signature([*parameters, output])


def _option(field: msgspec.inspect.Field, *, required: bool) -> inspect.Parameter:
    kind, name = _kind(field.type), field.name
    text = HELP.get(name, name.replace("_", " ").capitalize() + ".")
    parameter = Parameter(
        help=f"{text} `-` reads it from standard input, `@FILE` from a file." if name in FROM_FILE else text,
        group=FILTERS if name in Filters.__struct_fields__ else SETTINGS,
        consume_multiple=1 if isinstance(field.type, msgspec.inspect.CollectionType) else False,
        allow_leading_hyphen=name in FROM_FILE,
    )
    return inspect.Parameter(
        name,
        inspect.Parameter.KEYWORD_ONLY,
        default=inspect.Parameter.empty if required else None,
        annotation=Annotated[kind if required else kind | None, parameter],
    )


def _clear_annotation() -> Any:
    """What some type can do without: on Slack the URL, or the bot's token."""
    described = [field for kind in CHANNEL_CLASSES for field in _fields(kind).values()]
    names = dict.fromkeys(field.name for field in described if not field.required and field.name != "id")
    choices = tuple(name.replace("_", "-") for name in names)
    text = "A field to set back to its default; repeat it for more."
    return Annotated[list[Literal[choices]] | None, Parameter(help=text, consume_multiple=1)]  # type: ignore[valid-type]


def _kind(described: msgspec.inspect.Type) -> Any:
    """What an option takes; a field of a shape that no option has is given as JSON."""
    match _without_none(described):
        case msgspec.inspect.BoolType():
            return bool
        case msgspec.inspect.IntType():
            return int
        case msgspec.inspect.FloatType():
            return float
        case msgspec.inspect.CollectionType() | msgspec.inspect.DictType():
            return list[str]
        case _:
            return str


def _without_none(described: msgspec.inspect.Type) -> msgspec.inspect.Type:
    if not isinstance(described, msgspec.inspect.UnionType):
        return described
    others = [one for one in described.types if not isinstance(one, msgspec.inspect.NoneType)]
    return others[0] if len(others) == 1 else described


def _value(name: str, given: Any) -> Any:
    described = _without_none(ALL_FIELDS[name].type)
    if isinstance(described, msgspec.inspect.DictType):
        texts = [_text(name, item) for item in given]
        return dict(_pair(name, line) for text in texts for line in text.splitlines() if line.strip())
    if isinstance(described, msgspec.inspect.StructType | msgspec.inspect.UnionType):
        return _parsed(name, given)
    return _text(name, given) if isinstance(given, str) else given


def _pair(name: str, text: str) -> tuple[str, str]:
    key, colon, value = text.partition(":")
    if not colon or not key.strip():
        raise InvalidInput(flag(name), "must look like 'Name: value'")
    return key.strip(), value.strip()


def _parsed(name: str, text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise InvalidInput(flag(name), f"must be JSON: {error}") from None


def _text(name: str, given: str) -> str:
    return from_file(flag(name), given) if name in FROM_FILE else given


def from_file(option: str, given: str) -> str:
    """The text that `-` or `@FILE` stands for; any other text is that text.

    Raises:
        InvalidInput: names the option; there is nothing to read.
    """
    if not (given == "-" or given.startswith("@")):
        return given
    try:
        text = sys.stdin.read() if given == "-" else Path(given[1:]).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise InvalidInput(option, f"can't read {given}: {reason}") from None
    text = text.rstrip("\r\n")
    if not text:
        raise InvalidInput(option, f"there is nothing in {'standard input' if given == '-' else given[1:]}")
    return text


def object_in(option: str, file: str) -> dict[str, Any]:
    """The JSON object in a file; `-` is standard input.

    Raises:
        InvalidInput: names the option; there is none.
    """
    text = from_file(option, file if file == "-" else f"@{file}")
    try:
        body = json.loads(text)
    except ValueError as error:
        raise InvalidInput(option, f"must hold JSON: {error}") from None
    if not isinstance(body, dict):
        raise InvalidInput(option, "must hold a JSON object")
    return body
