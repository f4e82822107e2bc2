"""The channel types that a test is repeated for."""

from collections.abc import Iterable
from typing import Final

import pytest

from relay.domain.channel_types import (
    BaseChannel,
    DiscordChannel,
    SlackChannel,
    TeamsChannel,
    TelegramChannel,
    own_fields,
    type_name,
)
from relay.notify.registry import NOTIFIERS
from tests.notify.factories import TOKENS

ChannelType = type[BaseChannel]

ALL: Final[tuple[ChannelType, ...]] = tuple(NOTIFIERS)
WITH_SECRET_URL: Final = tuple(
    channel_class for channel_class in ALL if "webhook_url" in own_fields(channel_class)
)
"""The URL itself is the channel's secret."""
OVER_HTTP: Final = tuple(
    channel_class for channel_class in ALL if channel_class in TOKENS or channel_class in WITH_SECRET_URL
)
"""The relay's own HTTP session delivers to a URL of the channel."""
CHAT: Final[tuple[ChannelType, ...]] = (SlackChannel, DiscordChannel, TeamsChannel, TelegramChannel)
"""Their messages contain the full text of the alerts, with links."""


def _each(channel_types: Iterable[ChannelType]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("channel_type", channel_types, ids=type_name)


each_type = _each(ALL)
each_http_type = _each(OVER_HTTP)
each_secret_url_type = _each(WITH_SECRET_URL)
each_chat_type = _each(CHAT)
