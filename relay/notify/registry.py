"""The notifier of each channel type."""

from typing import Any, Final

from relay.domain.channel_types import (
    AppriseChannel,
    BaseChannel,
    Channel,
    DiscordChannel,
    EmailChannel,
    PagerDutyChannel,
    RateLimit,
    SlackChannel,
    SmsChannel,
    TeamsChannel,
    TelegramChannel,
    WebhookChannel,
)
from relay.notify.notifier import Notifier
from relay.notify.platforms.apprise import AppriseNotifier
from relay.notify.platforms.discord import DiscordNotifier
from relay.notify.platforms.email import EmailNotifier
from relay.notify.platforms.pagerduty import PagerDutyNotifier
from relay.notify.platforms.slack import SlackNotifier
from relay.notify.platforms.sms import SmsNotifier
from relay.notify.platforms.teams import TeamsNotifier
from relay.notify.platforms.telegram import TelegramNotifier
from relay.notify.platforms.webhook import WebhookNotifier
from relay.notify.transport.egress_policy import EgressPolicy
from relay.notify.transport.tls import check_tls

NOTIFIERS: Final[dict[type[BaseChannel], Notifier[Any]]] = {
    SlackChannel: SlackNotifier(),
    DiscordChannel: DiscordNotifier(),
    TeamsChannel: TeamsNotifier(),
    WebhookChannel: WebhookNotifier(),
    TelegramChannel: TelegramNotifier(),
    PagerDutyChannel: PagerDutyNotifier(),
    SmsChannel: SmsNotifier(),
    EmailChannel: EmailNotifier(),
    AppriseChannel: AppriseNotifier(),
}


def notifier_for(channel: Channel) -> Notifier[Any]:
    """The notifier for the channel's type."""
    return NOTIFIERS[type(channel)]


def effective_rate_limit(channel: Channel) -> RateLimit | None:
    """The channel's own rate limit, or else its platform's; None if it is unlimited."""
    return channel.rate_limit if channel.rate_limit is not None else notifier_for(channel).rate_limit_for(channel)


def check_channel(channel: Channel, egress_policy: EgressPolicy) -> None:
    """Reject a channel that can never deliver, as far as its settings show that without a connection.

    Raises:
        InvalidInput: names the field.
    """
    notifier = notifier_for(channel)
    for field, url in notifier.urls(channel).items():
        egress_policy.check_url(field, url)
    for field, (host, encrypted) in notifier.hosts(channel).items():
        egress_policy.check_host(field, host, encrypted=encrypted)
    check_tls(channel)
    notifier.check(channel)
