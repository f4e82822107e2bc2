"""The channels in the pictures."""

from typing import Any, Final

from relay.domain.channel_types import Channel
from relay.domain.channels import parse_channel

_fields: Final[dict[str, dict[str, Any]]] = {
    "slack": {"bot_token": "xoxb-1234567890-abcdefghij", "slack_channel": "C0123456789"},
    "discord": {"webhook_url": "https://discord.com/api/webhooks/1/abc"},
    "teams": {"webhook_url": "https://example.logic.azure.com/workflows/1", "teams_title": "Operations"},
    "telegram": {"bot_token": "123456789:AAxJ9f-Qw3_kLmZ8vTt0pR2aBcDeFgHiJk", "chat_id": "-1001234567890"},
    "email": {
        "smtp_host": "mail.example.com",
        "email_from": "alerts@example.com",
        "email_to": ["ops@example.com"],
    },
    "sms": {
        "account_sid": "AC" + "0" * 32,
        "auth_token": "0" * 32,
        "sms_from": "+15005550006",
        "sms_to": ["+15005550001"],
    },
    "pagerduty": {"routing_key": "0" * 32},
    "webhook": {"webhook_url": "https://ops.example.com/alerts"},
    "apprise": {"apprise_url": "ntfys://operations"},
}


def channel(channel_type: str) -> Channel:
    """Make a channel of a type with its required fields."""
    return parse_channel({"channel_type": channel_type, "name": "Operations", "id": "ops"} | _fields[channel_type])
