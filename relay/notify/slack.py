"""How is a message told on Slack, over an incoming webhook?

https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks
"""

import re
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from relay.domain.alerts import Status
from relay.domain.channel_types import RateLimit, SlackChannel
from relay.domain.notifications import Message
from relay.domain.outcomes import Outcome, Reason, Rejected
from relay.notify.base import Notifier, Request, Response, classify, gone, retry
from relay.notify.content import AlertText, Content, content_of, fit, labels_line, left_out
from relay.notify.pages import NUMBER_ROOM, Page, Space, pages_of
from relay.notify.pauses import json_object
from relay.notify.summary import Room, summary_lines

MAX_SECTION: Final = 3000
"""Characters of a section's text. https://docs.slack.dev/reference/block-kit/blocks/section-block"""
MAX_BLOCKS: Final = 50
"""Blocks of a message. https://docs.slack.dev/reference/block-kit/blocks"""
MAX_TEXT: Final = 12_000
"""Characters over all blocks; about 13,200 are refused as msg_blocks_too_long, which no page says."""
RATE_LIMIT: Final = RateLimit(per_second=1, burst=3)
"""One message a second, "short bursts" allowed. https://docs.slack.dev/apis/web-api/rate-limits"""
MAX_HEADLINE: Final = 300 - NUMBER_ROOM
MAX_NOTE: Final = 600
MAX_TITLE: Final = 300
MAX_LABELS: Final = 600
MAX_LINK: Final = 800
"""A link that is longer as written is left out: it would take the room of the words."""

RATE_LIMITED: Final = frozenset({"ratelimited", "rate_limited", "message_limit_exceeded"})
AUTH_ERRORS: Final = frozenset(
    {
        "access_denied",
        "account_inactive",
        "action_prohibited",
        "ekm_access_denied",
        "invalid_auth",
        "invalid_token",
        "missing_scope",
        "no_permission",
        "not_authed",
        "not_in_channel",
        "org_login_required",
        "posting_to_general_channel_denied",
        "restricted_action",
        "team_access_not_granted",
        "token_expired",
        "token_revoked",
    }
)
SERVER_ERRORS: Final = frozenset({"internal_error", "fatal_error", "service_unavailable", "request_timeout"})
"""https://docs.slack.dev/reference/methods/chat.postMessage#errors"""
GONE: Final = frozenset(
    {
        "channel_is_archived",
        "channel_not_found",
        "is_archived",
        "no_active_hooks",
        "no_service",
        "no_service_id",
        "no_team",
        "user_not_found",
    }
)
"""https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks#handling-errors"""
MAX_WORDS: Final = 200
"""Characters of a refusal in which its word is looked for."""

_word = re.compile(r"[a-z_]+")


class SlackNotifier(Notifier[SlackChannel]):
    """Slack, and servers that speak its incoming webhooks."""

    rate_limit = RATE_LIMIT

    def requests(self, channel: SlackChannel, message: Message) -> Sequence[Request]:
        """Messages of a headline, and alerts in an attachment that carries the severity's colour."""
        overrides = {
            "channel": channel.slack_channel,
            "username": channel.slack_username,
            "icon_emoji": channel.slack_icon_emoji,
        }
        given = {name: value for name, value in overrides.items() if value is not None}
        bodies = _bodies(content_of(message), channel.max_messages)
        return [Request(url=channel.webhook_url, body=msgspec.json.encode(body | given)) for body in bodies]

    def verdict(self, response: Response) -> Outcome:
        """Slack names the error in a word, and may refuse inside a 200: `{"ok": false, "error": "…"}`."""
        if 200 <= response.status < 300:
            error = _error_in(response.body)
            return classify(response) if error is None else _outcome_of(error, response)
        if 400 <= response.status < 500 and not GONE.isdisjoint(_word.findall(response.words[:MAX_WORDS])):
            return gone(response)
        return classify(response)


def escape(text: str) -> str:
    """Escape text so that it can't form a mention, a link or an entity.

    https://docs.slack.dev/messaging/formatting-message-text#escaping
    """
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _bodies(content: Content, max_messages: int) -> list[dict[str, Any]]:
    start = _start(content)
    around = [*start, *_closing(content, content.total)]
    room = MAX_TEXT - sum(map(_length, around))
    summary: list[dict[str, Any]] = []
    if content.counts:
        limits = Room(total=room, line=MAX_SECTION, escape=escape)
        summary = [_section(line) for line in summary_lines(content.counts, limits)]
        room -= sum(map(_length, summary))
    space = Space(size=room, alerts=MAX_BLOCKS - len(around) - len(summary))
    pages = pages_of(content, max_messages, space, _alert, _length)
    return [_body(content, page, [*start, *summary, *page.alerts]) for page in pages]


def _body(content: Content, page: Page[dict[str, Any]], blocks: list[dict[str, Any]]) -> dict[str, Any]:
    headline = f"*{fit(content.headline, MAX_HEADLINE, escape)}{page.number}*"
    if page.is_last:
        blocks += _closing(content, page.left_out)
    attachment = {"color": f"#{content.colour:06X}", "fallback": headline, "blocks": blocks}
    return {"text": headline, "attachments": [attachment]}


def _start(content: Content) -> list[dict[str, Any]]:
    blocks = [_context(fit(note, MAX_NOTE, escape)) for note in content.notes]
    if content.labels:
        blocks.append(_context(fit(labels_line(content.labels), MAX_LABELS, escape)))
    return blocks


def _alert(alert: AlertText, description: int) -> dict[str, Any]:
    mark = "🔥" if alert.status is Status.FIRING else "✅"
    lines = [f"{mark} *{fit(alert.title, MAX_TITLE, escape)}*"]
    if alert.labels:
        lines.append(f"`{fit(labels_line(alert.labels).replace('`', chr(39)), MAX_LABELS, escape)}`")
    lines.append(" · ".join([alert.times, *_links(alert.links)]))
    room = min(description, MAX_SECTION - len("\n".join([*lines, ""])))
    if told := fit(alert.description, room, escape):
        lines.insert(1, told)
    return _section("\n".join(lines))


def _closing(content: Content, left: int) -> list[dict[str, Any]]:
    links = _links(content.links + content.history if left else content.links)
    parts = [*([content.truncated] if content.truncated else []), *links]
    lines = [*([left_out(left)] if left else []), *([" · ".join(parts)] if parts else [])]
    return [_context(line) for line in lines]


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
    answer = json_object(body)
    return str(answer.get("error", "unknown_error")) if answer.get("ok") is False else None


def _outcome_of(error: str, response: Response) -> Outcome:
    kinds = (
        (RATE_LIMITED, Reason.RATE_LIMITED),
        (SERVER_ERRORS, Reason.SERVER_ERROR),
        (AUTH_ERRORS, Reason.AUTH_ERROR),
        (GONE, Reason.DESTINATION_GONE),
    )
    for errors, reason in kinds:
        if error in errors:
            return retry(reason, error, response)
    return Rejected(Reason.CLIENT_ERROR, error, response.status)
