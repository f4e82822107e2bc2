"""What is a channel: its filters, common to all types, and the settings of each type?

A channel is a tagged union on `channel_type`; the fields of a type lie flat beside the common ones.
"""

import re
import unicodedata
from typing import Annotated, Any, ClassVar, Final, Literal, get_args

import msgspec

from relay.domain.errors import InvalidInput
from relay.domain.fields import field_of, require_storable
from relay.domain.matchers import Matcher, parse_matcher

MASK: Final = "********"
MAX_ID: Final = 63
MAX_NAME: Final = 200
MAX_FILTER_VALUES: Final = 1000
MIN_RATE: Final = 1 / 3600
MAX_RATE: Final = 10_000
MAX_MESSAGES: Final = 5
"""Messages that a group takes at most, unless its channel says otherwise."""
_slug = re.compile(r"[a-z0-9](?:[a-z0-9_-]*[a-z0-9])?")


MaxMessages = Annotated[int, msgspec.Meta(ge=1, le=20)]
"""What does not fit in so many messages ends in a count, and a link to the history."""


class Filters(msgspec.Struct, frozen=True, kw_only=True):
    """Which alerts a channel wants. A filter left out, or empty, matches all."""

    enabled: bool = True
    tenant_id: str | None = None
    severities: tuple[str, ...] = ()
    alert_names: tuple[str, ...] = ()
    alert_categories: tuple[str, ...] = ()
    matchers: tuple[str, ...] = ()
    send_resolved: bool = True

    def parsed_matchers(self) -> tuple[Matcher, ...]:
        """The matchers, parsed.

        Raises:
            InvalidInput: names the matcher that can't be parsed.
        """
        parsed = []
        for at, text in enumerate(self.matchers):
            try:
                parsed.append(parse_matcher(text))
            except InvalidInput as error:
                raise InvalidInput(f"matchers[{at}]", error.message) from None
        return tuple(parsed)


class RateLimit(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A token bucket: `per_second` messages in the long run, and up to `burst` at once."""

    per_second: float
    burst: int = 1


class BaseChannel(Filters, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="channel_type"):
    """What all channel types have in common. Fields named in `SECRET` are sealed at rest and masked in answers."""

    SECRET: ClassVar[frozenset[str]] = frozenset({"webhook_url"})
    LOGIN: ClassVar[tuple[str, str] | None] = None
    """The fields that are sent as the user and password of HTTP's basic authentication."""

    id: str = ""
    name: str
    rate_limit: RateLimit | None = None
    """None: the platform's own."""
    fallback_channel_id: str | None = None
    """Who is told what this channel can't be told."""

    @property
    def channel_type(self) -> str:
        """The tag of the union."""
        return type_name(type(self))

    def __repr__(self) -> str:
        """Name the channel without its settings, so that no log or traceback holds a secret."""
        return f"<{self.channel_type} channel {self.id!r}>"


class SlackChannel(BaseChannel, frozen=True, kw_only=True, tag="slack"):
    """A Slack incoming webhook, or a server compatible with it."""

    webhook_url: str
    slack_channel: str | None = None
    slack_username: str | None = None
    slack_icon_emoji: str | None = None
    max_messages: MaxMessages = MAX_MESSAGES


class DiscordChannel(BaseChannel, frozen=True, kw_only=True, tag="discord"):
    """A Discord webhook."""

    webhook_url: str
    discord_username: str | None = None
    discord_avatar_url: str | None = None
    max_messages: MaxMessages = MAX_MESSAGES


class TeamsChannel(BaseChannel, frozen=True, kw_only=True, tag="teams"):
    """A Microsoft Teams webhook made by Workflows."""

    webhook_url: str
    teams_title: str | None = None
    max_messages: MaxMessages = MAX_MESSAGES


class WebhookChannel(BaseChannel, frozen=True, kw_only=True, tag="webhook"):
    """Any HTTP endpoint that takes JSON."""

    SECRET: ClassVar[frozenset[str]] = frozenset(
        {"webhook_url", "custom_headers", "signing_secret", "signing_secret_previous"}
    )

    webhook_url: str
    custom_headers: dict[str, str] = {}
    custom_payload_template: str | None = None
    signing_secret: str | None = None
    """`whsec_` and 24 to 64 bytes in base64, as Standard Webhooks has it. None: nothing is signed."""
    signing_secret_previous: str | None = None
    """Signs too, until every receiver knows the new one."""


class TelegramChannel(BaseChannel, frozen=True, kw_only=True, tag="telegram"):
    """A chat that a Telegram bot posts to; the URL is that of the Bot API, or of a server of one's own."""

    SECRET: ClassVar[frozenset[str]] = frozenset({"bot_token"})

    bot_token: str
    chat_id: str
    message_thread_id: int | None = None
    telegram_api_url: str = "https://api.telegram.org"


class PagerDutyChannel(BaseChannel, frozen=True, kw_only=True, tag="pagerduty"):
    """A PagerDuty service, by the key of its Events API v2 integration."""

    SECRET: ClassVar[frozenset[str]] = frozenset({"routing_key"})

    routing_key: str
    pagerduty_url: str = "https://events.pagerduty.com/v2/enqueue"


class SmsChannel(BaseChannel, frozen=True, kw_only=True, tag="sms"):
    """Text messages over Twilio, from a number or by a messaging service."""

    SECRET: ClassVar[frozenset[str]] = frozenset({"auth_token"})
    LOGIN: ClassVar[tuple[str, str] | None] = ("account_sid", "auth_token")

    account_sid: str
    auth_token: str
    sms_to: tuple[str, ...]
    sms_from: str | None = None
    messaging_service_sid: str | None = None
    twilio_url: str = "https://api.twilio.com"


class EmailChannel(BaseChannel, frozen=True, kw_only=True, tag="email"):
    """Mail, handed to an SMTP server. Without a port it is the usual one: 587, 465 with `tls`, 25 with `none`."""

    SECRET: ClassVar[frozenset[str]] = frozenset({"smtp_password"})

    smtp_host: str
    smtp_port: int | None = None
    smtp_security: Literal["starttls", "tls", "none"] = "starttls"
    """`none` only to hosts that RELAY_ALLOWED_TARGETS lists."""
    smtp_username: str | None = None
    smtp_password: str | None = None
    email_from: str
    email_to: tuple[str, ...]


class AppriseChannel(BaseChannel, frozen=True, kw_only=True, tag="apprise"):
    """Any service that the library Apprise knows, by its URL there."""

    SECRET: ClassVar[frozenset[str]] = frozenset({"apprise_url"})

    apprise_url: str


Channel = (
    SlackChannel
    | DiscordChannel
    | TeamsChannel
    | WebhookChannel
    | EmailChannel
    | TelegramChannel
    | PagerDutyChannel
    | SmsChannel
    | AppriseChannel
)
CHANNEL_CLASSES: Final[tuple[type[BaseChannel], ...]] = get_args(Channel)


def type_name(channel_class: type[BaseChannel]) -> str:
    """The value of `channel_type` that stands for a class."""
    return str(channel_class.__struct_config__.tag)


def channel_class(channel_type: Any) -> type[BaseChannel]:
    """The class that a value of `channel_type` stands for.

    Raises:
        InvalidInput: there is none.
    """
    for kind in CHANNEL_CLASSES:
        if type_name(kind) == channel_type:
            return kind
    raise InvalidInput("channel_type", f"{channel_type!r} is unknown; one of {', '.join(channel_types())}")


def own_fields(channel_class: type[BaseChannel]) -> list[str]:
    """The fields that a type adds to the common ones."""
    common = BaseChannel.__struct_fields__
    return [name for name in channel_class.__struct_fields__ if name not in common]


def parse_channel(data: Any) -> Channel:
    """Read a channel from JSON data; the id is made from the name when it is left out.

    Raises:
        InvalidInput: names the field.
    """
    if not isinstance(data, dict):
        raise InvalidInput("", "must be a JSON object")
    require_storable(data)
    if "channel_type" not in data:
        raise InvalidInput("channel_type", f"is missing; one of {', '.join(channel_types())}")
    channel_class(data["channel_type"])
    try:
        channel: Channel = msgspec.convert(data, Channel)
    except msgspec.ValidationError as error:
        raise InvalidInput(*field_of(error)) from None
    if not channel.id and channel.name.strip():
        channel = msgspec.structs.replace(channel, id=slug(channel.name))
    _check(channel)
    return channel


def channel_types() -> list[str]:
    """All values of `channel_type`."""
    return [type_name(channel_class) for channel_class in CHANNEL_CLASSES]


def slug(name: str) -> str:
    """Make an id from a name: "Critical Alerts" becomes `critical-alerts`.

    Raises:
        InvalidInput: the name has no letter or digit to make one from.
    """
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    made = re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:MAX_ID].rstrip("-")
    if not made:
        raise InvalidInput("id", "can't be made from this name; give one")
    return made


def require_id(text: str) -> None:
    """Refuse what is no slug, as the ids of channels and of their templates are.

    Raises:
        InvalidInput: says what one is.
    """
    if len(text) > MAX_ID or not _slug.fullmatch(text):
        raise InvalidInput(
            "id", f"must be 1 to {MAX_ID} of a-z, 0-9, - and _, with a letter or digit at both ends"
        )


def masked(channel: Channel) -> dict[str, Any]:
    """The channel as JSON data with its secrets masked."""
    data: dict[str, Any] = msgspec.to_builtins(channel)
    for name in channel.SECRET:
        data[name] = _mask(data[name])
    return data


def patched(channel: Channel, patch: Any) -> Channel:
    """Apply a JSON merge patch (RFC 7396): null resets a field; a secret left out, or sent back masked, is kept.

    Raises:
        InvalidInput: names the field.
    """
    if not isinstance(patch, dict):
        raise InvalidInput("", "must be a JSON object")
    data: dict[str, Any] = msgspec.to_builtins(channel)
    for fixed in ("id", "channel_type"):
        if fixed in patch and patch[fixed] != data[fixed]:
            raise InvalidInput(fixed, "can't be changed; create another channel instead")
    for name, value in patch.items():
        if value is None:
            data.pop(name, None)
        elif name in channel.SECRET:
            data[name] = _unmask(value, data.get(name))
        else:
            data[name] = value
    return parse_channel(data)


def _mask(value: Any) -> Any:
    if isinstance(value, dict):
        return dict.fromkeys(value, MASK)
    return value if value is None else MASK


def _unmask(value: Any, kept: Any) -> Any:
    if isinstance(value, dict) and isinstance(kept, dict):
        merged = kept | {name: _unmask(item, kept.get(name)) for name, item in value.items()}
        return {name: item for name, item in merged.items() if item is not None}
    return kept if value == MASK and kept is not None else value


def _check(channel: Channel) -> None:
    if not channel.name.strip():
        raise InvalidInput("name", "must not be empty")
    if len(channel.name) > MAX_NAME:
        raise InvalidInput("name", f"must not be longer than {MAX_NAME} characters")
    require_id(channel.id)
    for name in channel.SECRET:
        value = getattr(channel, name)
        if value == MASK or (isinstance(value, dict) and MASK in value.values()):
            raise InvalidInput(name, "is the mask that stands for a secret; send the secret itself")
    if channel.tenant_id == "":
        raise InvalidInput("tenant_id", "must not be empty; leave it out to match all tenants")
    for name in ("severities", "alert_names", "alert_categories", "matchers"):
        values: tuple[str, ...] = getattr(channel, name)
        if len(values) > MAX_FILTER_VALUES:
            raise InvalidInput(name, f"must not hold more than {MAX_FILTER_VALUES} values")
        if "" in values:
            raise InvalidInput(f"{name}[{values.index('')}]", "must not be empty")
    channel.parsed_matchers()
    _check_delivery(channel)


def _check_delivery(channel: Channel) -> None:
    if channel.rate_limit is not None:
        if not MIN_RATE <= channel.rate_limit.per_second <= MAX_RATE:
            raise InvalidInput("rate_limit.per_second", f"must be between one an hour and {MAX_RATE}")
        if not 1 <= channel.rate_limit.burst <= MAX_RATE:
            raise InvalidInput("rate_limit.burst", f"must be between 1 and {MAX_RATE}")
    if channel.fallback_channel_id is not None and channel.fallback_channel_id == channel.id:
        raise InvalidInput("fallback_channel_id", "must be another channel")
