"""The built-in channel templates."""

from functools import cache
from typing import Any, Final

import msgspec

from relay.domain.channel_types import channel_types
from relay.domain.templates.channel_templates import ChannelTemplate, parse_channel_template
from relay.domain.templates.checks import validate_channel_template

CRITICAL: Final = ["critical"]
NOT_CRITICAL: Final = ['severity!="critical"']
SECURITY: Final = ["security"]


def _required(name: str, description: str) -> dict[str, Any]:
    return {"name": name, "description": description}


def _optional(name: str, description: str, default: Any = None) -> dict[str, Any]:
    return _required(name, description) | {"required": False, "default": default}


def _parameter_refs(*names: str) -> dict[str, dict[str, str]]:
    """Return fields that are parameters of the same name."""
    return {name: {"$": name} for name in names}


_slack_url = _required("webhook_url", "The URL of a Slack incoming webhook.")
_slack_channel = _optional("slack_channel", "The Slack channel to post to, if the webhook allows it.")
_routing_key = _required("routing_key", "The integration key of a PagerDuty service (Events API v2).")
_mail = [
    _required("smtp_host", "The mail server."),
    _optional("smtp_port", "The port; by default the usual one for `smtp_security`."),
    _optional("smtp_security", "The encryption of the connection: starttls (the default), tls or none."),
    _optional("smtp_username", "The user name; without it there is no login."),
    _optional("smtp_password", "The password of that user."),
    _required("email_from", "The sender's address."),
    _required("email_to", "The recipients' addresses."),
]
_mail_fields = _parameter_refs(*(str(parameter["name"]) for parameter in _mail))

BUILT_IN: Final[list[dict[str, Any]]] = [
    {
        "id": "critical-to-slack",
        "name": "Critical to Slack",
        "description": "Critical alerts and their resolution to one Slack channel.",
        "parameters": [_slack_url, _slack_channel],
        "channels": [
            {
                "channel_type": "slack",
                "name": "Critical to Slack",
                "severities": CRITICAL,
                **_parameter_refs("webhook_url", "slack_channel"),
            }
        ],
    },
    {
        "id": "everything-to-slack-by-bot",
        "name": "Everything to Slack by a bot",
        "description": (
            "All alerts to one Slack channel by a bot, which edits the message of each group when it changes and "
            "replies to it when all alerts are resolved."
        ),
        "parameters": [
            _required("bot_token", "The bot's token, xoxb-…, of a Slack app with the scope chat:write."),
            _required("slack_channel", "The id of the Slack channel, such as C0123456789; the bot must be in it."),
        ],
        "channels": [
            {
                "channel_type": "slack",
                "name": "Everything to Slack",
                "notify_on": ["firing", "repeat", "resolved"],
                **_parameter_refs("bot_token", "slack_channel"),
            }
        ],
    },
    {
        "id": "slack-by-severity",
        "name": "Slack by severity",
        "description": (
            "Critical alerts to one Slack channel, all others to a second one, which is the fallback of the first."
        ),
        "parameters": [
            _required("critical_webhook_url", "The incoming webhook of the Slack channel for critical alerts."),
            _required("other_webhook_url", "The incoming webhook of the Slack channel for all others."),
            _optional("critical_name", "The name of the channel for critical alerts.", "Critical to Slack"),
            _optional("other_name", "The name of the channel for all others.", "The rest to Slack"),
        ],
        "channels": [
            {
                "channel_type": "slack",
                "name": {"$": "other_name"},
                "webhook_url": {"$": "other_webhook_url"},
                "matchers": NOT_CRITICAL,
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
        "description": "The alerts with a team's label to that team's Slack channel.",
        "parameters": [
            _required("name", "The name of the channel."),
            _slack_url,
            _required("matcher", "The matcher for the team's alerts, such as 'team=\"db\"'."),
            _slack_channel,
        ],
        "channels": [
            {
                "channel_type": "slack",
                "matchers": [{"$": "matcher"}],
                **_parameter_refs("name", "webhook_url", "slack_channel"),
            }
        ],
    },
    {
        "id": "tenant-to-teams",
        "name": "Everything of one tenant to Teams",
        "description": "All alerts of one tenant, and of no other, to a Microsoft Teams channel.",
        "parameters": [
            _required("name", "The name of the channel."),
            _required("tenant_id", "The tenant, as in the alerts' tenant label."),
            _required("webhook_url", "The URL of a Teams webhook created with Workflows."),
            _optional("teams_title", "The title of the cards."),
        ],
        "channels": [
            {"channel_type": "teams", **_parameter_refs("name", "tenant_id", "webhook_url", "teams_title")},
        ],
    },
    {
        "id": "everything-to-discord",
        "name": "Everything to Discord",
        "description": "All alerts to one Discord channel.",
        "parameters": [_required("webhook_url", "The URL of a Discord webhook.")],
        "channels": [
            {"channel_type": "discord", "name": "Everything to Discord", **_parameter_refs("webhook_url")}
        ],
    },
    {
        "id": "everything-to-webhook",
        "name": "Everything to a webhook",
        "description": "All alerts as JSON to an HTTP endpoint.",
        "parameters": [
            _required("webhook_url", "The URL to post to."),
            _optional("authorization", "The Authorization header to send, such as 'Bearer …'."),
        ],
        "channels": [
            {
                "channel_type": "webhook",
                "name": "Everything to a webhook",
                "custom_headers": {"Authorization": {"$": "authorization"}},
                **_parameter_refs("webhook_url"),
            }
        ],
    },
    {
        "id": "warnings-and-worse-by-email",
        "name": "Warnings and worse by e-mail",
        "description": "Warnings and critical alerts by email.",
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
            "Alerts of the category security, of any severity, as incidents of a PagerDuty service and by email. "
            "Both channels get every alert, so neither is the fallback of the other."
        ),
        "parameters": [
            _routing_key,
            *_mail,
            _optional("pagerduty_name", "The name of the PagerDuty channel.", "Security to PagerDuty"),
            _optional("email_name", "The name of the email channel.", "Security by e-mail"),
        ],
        "channels": [
            {
                "channel_type": "pagerduty",
                "name": {"$": "pagerduty_name"},
                "alert_categories": SECURITY,
                **_parameter_refs("routing_key"),
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
            "Critical alerts page through PagerDuty, all others go to Slack. Slack is the fallback of PagerDuty."
        ),
        "parameters": [
            _routing_key,
            _slack_url,
            _slack_channel,
            _optional("pagerduty_name", "The name of the channel that pages.", "Page on critical"),
            _optional("slack_name", "The name of the channel that logs.", "Log the rest"),
        ],
        "channels": [
            {
                "channel_type": "slack",
                "name": {"$": "slack_name"},
                "matchers": NOT_CRITICAL,
                **_parameter_refs("webhook_url", "slack_channel"),
            },
            {
                "channel_type": "pagerduty",
                "name": {"$": "pagerduty_name"},
                "severities": CRITICAL,
                "fallback_channel_id": {"$channel": 0},
                **_parameter_refs("routing_key"),
            },
        ],
    },
    {
        "id": "critical-by-sms",
        "name": "Critical by SMS",
        "description": "Critical alerts as text messages through Twilio, without their resolution.",
        "parameters": [
            _required("account_sid", "The SID of the Twilio account."),
            _required("auth_token", "The account's auth token."),
            _required("sms_to", "The recipients' numbers with country code, such as +4366012345678."),
            _optional("sms_from", "The number to send from; this or a messaging service is required."),
            _optional("messaging_service_sid", "The SID of the messaging service to send from."),
        ],
        "channels": [
            {
                "channel_type": "sms",
                "name": "Critical by SMS",
                "severities": CRITICAL,
                "send_resolved": False,
                **_parameter_refs("account_sid", "auth_token", "sms_to", "sms_from", "messaging_service_sid"),
            }
        ],
    },
    {
        "id": "critical-to-telegram",
        "name": "Critical to Telegram",
        "description": "Critical alerts to a Telegram chat.",
        "parameters": [
            _required("bot_token", "The bot's token from BotFather."),
            _required("chat_id", "The chat, as a number or @name."),
        ],
        "channels": [
            {
                "channel_type": "telegram",
                "name": "Critical to Telegram",
                "severities": CRITICAL,
                **_parameter_refs("bot_token", "chat_id"),
            }
        ],
    },
]
IDS: Final = frozenset(str(data["id"]) for data in BUILT_IN)
"""The ids of all built-in templates, listed or not. They are reserved."""


@cache
def built_in_templates() -> dict[str, ChannelTemplate]:
    """Return the templates whose channel types this release supports, by id, in the order of the ids."""
    usable = [data for data in BUILT_IN if _types(data) <= set(channel_types())]
    templates = [
        validate_channel_template(parse_channel_template(data))
        for data in sorted(usable, key=lambda data: str(data["id"]))
    ]
    return {template.id: msgspec.structs.replace(template, builtin=True) for template in templates}


def _types(data: dict[str, Any]) -> set[str]:
    return {body["channel_type"] for body in data["channels"]}
