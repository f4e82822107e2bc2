"""The options of the channel types that use tokens."""

from pathlib import Path
from typing import Any

import pytest

from relay.cli.channel_options import HELP
from relay.domain.channel_types import CHANNEL_CLASSES
from tests.notify.factories import ACCOUNT, AUTH_TOKEN, BOT_TOKEN, ROUTING_KEY

from .conftest import FakeApi, Relay


@pytest.mark.parametrize(
    ("arguments", "body"),
    [
        (
            ["telegram", "--bot-token", BOT_TOKEN, "--chat-id", "-1001234567890", "--message-thread-id", "7"],
            {
                "channel_type": "telegram",
                "bot_token": BOT_TOKEN,
                "chat_id": "-1001234567890",
                "message_thread_id": 7,
            },
        ),
        (
            [
                "slack",
                "--bot-token",
                "xoxb-1234567890",
                "--slack-channel",
                "C0123456789",
                "--notify-on",
                "firing",
                "--notify-on",
                "resolved",
            ],
            {
                "channel_type": "slack",
                "bot_token": "xoxb-1234567890",
                "slack_channel": "C0123456789",
                "notify_on": ["firing", "resolved"],
            },
        ),
        (
            ["telegram", "--bot-token", BOT_TOKEN, "--chat-id", "42", "--notify-on", "none"],
            {"channel_type": "telegram", "bot_token": BOT_TOKEN, "chat_id": "42", "notify_on": []},
        ),
        (["pagerduty", "--routing-key", ROUTING_KEY], {"channel_type": "pagerduty", "routing_key": ROUTING_KEY}),
        (
            (
                f"sms --account-sid {ACCOUNT} --auth-token {AUTH_TOKEN} --sms-from Alerts "
                "--sms-to +4915112345678 +15005550001"
            ).split(),
            {
                "channel_type": "sms",
                "account_sid": ACCOUNT,
                "auth_token": AUTH_TOKEN,
                "sms_to": ["+4915112345678", "+15005550001"],
                "sms_from": "Alerts",
            },
        ),
    ],
    ids=["telegram", "slack by a bot", "no posts", "pagerduty", "sms"],
)
async def test_options_set_the_fields_of_the_type(
    api: FakeApi, relay_at: Relay, arguments: list[str], body: dict[str, Any]
) -> None:
    api.respond({"id": "ops", "name": "Ops"}, 201)
    result = await relay_at("channels", "create", *arguments, "--name", "Ops")
    assert (result.code, result.err) == (0, "")
    assert api.body == body | {"name": "Ops"}


async def test_a_token_is_read_from_a_file(api: FakeApi, relay_at: Relay, tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text(BOT_TOKEN + "\n")
    await relay_at("channels", "create", "telegram", "--bot-token", f"@{file}", "--chat-id=42", "--name", "Ops")
    assert api.body["bot_token"] == BOT_TOKEN


async def test_a_slack_channel_is_updated_from_a_webhook_to_a_bot(api: FakeApi, relay_at: Relay) -> None:
    result = await relay_at(
        *("channels", "update", "ops", "--clear", "webhook-url"),
        *("--bot-token", "xoxb-1234567890", "--slack-channel", "C0123456789"),
    )
    assert (result.code, result.err) == (0, "")
    assert api.body == {"webhook_url": None, "bot_token": "xoxb-1234567890", "slack_channel": "C0123456789"}


def test_every_field_has_a_help_text() -> None:
    assert {name for kind in CHANNEL_CLASSES for name in kind.__struct_fields__} <= set(HELP)
