"""For each channel type, a strict platform and a channel that delivers to it."""

import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from relay.domain.channel_types import (
    AppriseChannel,
    BaseChannel,
    Channel,
    DiscordChannel,
    EmailChannel,
    PagerDutyChannel,
    SlackChannel,
    SmsChannel,
    TeamsChannel,
    TelegramChannel,
    WebhookChannel,
)
from relay.notify.signing import new_signing_secret
from tests.fixtures.mail_server import LOGIN, MailServer, mail_server
from tests.fixtures.platforms import self_signed
from tests.fixtures.sink import Sink
from tests.notify.channel_types import ChannelType
from tests.notify.factories import ACCOUNT, AUTH_TOKEN, BOT_TOKEN, ROUTING_KEY, channel
from tests.notify.strict.discord import DISCORD_HOOK, StrictDiscord
from tests.notify.strict.mail import read_email
from tests.notify.strict.pagerduty import StrictPagerDuty
from tests.notify.strict.receivers import StrictAppriseTarget, StrictWebhookReceiver
from tests.notify.strict.slack import SLACK_HOOK, SLACK_TOKEN, StrictSlack
from tests.notify.strict.teams import TEAMS_HOOK, StrictTeams
from tests.notify.strict.telegram import StrictTelegram
from tests.notify.strict.twilio import StrictTwilio


class Platform(Protocol):
    """Has the current text of each message."""

    @property
    def texts(self) -> list[str]: ...


@dataclass(frozen=True)
class StrictSetup:
    """A platform that accepts what its documentation allows, and a channel that delivers to it.

    `tls` has the certificates that SMTP trusts.
    """

    channel_type: ChannelType
    channel: Channel
    platform: Platform
    tls: ssl.SSLContext | None = None


SetupFactory = Callable[[Sink, Path], AbstractAsyncContextManager[StrictSetup]]


@asynccontextmanager
async def over_http(
    channel_type: ChannelType, make: Callable[[], Any], path: str, settings: dict[str, Any], sink: Sink, _: Path
) -> AsyncIterator[StrictSetup]:
    """A setup whose platform is the script of the sink."""
    sink.script = platform = make()
    urls = {name: f"{sink.url}{path}" for name, path in settings.items() if name == "slack_api_url"}
    yield StrictSetup(channel_type, channel(channel_type, sink.url + path, **(settings | urls)), platform)


class Mailbox:
    """The mails that a server accepted, read as mail programs would."""

    def __init__(self, server: MailServer) -> None:
        self._server = server

    @property
    def texts(self) -> list[str]:
        assert all(mail.encrypted and mail.login == LOGIN[0] for mail in self._server.arrived)
        return [read_email(mail.content) for mail in self._server.arrived]


@asynccontextmanager
async def over_smtp(_: Sink, folder: Path) -> AsyncIterator[StrictSetup]:
    """A mail server that requires encryption and a login."""
    certificate = self_signed(folder)
    async with mail_server(starttls=certificate, require_starttls=True, auth_required=True) as server:
        user, password = LOGIN
        login = {"smtp_username": user, "smtp_password": password}
        destination = channel(EmailChannel, smtp_host="127.0.0.1", smtp_port=server.port, **login)
        trusted = ssl.create_default_context(cafile=folder / "certificate.pem")
        yield StrictSetup(EmailChannel, destination, Mailbox(server), trusted)


SECRET = new_signing_secret()
BOT = {"webhook_url": None, "bot_token": SLACK_TOKEN, "slack_channel": "#alerts", "slack_api_url": "/api"}
SETUPS: dict[str, tuple[type[BaseChannel], SetupFactory]] = {
    name: (channel_type, partial(over_http, channel_type, make, path, settings))
    for name, channel_type, make, path, settings in (
        ("slack", SlackChannel, StrictSlack, SLACK_HOOK, {}),
        ("slack bot", SlackChannel, StrictSlack, "", BOT),
        ("discord", DiscordChannel, StrictDiscord, DISCORD_HOOK, {}),
        ("teams", TeamsChannel, StrictTeams, TEAMS_HOOK, {}),
        ("webhook", WebhookChannel, lambda: StrictWebhookReceiver(SECRET), "/hook", {"signing_secret": SECRET}),
        ("telegram", TelegramChannel, lambda: StrictTelegram(BOT_TOKEN, "42"), "", {}),
        ("pagerduty", PagerDutyChannel, lambda: StrictPagerDuty(ROUTING_KEY), "", {}),
        ("sms", SmsChannel, lambda: StrictTwilio(ACCOUNT, AUTH_TOKEN), "", {}),
        ("apprise", AppriseChannel, StrictAppriseTarget, "/hook", {}),
    )
} | {"email": (EmailChannel, over_smtp)}
"""A new channel type adds its platform here."""
EDITABLE = ("slack bot", "discord", "telegram")
"""Those that edit the message of a group."""
