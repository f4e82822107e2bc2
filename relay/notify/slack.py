"""How is a notification told on Slack, over an incoming webhook?

https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks
"""

from typing import Any, Final

import msgspec

from relay.domain.alerts import Status
from relay.domain.channels import SlackChannel
from relay.domain.notifications import Notification
from relay.domain.outcomes import Outcome, Reason, Rejected, Retry
from relay.notify.base import Notifier, Request, Response, classify, retry_after
from relay.notify.content import AlertText, Content, content_of, fit, labels_line, left_out

MAX_SECTION: Final = 3000
"""Characters of a section's text. https://docs.slack.dev/reference/block-kit/blocks/section-block"""
MAX_BLOCKS: Final = 50
"""Blocks of a message. https://docs.slack.dev/reference/block-kit/blocks"""
MAX_TEXT: Final = 12_000
"""Characters over all blocks; about 13,200 are refused as msg_blocks_too_long, which no page says."""
MAX_HEADLINE: Final = 300
MAX_TITLE: Final = 300
MAX_DESCRIPTION: Final = 1000
MAX_LABELS: Final = 600
MAX_LINK: Final = 800
"""A link that is longer as written is left out: it would take the room of the words."""

RATE_LIMITED: Final = frozenset({"ratelimited", "rate_limited", "message_limit_exceeded"})
AUTH_ERRORS: Final = frozenset(
    {
        "invalid_auth",
        "invalid_token",
        "not_authed",
        "token_revoked",
        "token_expired",
        "account_inactive",
        "no_permission",
    }
)
SERVER_ERRORS: Final = frozenset({"internal_error", "fatal_error", "service_unavailable", "request_timeout"})
"""https://docs.slack.dev/reference/methods/chat.postMessage#errors"""


class SlackNotifier(Notifier[SlackChannel]):
    """Slack, and servers that speak its incoming webhooks."""

    def request(self, channel: SlackChannel, notification: Notification) -> Request:
        """One message: the headline, and the alerts in an attachment that carries the severity's colour."""
        content = content_of(notification)
        headline = _headline(content)
        message: dict[str, Any] = {
            "text": headline,
            "attachments": [{"color": f"#{content.colour:06X}", "fallback": headline, "blocks": _blocks(content)}],
        }
        overrides = {
            "channel": channel.slack_channel,
            "username": channel.slack_username,
            "icon_emoji": channel.slack_icon_emoji,
        }
        message |= {name: value for name, value in overrides.items() if value is not None}
        return Request(url=channel.webhook_url, body=msgspec.json.encode(message))

    def verdict(self, response: Response) -> Outcome:
        """Slack may refuse inside a 200: `{"ok": false, "error": "…"}`."""
        outcome = classify(response)
        if 200 <= response.status < 300 and (error := _error_in(response.body)) is not None:
            return _outcome_of(error, response)
        return outcome


def escape(text: str) -> str:
    """Escape text so that it can't form a mention, a link or an entity.

    https://docs.slack.dev/messaging/formatting-message-text#escaping
    """
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _headline(content: Content) -> str:
    return f"*{fit(content.headline, MAX_HEADLINE, escape)}*"


def _blocks(content: Content) -> list[dict[str, Any]]:
    closing = _closing(content)
    blocks: list[dict[str, Any]] = []
    if content.labels:
        blocks.append(_context(fit(labels_line(content.labels), MAX_LABELS, escape)))
    room = MAX_TEXT - sum(map(_length, [*blocks, *closing]))
    for at, alert in enumerate(content.alerts):
        block = _section(_alert(alert))
        left = len(content.alerts) - at
        after = len(closing) + (left > 1)
        if _length(block) > room or len(blocks) + 1 + after > MAX_BLOCKS:
            blocks.append(_context(left_out(left)))
            break
        blocks.append(block)
        room -= _length(block)
    return [*blocks, *closing]


def _alert(alert: AlertText) -> str:
    mark = "🔥" if alert.status is Status.FIRING else "✅"
    lines = [f"{mark} *{fit(alert.title, MAX_TITLE, escape)}*"]
    if alert.labels:
        lines.append(f"`{fit(labels_line(alert.labels).replace('`', chr(39)), MAX_LABELS, escape)}`")
    lines.append(" · ".join([alert.times, *_links(alert.links)]))
    if alert.description:
        room = MAX_SECTION - len("\n".join(lines)) - 1
        lines.insert(1, fit(alert.description, min(room, MAX_DESCRIPTION), escape))
    return "\n".join(lines)


def _closing(content: Content) -> list[dict[str, Any]]:
    parts = [*([content.truncated] if content.truncated else []), *_links(content.links)]
    return [_context(" · ".join(parts))] if parts else []


def _links(links: tuple[tuple[str, str], ...]) -> list[str]:
    written = [f"<{escape(url)}|{text}>" for text, url in links]
    return [link for link in written if len(link) <= MAX_LINK]


def _section(text: str) -> dict[str, Any]:
    return {"type": "section", "text": {"type": "mrkdwn", "text": text}}


def _context(text: str) -> dict[str, Any]:
    return {"type": "context", "elements": [{"type": "mrkdwn", "text": text}]}


def _length(block: dict[str, Any]) -> int:
    return len(block["text"]["text"] if "text" in block else block["elements"][0]["text"])


def _error_in(body: bytes) -> str | None:
    try:
        answer = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    if not isinstance(answer, dict) or answer.get("ok") is not False:
        return None
    return str(answer.get("error", "unknown_error"))


def _outcome_of(error: str, response: Response) -> Outcome:
    if error in RATE_LIMITED:
        return Retry(Reason.RATE_LIMITED, error, response.status, retry_after(response.headers))
    if error in SERVER_ERRORS:
        return Retry(Reason.SERVER_ERROR, error, response.status, retry_after(response.headers))
    return Rejected(Reason.AUTH_ERROR if error in AUTH_ERRORS else Reason.CLIENT_ERROR, error, response.status)
