"""Strict readers of request bodies, by channel type.

Each returns the text of the message, and fails if the platform would refuse it.
"""

from collections.abc import Callable

from relay.domain.channel_types import (
    AppriseChannel,
    BaseChannel,
    DiscordChannel,
    EmailChannel,
    PagerDutyChannel,
    SlackChannel,
    SmsChannel,
    TeamsChannel,
    TelegramChannel,
    WebhookChannel,
)
from tests.notify.strict.discord import read_discord
from tests.notify.strict.mail import read_email
from tests.notify.strict.pagerduty import read_pagerduty
from tests.notify.strict.receivers import read_apprise, read_webhook
from tests.notify.strict.slack import read_slack
from tests.notify.strict.teams import read_teams
from tests.notify.strict.telegram import read_telegram
from tests.notify.strict.twilio import read_twilio

READERS: dict[type[BaseChannel], Callable[[bytes], str]] = {
    SlackChannel: read_slack,
    DiscordChannel: read_discord,
    TeamsChannel: read_teams,
    WebhookChannel: read_webhook,
    TelegramChannel: read_telegram,
    PagerDutyChannel: read_pagerduty,
    SmsChannel: read_twilio,
    EmailChannel: read_email,
    AppriseChannel: read_apprise,
}
"""A new channel type adds its reader here."""
