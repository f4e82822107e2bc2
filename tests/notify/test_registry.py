"""The rate limits of channels and of their platforms."""

from relay.domain.channel_types import (
    DiscordChannel,
    PagerDutyChannel,
    RateLimit,
    SlackChannel,
    SmsChannel,
    TeamsChannel,
    TelegramChannel,
    WebhookChannel,
)
from relay.notify.registry import effective_rate_limit
from tests.notify.channel_types import ChannelType, each_http_type
from tests.notify.factories import channel


@each_http_type
def test_a_channel_s_own_limit_overrides_its_platform_s(channel_type: ChannelType) -> None:
    own = RateLimit(per_second=7, burst=9)
    assert effective_rate_limit(channel(channel_type, rate_limit={"per_second": 7, "burst": 9})) == own


def test_platforms_have_limits_of_their_own() -> None:
    assert effective_rate_limit(channel(SlackChannel)) == RateLimit(per_second=1, burst=3)
    assert effective_rate_limit(channel(DiscordChannel)) == RateLimit(per_second=0.5, burst=5)
    assert effective_rate_limit(channel(TeamsChannel)) == RateLimit(per_second=1, burst=3)
    assert effective_rate_limit(channel(WebhookChannel)) is None
    assert effective_rate_limit(channel(TelegramChannel)) == RateLimit(per_second=1, burst=3)
    assert effective_rate_limit(channel(TelegramChannel, chat_id="-1001234")) == RateLimit(
        per_second=1 / 3, burst=5
    )
    assert effective_rate_limit(channel(PagerDutyChannel)) is None
    assert effective_rate_limit(channel(SmsChannel)) == RateLimit(per_second=1, burst=5)
