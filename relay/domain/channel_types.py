"""Channels: the filters common to all types, and the settings of each type.

A channel is a tagged union on `channel_type`; the fields of a type are on the same level as the common ones.

A new type needs a class here that `Channel` includes, its notifier in a file of relay/notify/platforms, and an
entry in relay/notify/registry.py. A new filter on a label needs its field in `Filters` and its label in
LABEL_FILTERS; routing, reasons and validation follow. Any other new filter also changes relay/route/table.py and
reasons.py. The API and the command line derive their fields from these classes; relay/cli/channel_options.py may
add a help text.
"""

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Final, Literal, get_args

import msgspec

from relay.domain.errors import InvalidInput
from relay.domain.matchers import Matcher, parse_stored
from relay.domain.message_settings import MAX_MESSAGES, MENTION_SEVERITIES, NOTIFY_ON, Change, MaxMessages
from relay.domain.severities import FOLDED_SEVERITY, SEVERITY

LABEL_FILTERS: Final[Mapping[str, str]] = {
    "severities": "severity",
    "alert_names": "alertname",
    "alert_categories": "category",
}
"""Filter fields that list the accepted values of one label, and that label. An absent label equals ""."""


class Filters(msgspec.Struct, frozen=True, kw_only=True):
    """The alerts that a channel accepts. A filter that is not set, or empty, matches all."""

    enabled: bool = True
    tenant_id: str | None = None
    source: str | None = None
    """The `?source=` of the webhook; it is no label."""
    severities: tuple[str, ...] = ()
    alert_names: tuple[str, ...] = ()
    alert_categories: tuple[str, ...] = ()
    matchers: tuple[str, ...] = ()
    send_resolved: bool = True

    def label_filters(self, tenant_label: str) -> Iterator[tuple[str, str, tuple[str, ...]]]:
        """Yield each label filter that is set, as (field, label, accepted values); a tenant is one of them.

        Severities are compared in lower case, with FOLDED_SEVERITY; see `label_value`.
        """
        if self.tenant_id is not None:
            yield "tenant_id", tenant_label, (self.tenant_id,)
        for field, label in LABEL_FILTERS.items():
            if values := getattr(self, field):
                if label == SEVERITY:
                    yield field, FOLDED_SEVERITY, tuple(value.casefold() for value in values)
                else:
                    yield field, label, values

    def parsed_matchers(self) -> tuple[Matcher, ...]:
        """Parse the matchers, each of which may be one that an earlier release has stored.

        Raises:
            InvalidInput: a matcher can't be parsed; names it.
        """
        parsed: list[Matcher] = []
        for at, text in enumerate(self.matchers):
            try:
                parsed += parse_stored(text)
            except InvalidInput as error:
                raise InvalidInput(f"matchers[{at}]", error.message) from None
        return tuple(parsed)


class RateLimit(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A token bucket: `per_second` messages on average, and up to `burst` at once."""

    per_second: float
    burst: int = 1


COMMON_SECRETS: Final = frozenset({"tls_key"})
"""The secret fields of all types."""


class BaseChannel(Filters, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="channel_type"):
    """The fields of all channel types. Fields named in `SECRET` are encrypted at rest and masked in responses."""

    SECRET: ClassVar[frozenset[str]] = COMMON_SECRETS | {"webhook_url"}
    DESTINATION: ClassVar[frozenset[str]] = frozenset({"webhook_url"})
    """The fields that determine where it sends. A PATCH that changes one must contain the secrets again."""
    LOGIN: ClassVar[tuple[str, str] | None] = None
    """The fields with the user and password for HTTP basic authentication."""
    CAVEATS: ClassVar[tuple[str, ...]] = ()
    """Limitations of this type compared to others, as sentences in the channel's health."""

    id: str = ""
    name: str
    rate_limit: RateLimit | None = None
    """None: the platform's own limit."""
    fallback_channel_id: str | None = None
    """The channel that gets what can't be delivered to this one."""
    template: str | None = None
    """The message template for groups. None: the built-in text."""
    tls_ca: str | None = None
    """The certificate authorities to trust, in PEM format. None: those of the system."""
    tls_cert: str | None = None
    """The client certificate with its chain, in PEM format."""
    tls_key: str | None = None
    """The private key of `tls_cert`, in PEM format."""

    @property
    def channel_type(self) -> str:
        """The value of `channel_type`."""
        return type_name(type(self))

    def __repr__(self) -> str:
        """Return the type and id alone, so that no log or traceback contains a secret."""
        return f"<{self.channel_type} channel {self.id!r}>"


class SlackChannel(BaseChannel, frozen=True, kw_only=True, tag="slack"):
    """A Slack incoming webhook, a bot that posts to a Slack channel, or a server compatible with either."""

    SECRET: ClassVar[frozenset[str]] = COMMON_SECRETS | {"webhook_url", "bot_token"}
    DESTINATION: ClassVar[frozenset[str]] = frozenset({"webhook_url", "slack_api_url"})

    webhook_url: str | None = None
    bot_token: str | None = None
    slack_api_url: str = "https://slack.com/api"
    slack_channel: str | None = None
    slack_username: str | None = None
    slack_icon_emoji: str | None = None
    slack_mention_group: str | None = None
    """The id of the user group that firing alerts of `mention_severities` mention."""
    mention_severities: tuple[str, ...] = MENTION_SEVERITIES
    max_messages: MaxMessages = MAX_MESSAGES
    update_message: bool = True
    """Whether the message of a group is edited; only a bot can edit messages, a webhook can't."""
    notify_on: tuple[Change, ...] = NOTIFY_ON


class DiscordChannel(BaseChannel, frozen=True, kw_only=True, tag="discord"):
    """A Discord webhook."""

    webhook_url: str
    discord_username: str | None = None
    discord_avatar_url: str | None = None
    discord_thread_id: str | None = None
    """The thread or forum post to post to."""
    discord_thread_name: str | None = None
    """The title of the post that a message in a forum channel starts."""
    discord_mention_role: str | None = None
    """The id of the role that firing alerts of `mention_severities` mention."""
    mention_severities: tuple[str, ...] = MENTION_SEVERITIES
    max_messages: MaxMessages = MAX_MESSAGES
    update_message: bool = True
    """Whether the message of a group is edited."""
    notify_on: tuple[Change, ...] = NOTIFY_ON


class TeamsChannel(BaseChannel, frozen=True, kw_only=True, tag="teams"):
    """A Microsoft Teams webhook created with Workflows."""

    webhook_url: str
    teams_title: str | None = None
    max_messages: MaxMessages = MAX_MESSAGES


class WebhookChannel(BaseChannel, frozen=True, kw_only=True, tag="webhook"):
    """Any HTTP endpoint that accepts JSON."""

    SECRET: ClassVar[frozenset[str]] = COMMON_SECRETS | {
        "webhook_url",
        "custom_headers",
        "signing_secret",
        "signing_secret_previous",
    }

    webhook_url: str
    webhook_body: Literal["relay", "alertmanager"] = "relay"
    """`alertmanager`: the body that Alertmanager would send, for receivers that were written for it."""
    custom_headers: dict[str, str] = {}
    custom_payload_template: str | None = None
    signing_secret: str | None = None
    """`whsec_` and 24 to 64 bytes in base64, as in Standard Webhooks. None: requests are not signed."""
    signing_secret_previous: str | None = None
    """Also signs requests, until every receiver has the new secret."""


class TelegramChannel(BaseChannel, frozen=True, kw_only=True, tag="telegram"):
    """A chat that a Telegram bot posts to, through the public Bot API or a self-hosted server."""

    SECRET: ClassVar[frozenset[str]] = COMMON_SECRETS | {"bot_token"}
    DESTINATION: ClassVar[frozenset[str]] = frozenset({"telegram_api_url"})

    bot_token: str
    chat_id: str
    message_thread_id: int | None = None
    telegram_api_url: str = "https://api.telegram.org"
    max_messages: MaxMessages = MAX_MESSAGES
    update_message: bool = True
    notify_on: tuple[Change, ...] = NOTIFY_ON


class PagerDutyChannel(BaseChannel, frozen=True, kw_only=True, tag="pagerduty"):
    """A PagerDuty service with an Events API v2 integration."""

    SECRET: ClassVar[frozenset[str]] = COMMON_SECRETS | {"routing_key"}
    DESTINATION: ClassVar[frozenset[str]] = frozenset({"pagerduty_url"})

    routing_key: str
    pagerduty_url: str = "https://events.pagerduty.com/v2/enqueue"


class SmsChannel(BaseChannel, frozen=True, kw_only=True, tag="sms"):
    """Text messages through Twilio, from a number or a messaging service."""

    SECRET: ClassVar[frozenset[str]] = COMMON_SECRETS | {"auth_token"}
    DESTINATION: ClassVar[frozenset[str]] = frozenset({"twilio_url"})
    LOGIN: ClassVar[tuple[str, str] | None] = ("account_sid", "auth_token")

    account_sid: str
    auth_token: str
    sms_to: tuple[str, ...]
    sms_from: str | None = None
    messaging_service_sid: str | None = None
    twilio_url: str = "https://api.twilio.com"


class EmailChannel(BaseChannel, frozen=True, kw_only=True, tag="email"):
    """Email through an SMTP server. The default port is 587, or 465 with `tls` and 25 with `none`."""

    SECRET: ClassVar[frozenset[str]] = COMMON_SECRETS | {"smtp_password"}
    DESTINATION: ClassVar[frozenset[str]] = frozenset({"smtp_host", "smtp_port", "smtp_security"})

    smtp_host: str
    smtp_port: int | None = None
    smtp_security: Literal["starttls", "tls", "none"] = "starttls"
    """`none` is accepted only for hosts in RELAY_ALLOWED_TARGETS."""
    smtp_username: str | None = None
    smtp_password: str | None = None
    smtp_hello: str | None = None
    """The name in EHLO. None: the relay's address."""
    email_from: str
    """An address, or `Name <address>`."""
    email_to: tuple[str, ...]


class AppriseChannel(BaseChannel, frozen=True, kw_only=True, tag="apprise"):
    """Any service that the library Apprise supports, by its Apprise URL."""

    SECRET: ClassVar[frozenset[str]] = COMMON_SECRETS | {"apprise_url"}
    DESTINATION: ClassVar[frozenset[str]] = frozenset({"apprise_url"})
    CAVEATS: ClassVar[tuple[str, ...]] = (
        "Apprise does not report why a delivery failed, so all failures are retried until they expire.",
        "A message that takes longer than the attempt's timeout may still arrive, and is then delivered twice.",
        "The service's Retry-After is not known.",
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
    """Return the value of `channel_type` for a class."""
    return str(channel_class.__struct_config__.tag)


def channel_class(channel_type: Any) -> type[BaseChannel]:
    """Return the class for a value of `channel_type`.

    Raises:
        InvalidInput: the type is unknown.
    """
    for candidate in CHANNEL_CLASSES:
        if type_name(candidate) == channel_type:
            return candidate
    raise InvalidInput("channel_type", f"{channel_type!r} is unknown; must be one of {', '.join(channel_types())}")


def own_fields(channel_class: type[BaseChannel]) -> list[str]:
    """Return the fields that a type adds to the common ones."""
    common = BaseChannel.__struct_fields__
    return [name for name in channel_class.__struct_fields__ if name not in common]


def channel_types() -> list[str]:
    """Return all values of `channel_type`."""
    return [type_name(channel_class) for channel_class in CHANNEL_CLASSES]
