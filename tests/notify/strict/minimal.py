"""The smallest message that each platform accepts, and its headers."""

from typing import Any

from relay.notify.redact import basic_credentials
from tests.notify.factories import ACCOUNT, AUTH_TOKEN, ROUTING_KEY
from tests.notify.strict.slack import SLACK_TOKEN
from tests.notify.strict.teams import CARD

JSON = {"Content-Type": "application/json; charset=utf-8"}
BEARER = JSON | {"Authorization": f"Bearer {SLACK_TOKEN}"}
ALERTS = "C0ALERTS01"
QUIET: dict[str, Any] = {"allowed_mentions": {"parse": []}}
PLAIN = {"chat_id": "42", "parse_mode": "HTML", "link_preview_options": {"is_disabled": True}}
EVENT = {
    "routing_key": ROUTING_KEY,
    "event_action": "trigger",
    "dedup_key": "x",
    "payload": {"summary": "x", "source": "x", "severity": "info"},
}
TEXT = b"To=%2B15005550001&From=%2B15005550006&Body=x"
BASIC = {
    "Authorization": f"Basic {basic_credentials(ACCOUNT, AUTH_TOKEN)}",
    "Content-Type": "application/x-www-form-urlencoded",
}


def section(text: str, **more: Any) -> dict[str, Any]:
    return {"type": "section", "text": {"type": "mrkdwn", "text": text, **more}}


def in_blocks(*blocks: Any) -> dict[str, Any]:
    return {"text": "x", "attachments": [{"color": "#D32F2F", "fallback": "x", "blocks": list(blocks)}]}


def embedded(**embed: Any) -> dict[str, Any]:
    return QUIET | {"embeds": [embed]}


def card(*body: Any, **more: Any) -> dict[str, Any]:
    content = {"type": "AdaptiveCard", "version": "1.4", "body": list(body), **more}
    return {"type": "message", "attachments": [{"contentType": CARD, "content": content}]}


def line(text: str, **style: Any) -> dict[str, Any]:
    return {"type": "RichTextBlock", "inlines": [{"type": "TextRun", "text": text, **style}]}
