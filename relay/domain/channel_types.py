"""What is a channel: its filters, common to all types, and the settings of each type?

A channel is a tagged union on `channel_type`; the fields of a type lie flat beside the common ones.
"""

from typing import Annotated, Any, ClassVar, Final, Literal, get_args

import msgspec

from relay.domain.errors import InvalidInput
from relay.domain.matchers import Matcher, parse_matcher

MAX_MESSAGES: Final = 5
"""Messages that a group takes at most, unless its channel says otherwise."""
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
    CAVEATS: ClassVar[tuple[str, ...]] = ()
    """What the relay promises less for this type than for others, in sentences for the channel's health."""

    id: str = ""
    name: str
    rate_limit: RateLimit | None = None
    """None: the platform's own."""
    fallback_channel_id: str | None = None
    """Who is told what this channel can't be told."""
    template: str | None = None
    """The message template that says how groups are told. None: in the relay's own words."""

    @property
    def channel_type(self) -> str:
        """The tag of the union."""
        return type_name(type(self))

    def __repr__(self) -> str:
        """Name the channel without its settings, so that no log or traceback holds a secret."""
        return f"<{self.channel_type} channel {self.id!r}>"


class SlackChannel(BaseChannel, frozen=True, kw_only=True, tag="slack"):
    """A Slack incoming webhook, or a bot that posts to a channel; or a server compatible with either."""

    SECRET: ClassVar[frozenset[str]] = frozenset({"webhook_url", "bot_token"})

    webhook_url: str | None = None
    bot_token: str | None = None
    slack_api_url: str = "https://slack.com/api"
    slack_channel: str | None = None
    slack_username: str | None = None
    slack_icon_emoji: str | None = None
    slack_reply_resolved: bool = False
    """Whether a bot also replies to its message when all in it is resolved: an edit makes no sound."""
    max_messages: MaxMessages = MAX_MESSAGES
    update_message: bool = True
    """Whether a group is told in one message that is edited; a webhook's can't be."""


class DiscordChannel(BaseChannel, frozen=True, kw_only=True, tag="discord"):
    """A Discord webhook."""

    webhook_url: str
    discord_username: str | None = None
    discord_avatar_url: str | None = None
    max_messages: MaxMessages = MAX_MESSAGES
    update_message: bool = True
    """Whether a group is told in one message that is edited."""


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
    max_messages: MaxMessages = MAX_MESSAGES
    update_message: bool = True
    """Whether a group is told in one message that is edited."""


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
    CAVEATS: ClassVar[tuple[str, ...]] = (
        "Apprise says whether it delivered, not why it did not: all failures are retried until they are given up.",
        "A message that outlasts the time for an attempt may arrive all the same, and then twice.",
        "No pause that the service asks for is known.",
    )

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


def caveats_of(channel_type: str) -> tuple[str, ...]:
    """The caveats of a type; none for one that this release does not know."""
    return next((kind.CAVEATS for kind in CHANNEL_CLASSES if type_name(kind) == channel_type), ())


def own_fields(channel_class: type[BaseChannel]) -> list[str]:
    """The fields that a type adds to the common ones."""
    common = BaseChannel.__struct_fields__
    return [name for name in channel_class.__struct_fields__ if name not in common]


def channel_types() -> list[str]:
    """All values of `channel_type`."""
    return [type_name(channel_class) for channel_class in CHANNEL_CLASSES]
