"""The command line options of channels, generated from the fields of each channel type."""

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
from relay.domain.fields import choices, fields_of

FIRST: Final = ("name", "id")
NONE: Final = "none"
"""In place of a list of choices: the empty list."""
ChannelId = Annotated[str, Parameter(help="The id of a channel; see `relay channels list`.")]
LONG_TEXTS: Final = frozenset({"custom_payload_template", "tls_ca", "tls_cert"})
SETTINGS: Final = Group("Channel", sort_key=1)
FILTERS: Final = Group(
    "Filters", help="The alerts that the channel gets; an omitted filter matches all.", sort_key=2
)
HELP: Final = {
    "name": "The display name.",
    "id": "The id; by default derived from the name.",
    "enabled": "Whether the channel gets alerts.",
    "tenant_id": "Match only this tenant's alerts.",
    "source": "Match only alerts of this source, the ?source= of the webhook's URL.",
    "severities": "Match only these severities.",
    "alert_names": "Match only these alert names.",
    "alert_categories": "Match only these categories.",
    "matchers": "Match only alerts that match all of these, such as 'team=~\"db|infra\"'.",
    "send_resolved": "Whether to send resolved alerts.",
    "rate_limit": 'The rate limit as JSON: \'{"per_second": 1, "burst": 3}\'; by default that of the platform.',
    "fallback_channel_id": "The channel that gets the alerts that this one can't deliver.",
    "template": "The message template; see `relay templates`.",
    "tls_ca": "The certificate authorities to trust, as PEM; by default those of the system.",
    "tls_cert": "The client certificate and its chain, as PEM.",
    "tls_key": "The private key of the client certificate, as PEM.",
    "webhook_url": "The URL to post to. Slack accepts a bot token instead.",
    "slack_channel": "The channel to post to; for a bot its id, such as C0123456789.",
    "slack_username": "The name to post under, where Slack allows it.",
    "slack_icon_emoji": "The icon to post with, such as :bell:, where Slack allows it.",
    "slack_api_url": "The base URL of Slack's Web API, for bots.",
    "slack_mention_group": "The id of the user group to mention, such as S0123456789.",
    "update_message": "Whether to edit one message per group instead of sending new ones; Slack requires a bot.",
    "notify_on": "What is also posted when a message is edited: firing, repeat and resolved; or none.",
    "mention_severities": "Mention only for firing alerts of these severities; by default critical.",
    "discord_username": "The name to post under.",
    "discord_avatar_url": "The URL of the avatar to post with.",
    "discord_mention_role": "The id of the role to mention.",
    "discord_thread_id": "The thread to post to.",
    "discord_thread_name": "The title of the posts that messages start, in a forum channel.",
    "teams_title": "The title of the cards.",
    "max_messages": "The maximum number of messages for a large group, 1 to 20.",
    "webhook_body": "The body: that of the relay, or alertmanager for that of Alertmanager.",
    "custom_headers": "A header to send, as 'Name: value'; repeatable.",
    "custom_payload_template": "The template of the body.",
    "signing_secret": "The secret to sign with (Standard Webhooks); `relay secret --webhook` generates one.",
    "signing_secret_previous": "The previous secret, which also signs during a rotation.",
    "bot_token": "The bot's token: xoxb-… of a Slack app, or that of Telegram's BotFather.",
    "chat_id": "The chat to post to: a number (negative for a group), or @name.",
    "message_thread_id": "The topic to post to, in a group with topics.",
    "telegram_api_url": "The base URL of a self-hosted Bot API server.",
    "routing_key": "The integration key of the service: 32 characters.",
    "pagerduty_url": "The URL of the Events API, such as https://events.eu.pagerduty.com/v2/enqueue.",
    "account_sid": "The Twilio account: AC and 32 hexadecimal digits.",
    "auth_token": "The auth token of the account.",
    "sms_to": "A number to text, such as +4915112345678; repeatable.",
    "sms_from": "The number or name to send from.",
    "messaging_service_sid": "The messaging service to send from, instead of a number: MG and 32 digits.",
    "twilio_url": "The base URL of Twilio's API.",
    "smtp_host": "The host name or address of the mail server.",
    "smtp_port": "The port of the mail server; by default 587, with tls 465, with none 25.",
    "smtp_security": "The encryption of the connection: starttls, tls or none.",
    "smtp_username": "The user name to log in with.",
    "smtp_password": "The password to log in with.",
    "smtp_hello": "The name in EHLO; by default the relay's address.",
    "email_from": "The sender's address, or 'Name <address>'.",
    "email_to": "A recipient's address; repeatable.",
    "apprise_url": "The Apprise URL of the service.",
}


def create_options(channel_class: type[BaseChannel]) -> inspect.Signature:
    """The options of `create` for one channel type; required fields are required options."""
    fields = fields_of(channel_class)
    names = [*FIRST, *own_fields(channel_class), *fields]
    return _signature(_option(fields[name], required=fields[name].required) for name in dict.fromkeys(names))


def update_options() -> inspect.Signature:
    """The parameters of `update`: the id, the fields of all types, and --clear."""
    fields = {name: field for name, field in ALL_FIELDS.items() if name != "id"}
    names = [*FIRST[:1], *(name for name in fields if name not in Filters.__struct_fields__), *fields]
    clear = inspect.Parameter(
        "clear", inspect.Parameter.KEYWORD_ONLY, default=None, annotation=_clear_annotation()
    )
    channel_id = inspect.Parameter("channel_id", inspect.Parameter.POSITIONAL_ONLY, annotation=ChannelId)
    options = [_option(fields[name], required=False) for name in dict.fromkeys(names)]
    return _signature([channel_id, *options, clear])


def with_options(options: inspect.Signature, command: Callable[..., Any]) -> Callable[..., Any]:
    """Replace the signature of a command with generated options."""
    command.__signature__ = options  # type: ignore[attr-defined]
    command.__annotations__ = {name: option.annotation for name, option in options.parameters.items()}
    return command


def payload(options: Mapping[str, Any]) -> dict[str, Any]:
    """Build the request body from the options that were given.

    Raises:
        InvalidInput: names the option.
    """
    return {name: _value(name, given) for name, given in options.items() if given is not None}


def flag(name: str) -> str:
    """The option of a field: `--webhook-url`."""
    return "--" + name.replace("_", "-")


ALL_FIELDS: Final = {name: field for channel in CHANNEL_CLASSES for name, field in fields_of(channel).items()}
FROM_FILE: Final = LONG_TEXTS.union(*(channel.SECRET for channel in CHANNEL_CLASSES))
"""Fields that accept `-` or `@FILE`: other users and the shell's history can see a command line."""


def _signature(parameters: Iterable[inspect.Parameter]) -> inspect.Signature:
    output = inspect.Parameter("output", inspect.Parameter.KEYWORD_ONLY, default="table", annotation=Output)
    return inspect.Signature([*parameters, output])


def _option(field: msgspec.inspect.Field, *, required: bool) -> inspect.Parameter:
    option_type, name = _option_type(field.type), field.name
    text = HELP.get(name, name.replace("_", " ").capitalize() + ".")
    parameter = Parameter(
        help=f"{text} Use `-` for standard input, `@FILE` for a file." if name in FROM_FILE else text,
        group=FILTERS if name in Filters.__struct_fields__ else SETTINGS,
        consume_multiple=1 if isinstance(field.type, msgspec.inspect.CollectionType) else False,
        allow_leading_hyphen=name in FROM_FILE,
    )
    return inspect.Parameter(
        name,
        inspect.Parameter.KEYWORD_ONLY,
        default=inspect.Parameter.empty if required else None,
        annotation=Annotated[option_type if required else option_type | None, parameter],
    )


def _clear_annotation() -> Any:
    """The fields that are optional for some type: for Slack the URL or the bot's token."""
    fields = [field for channel_class in CHANNEL_CLASSES for field in fields_of(channel_class).values()]
    names = dict.fromkeys(field.name for field in fields if not field.required and field.name != "id")
    choices = tuple(name.replace("_", "-") for name in names)
    text = "A field to reset to its default; repeatable."
    return Annotated[list[Literal[choices]] | None, Parameter(help=text, consume_multiple=1)]  # type: ignore[valid-type]


def _option_type(field_type: msgspec.inspect.Type) -> Any:
    """The type of an option's value; a field of another shape is given as JSON text."""
    match _without_none(field_type):
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


def _without_none(field_type: msgspec.inspect.Type) -> msgspec.inspect.Type:
    if not isinstance(field_type, msgspec.inspect.UnionType):
        return field_type
    others = [member for member in field_type.types if not isinstance(member, msgspec.inspect.NoneType)]
    return others[0] if len(others) == 1 else field_type


def _value(name: str, given: Any) -> Any:
    field_type = _without_none(ALL_FIELDS[name].type)
    if isinstance(field_type, msgspec.inspect.DictType):
        texts = [_text(name, item) for item in given]
        return dict(_pair(name, line) for text in texts for line in text.splitlines() if line.strip())
    if isinstance(field_type, msgspec.inspect.StructType | msgspec.inspect.UnionType):
        return _parsed(name, given)
    if given == [NONE] and choices(field_type):
        return []
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
    """Read the text that `-` or `@FILE` refers to; return any other text unchanged.

    Raises:
        InvalidInput: names the option; the source is unreadable or empty.
    """
    if not (given == "-" or given.startswith("@")):
        return given
    try:
        text = sys.stdin.read() if given == "-" else Path(given[1:]).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8"
        raise InvalidInput(option, f"can't read {given}: {reason}") from None
    text = text.rstrip("\r\n")
    if not text:
        raise InvalidInput(option, f"{'standard input' if given == '-' else given[1:]} is empty")
    return text


def object_in(option: str, file: str) -> dict[str, Any]:
    """Read the JSON object in a file; `-` is standard input.

    Raises:
        InvalidInput: names the option; the file contains none.
    """
    text = from_file(option, file if file == "-" else f"@{file}")
    try:
        body = json.loads(text)
    except ValueError as error:
        raise InvalidInput(option, f"must contain JSON: {error}") from None
    if not isinstance(body, dict):
        raise InvalidInput(option, "must contain a JSON object")
    return body
