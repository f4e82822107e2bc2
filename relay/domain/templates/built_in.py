"""Which channel templates come with the relay?"""

from functools import cache
from typing import Any, Final

import msgspec

from relay.domain.channel_types import channel_types
from relay.domain.templates.channel_templates import ChannelTemplate, parse_channel_template
from relay.domain.templates.checks import validate_channel_template

CRITICAL: Final = ["critical"]
THE_REST: Final = ['severity!="critical"']
SECURITY: Final = ["security"]


def _asked(name: str, description: str) -> dict[str, Any]:
    return {"name": name, "description": description}


def _may_be_given(name: str, description: str, default: Any = None) -> dict[str, Any]:
    return _asked(name, description) | {"required": False, "default": default}


def _from(*names: str) -> dict[str, dict[str, str]]:
    """Fields that are parameters of the same name."""
    return {name: {"$": name} for name in names}


_slack_url = _asked("webhook_url", "The URL of a Slack incoming webhook.")
_slack_channel = _may_be_given("slack_channel", "The Slack channel to post to, where the webhook allows it.")
_routing_key = _asked("routing_key", "The integration key of a PagerDuty service (Events API v2).")
_mail = [
    _asked("smtp_host", "The mail server."),
    _may_be_given("smtp_port", "Its port; that of its kind of security when left out."),
    _may_be_given("smtp_security", "How it is spoken to; STARTTLS when left out."),
    _may_be_given("smtp_username", "The user to log in as; nobody logs in when left out."),
    _may_be_given("smtp_password", "That user's password."),
    _asked("email_from", "The address that mails come from."),
    _asked("email_to", "Who gets them."),
]
_mail_fields = _from(*(str(parameter["name"]) for parameter in _mail))

BUILT_IN: Final[list[dict[str, Any]]] = [
    {
        "id": "critical-to-slack",
        "name": "Critical to Slack",
        "description": "Critical alerts, and that they are over, to one Slack channel.",
        "parameters": [_slack_url, _slack_channel],
        "channels": [
            {
                "channel_type": "slack",
                "name": "Critical to Slack",
                "severities": CRITICAL,
                **_from("webhook_url", "slack_channel"),
            }
        ],
    },
    {
        "id": "everything-to-slack-by-bot",
        "name": "Everything to Slack by a bot",
        "description": (
            "All alerts to one Slack channel by a bot, which keeps the message of each group up to date, and "
            "replies below it when all is resolved."
        ),
        "parameters": [
            _asked("bot_token", "The bot's token, xoxb-…, of a Slack app with the scope chat:write."),
            _asked("slack_channel", "The id of the Slack channel, such as C0123456789; the bot must be in it."),
        ],
        "channels": [
            {
                "channel_type": "slack",
                "name": "Everything to Slack",
                "slack_reply_resolved": True,
                **_from("bot_token", "slack_channel"),
            }
        ],
    },
    {
        "id": "slack-by-severity",
        "name": "Slack by severity",
        "description": (
            "Critical alerts to one Slack channel, all others to a second one. What can't be told to the first is "
            "told to the second."
        ),
        "parameters": [
            _asked("critical_webhook_url", "The incoming webhook of the Slack channel for critical alerts."),
            _asked("other_webhook_url", "The incoming webhook of the Slack channel for all others."),
            _may_be_given("critical_name", "What to call the channel for critical alerts.", "Critical to Slack"),
            _may_be_given("other_name", "What to call the channel for all others.", "The rest to Slack"),
        ],
        "channels": [
            {
                "channel_type": "slack",
                "name": {"$": "other_name"},
                "webhook_url": {"$": "other_webhook_url"},
                "matchers": THE_REST,
            },
            {
                "channel_type": "slack",
                "name": {"$": "critical_name"},
                "webhook_url": {"$": "critical_webhook_url"},
                "severities": CRITICAL,
                "fallback_channel_id": {"$channel": 0},
            },
        ],
    },
    {
        "id": "team-to-slack",
        "name": "A team's alerts to Slack",
        "description": "What carries a team's labels to that team's Slack channel.",
        "parameters": [
            _asked("name", "What to call the channel."),
            _slack_url,
            _asked("matcher", "What marks the team's alerts, such as 'team=\"db\"'."),
            _slack_channel,
        ],
        "channels": [
            {
                "channel_type": "slack",
                "matchers": [{"$": "matcher"}],
                **_from("name", "webhook_url", "slack_channel"),
            }
        ],
    },
    {
        "id": "tenant-to-teams",
        "name": "Everything of one tenant to Teams",
        "description": "All alerts of one tenant, and no other's, to a Microsoft Teams channel.",
        "parameters": [
            _asked("name", "What to call the channel."),
            _asked("tenant_id", "The tenant, as its alerts' label names it."),
            _asked("webhook_url", "The URL of a Teams webhook made by Workflows."),
            _may_be_given("teams_title", "The title of the cards."),
        ],
        "channels": [
            {"channel_type": "teams", **_from("name", "tenant_id", "webhook_url", "teams_title")},
        ],
    },
    {
        "id": "everything-to-discord",
        "name": "Everything to Discord",
        "description": "All alerts to one Discord channel.",
        "parameters": [_asked("webhook_url", "The URL of a Discord webhook.")],
        "channels": [{"channel_type": "discord", "name": "Everything to Discord", **_from("webhook_url")}],
    },
    {
        "id": "everything-to-webhook",
        "name": "Everything to a webhook",
        "description": "All alerts as JSON to an HTTP endpoint of yours.",
        "parameters": [
            _asked("webhook_url", "Where to post."),
            _may_be_given("authorization", "The Authorization header to send, such as 'Bearer …'."),
        ],
        "channels": [
            {
                "channel_type": "webhook",
                "name": "Everything to a webhook",
                "custom_headers": {"Authorization": {"$": "authorization"}},
                **_from("webhook_url"),
            }
        ],
    },
    {
        "id": "warnings-and-worse-by-email",
        "name": "Warnings and worse by e-mail",
        "description": "Warnings and critical alerts by e-mail.",
        "parameters": _mail,
        "channels": [
            {
                "channel_type": "email",
                "name": "Warnings and worse by e-mail",
                "severities": ["warning", *CRITICAL],
                **_mail_fields,
            }
        ],
    },
    {
        "id": "security-to-pagerduty-and-email",
        "name": "Security to PagerDuty and e-mail",
        "description": (
            "Alerts of the category security, whatever their severity, as incidents of a PagerDuty service and by "
            "e-mail. Both are told of each, so neither stands in for the other."
        ),
        "parameters": [
            _routing_key,
            *_mail,
            _may_be_given("pagerduty_name", "What to call the PagerDuty channel.", "Security to PagerDuty"),
            _may_be_given("email_name", "What to call the e-mail channel.", "Security by e-mail"),
        ],
        "channels": [
            {
                "channel_type": "pagerduty",
                "name": {"$": "pagerduty_name"},
                "alert_categories": SECURITY,
                **_from("routing_key"),
            },
            {
                "channel_type": "email",
                "name": {"$": "email_name"},
                "alert_categories": SECURITY,
                **_mail_fields,
            },
        ],
    },
    {
        "id": "page-on-critical-log-the-rest",
        "name": "Page on critical, log the rest",
        "description": (
            "Critical alerts page by PagerDuty, all others are only posted to Slack. What PagerDuty can't be told "
            "is told to Slack."
        ),
        "parameters": [
            _routing_key,
            _slack_url,
            _slack_channel,
            _may_be_given("pagerduty_name", "What to call the channel that pages.", "Page on critical"),
            _may_be_given("slack_name", "What to call the channel that logs.", "Log the rest"),
        ],
        "channels": [
            {
                "channel_type": "slack",
                "name": {"$": "slack_name"},
                "matchers": THE_REST,
                **_from("webhook_url", "slack_channel"),
            },
            {
                "channel_type": "pagerduty",
                "name": {"$": "pagerduty_name"},
                "severities": CRITICAL,
                "fallback_channel_id": {"$channel": 0},
                **_from("routing_key"),
            },
        ],
    },
    {
        "id": "critical-by-sms",
        "name": "Critical by SMS",
        "description": "Critical alerts as text messages by Twilio; that they are over is not told.",
        "parameters": [
            _asked("account_sid", "The SID of the Twilio account."),
            _asked("auth_token", "The account's auth token."),
            _asked("sms_to", "Who gets them, with the country's code: +4366012345678."),
            _may_be_given("sms_from", "The number to send from; this, or a messaging service."),
            _may_be_given("messaging_service_sid", "The SID of the messaging service to send by."),
        ],
        "channels": [
            {
                "channel_type": "sms",
                "name": "Critical by SMS",
                "severities": CRITICAL,
                "send_resolved": False,
                **_from("account_sid", "auth_token", "sms_to", "sms_from", "messaging_service_sid"),
            }
        ],
    },
    {
        "id": "critical-to-telegram",
        "name": "Critical to Telegram",
        "description": "Critical alerts to a Telegram chat.",
        "parameters": [
            _asked("bot_token", "The bot's token, as BotFather gave it."),
            _asked("chat_id", "The chat, as a number or as @name."),
        ],
        "channels": [
            {
                "channel_type": "telegram",
                "name": "Critical to Telegram",
                "severities": CRITICAL,
                **_from("bot_token", "chat_id"),
            }
        ],
    },
]
IDS: Final = frozenset(str(data["id"]) for data in BUILT_IN)
"""Those of all, listed or not: none is free for a template of a user's own."""


@cache
def built_in_templates() -> dict[str, ChannelTemplate]:
    """The templates whose channel types this release has, by id, in the order of the ids."""
    usable = [data for data in BUILT_IN if _types(data) <= set(channel_types())]
    templates = [
        validate_channel_template(parse_channel_template(data))
        for data in sorted(usable, key=lambda data: str(data["id"]))
    ]
    return {template.id: msgspec.structs.replace(template, builtin=True) for template in templates}


def _types(data: dict[str, Any]) -> set[str]:
    return {body["channel_type"] for body in data["channels"]}
