"""Messages for Slack, over an incoming webhook or by a bot.

https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks
https://docs.slack.dev/reference/methods/chat.postMessage
"""

import re
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from relay.domain.channel_types import RateLimit, SlackChannel
from relay.domain.errors import InvalidInput
from relay.domain.notifications import Digest, Message, Notification
from relay.domain.outcomes import Outcome
from relay.notify.classify import accepted, failure
from relay.notify.message_edits import UNUSED_MESSAGE, announcing, edit_messages
from relay.notify.notifier import Notifier, require_url_without_secrets
from relay.notify.platforms.slack_errors import error_code, outcome_of_error
from relay.notify.requests import Request, Response
from relay.notify.text.announcements import MAX_LINE, announcement_text, is_mentioned
from relay.notify.text.content import MAX_ACKNOWLEDGED, AlertText, Content, content_of, labels_line, not_shown_line
from relay.notify.text.markup import SLACK, escape_all, escape_entities
from relay.notify.text.pagination import PAGE_NUMBER_LENGTH, Cost, MessagePage, paginate, rendered_alert_limit
from relay.notify.text.plain_text import fit, without_mentions
from relay.notify.text.summary import SummaryLimits, summary_lines

MAX_SECTION: Final = 3000
"""Characters of a section's text. https://docs.slack.dev/reference/block-kit/blocks/section-block"""
MAX_BLOCKS: Final = 50
"""Blocks of a message. https://docs.slack.dev/reference/block-kit/blocks"""
MAX_TEXT: Final = 12_000
"""Characters over all blocks. Slack rejects about 13,200 as msg_blocks_too_long; no page has this limit."""
RATE_LIMIT: Final = RateLimit(per_second=1, burst=3)
"""One message a second, "short bursts" allowed. https://docs.slack.dev/apis/web-api/rate-limits"""
MAX_HEADLINE: Final = 300 - PAGE_NUMBER_LENGTH
MAX_NOTE: Final = 600
MAX_TITLE: Final = 300
MAX_LABELS: Final = 600
MAX_LINK: Final = 800
"""A link whose markup is longer is omitted, because it would take space from the text."""

QUIET: Final = {"unfurl_links": False, "unfurl_media": False}

COMPATIBLE: Final = (("success", True), ("result", "success"))
"""Success of the incoming webhooks of Rocket.Chat and Zulip. Mattermost's is `ok`, as Slack's."""

_bot_token = re.compile(r"xox[a-z]-[A-Za-z0-9-]{6,250}")
_user_group = re.compile(r"S[A-Z0-9]{2,20}")


class SlackNotifier(Notifier[SlackChannel]):
    """Slack, and servers that are compatible with its incoming webhooks."""

    rate_limit = RATE_LIMIT
    markup = SLACK

    def check(self, channel: SlackChannel) -> None:
        """Require either a webhook, or a bot and its channel."""
        if (channel.webhook_url is None) == (channel.bot_token is None):
            raise InvalidInput("webhook_url", "set either this, or `bot_token` and `slack_channel`")
        require_url_without_secrets("slack_api_url", channel.slack_api_url)
        group = channel.slack_mention_group
        if group is not None and not _user_group.fullmatch(group):
            raise InvalidInput("slack_mention_group", "must be the id of a user group, such as S0123456789")
        if channel.bot_token is None:
            return
        if not _bot_token.fullmatch(channel.bot_token):
            raise InvalidInput(
                "bot_token", "must look like xoxb-…, as shown by Slack on the page OAuth & Permissions"
            )
        if not channel.slack_channel:
            raise InvalidInput("slack_channel", "is required with a bot: an id such as C0123456789, or #name")

    def urls(self, channel: SlackChannel) -> dict[str, str]:
        """The URL of the webhook, or that of the Web API."""
        if channel.webhook_url is None:
            return {"slack_api_url": channel.slack_api_url}
        return {"webhook_url": channel.webhook_url}

    def edit_destination(self, channel: SlackChannel) -> str | None:
        """A bot can edit its own messages; a webhook cannot."""
        if channel.bot_token is None or not channel.update_message:
            return None
        return f"{channel.slack_api_url} {channel.slack_channel}"

    def requests(self, channel: SlackChannel, message: Message) -> Sequence[Request]:
        """Messages of a headline and an attachment in the color of the severity, which contains the alerts."""
        content = content_of(message)
        overrides = {
            "channel": channel.slack_channel,
            "username": channel.slack_username,
            "icon_emoji": channel.slack_icon_emoji,
        }
        common = {name: value for name, value in overrides.items() if value is not None}
        bodies = _bodies(content, channel.max_messages)
        mention = _mention(channel, message)

        def with_mention(body: dict[str, Any]) -> dict[str, Any]:
            return body | {"text": mention + body["text"]}

        def post(body: dict[str, Any]) -> Request:
            if channel.webhook_url is not None:
                return Request(url=channel.webhook_url, body=msgspec.json.encode(body | common))
            return _call(channel, "chat.postMessage", body | common | QUIET)

        def edit(reference: str, body: dict[str, Any]) -> Request:
            channel_id, _, ts = reference.partition(" ")
            return _call(channel, "chat.update", body | {"channel": channel_id, "ts": ts, "parse": "none"})

        if isinstance(message, Digest) or self.edit_destination(channel) is None:
            return [post(with_mention(bodies[0])), *map(post, bodies[1:])]
        unused = {"text": UNUSED_MESSAGE, "attachments": []}
        requests = edit_messages(message.message_refs, bodies, unused, post, edit, with_mention)
        return [*requests, *_replies(channel, message, mention)]

    def verdict(self, request: Request, response: Response) -> Outcome:
        """Classify a response by its error code, which may be inside a 200.

        The success of the Web API is `{"ok": true}`, that of a webhook `ok`, or what compatible servers respond.
        """
        body = response.json_object()
        if 200 <= response.status < 300:
            if body.get("ok") is True:
                return _accepted(response, body)
            by_webhook = "Authorization" not in request.headers
            if by_webhook and (response.text == "ok" or any(body.get(key) == value for key, value in COMPATIBLE)):
                return accepted(response)
        error = error_code(response, body) if 200 <= response.status < 500 else None
        return failure(response) if error is None else outcome_of_error(error, response)


def _mention(channel: SlackChannel, message: Message) -> str:
    """https://docs.slack.dev/messaging/formatting-message-text#mentioning-groups"""
    group = channel.slack_mention_group
    mentioned = group and is_mentioned(message, channel.notify_on, channel.mention_severities)
    return f"<!subteam^{group}> " if mentioned else ""


def _replies(channel: SlackChannel, message: Notification, mention: str) -> list[Request]:
    """The reply in the thread of an edited message. Of critical alerts the whole channel hears."""
    announcement = announcement_text(message, channel.notify_on)
    if announcement is None:
        return []
    channel_id, _, ts = message.message_refs[0].partition(" ")
    lines = [_bold(_text(announcement.headline, MAX_HEADLINE))]
    lines += [_text(line, MAX_LINE) for line in announcement.lines]
    reply: dict[str, Any] = {"channel": channel_id, "thread_ts": ts, "text": mention + "\n".join(lines)} | QUIET
    if announcement.critical:
        reply["reply_broadcast"] = True
    return [announcing(_call(channel, "chat.postMessage", reply))]


def _text(text: str, limit: int) -> str:
    """Escaped text without mentions, cut to at most `limit` characters."""
    return fit(without_mentions(text[: max(limit, 0) + 1]), limit, escape_all)


def _bodies(content: Content, max_messages: int) -> list[dict[str, Any]]:
    start, rendered = _start_blocks(content), _rendered_blocks(content)
    fixed = [*start, *rendered, *_closing_blocks(content, content.total)]
    size = MAX_TEXT - sum(map(_length, fixed))
    summary: list[dict[str, Any]] = []
    if content.counts:
        max_messages = 1
        limits = SummaryLimits(total=size, line=MAX_SECTION, escape=escape_all)
        summary = [_section(line) for line in summary_lines(content.counts, limits)]
        size -= sum(map(_length, summary))
    budget = (size, MAX_BLOCKS - len(fixed) - len(summary))
    pages = paginate(content, [budget] * max_messages, _format_alert, _cost)
    return [
        _body(content, page, [*start, *(rendered if page.is_first else []), *summary, *page.parts])
        for page in pages
    ]


def _body(content: Content, page: MessagePage[dict[str, Any]], blocks: list[dict[str, Any]]) -> dict[str, Any]:
    headline = _headline(content, page.number)
    if page.is_last:
        blocks += _closing_blocks(content, page.not_shown)
    attachment = {"color": f"#{content.color:06X}", "fallback": headline, "blocks": blocks}
    return {"text": headline, "attachments": [attachment]}


def _headline(content: Content, number: str = "") -> str:
    title = SLACK.cut(content.title, MAX_HEADLINE) if content.title else _text(content.headline, MAX_HEADLINE)
    return _bold(title + number)


def _bold(text: str) -> str:
    """Escaped text in bold. An asterisk in it can't be escaped, and would end the bold text."""
    return text if "*" in text else f"*{text}*"


def _start_blocks(content: Content) -> list[dict[str, Any]]:
    blocks = [_context(_text(note, MAX_NOTE)) for note in content.notes]
    if content.labels:
        blocks.append(_context(_text(labels_line(content.labels), MAX_LABELS)))
    return blocks


def _rendered_blocks(content: Content) -> list[dict[str, Any]]:
    return [] if content.body is None else [_section(SLACK.cut(content.body, MAX_SECTION))]


def _format_alert(alert: AlertText, description: int, _: int) -> dict[str, Any]:
    if alert.rendered:
        return _section(SLACK.cut(alert.rendered, rendered_alert_limit(description, MAX_SECTION)))
    lines = [f"{alert.mark} {_bold(_text(alert.title, MAX_TITLE))}"]
    if alert.labels:
        labels = labels_line(alert.labels).replace("`", "'").replace("\n", " ")
        # Slack parses no mentions in code, so that labels stay as they are and can be copied.
        lines.append(f"`{fit(labels, MAX_LABELS, escape_entities)}`")
    acknowledged = _text(alert.acknowledged, MAX_ACKNOWLEDGED)
    lines.append(" · ".join(part for part in (alert.times, acknowledged, *_links(alert.links)) if part))
    available = min(description, MAX_SECTION - len("\n".join([*lines, ""])))
    if text := _text(alert.description, available):
        lines.insert(1, text)
    return _section("\n".join(lines))


def _closing_blocks(content: Content, not_shown: int) -> list[dict[str, Any]]:
    links = _links(content.closing_links(not_shown))
    parts = [*([content.truncated] if content.truncated else []), *links]
    lines = [
        *([not_shown_line(not_shown)] if not_shown else []),
        *([" · ".join(parts)] if parts else []),
    ]
    return [_context(line) for line in lines]


def _links(links: tuple[tuple[str, str], ...]) -> list[str]:
    formatted = [SLACK.link(text, url) for text, url in links]
    return [link for link in formatted if len(link) <= MAX_LINK]


def _section(text: str) -> dict[str, Any]:
    return {"type": "section", "text": {"type": "mrkdwn", "text": text}}


def _context(text: str) -> dict[str, Any]:
    return {"type": "context", "elements": [{"type": "mrkdwn", "text": text}]}


def _length(block: dict[str, Any]) -> int:
    return len(block["text"]["text"] if "text" in block else block["elements"][0]["text"])


def _cost(block: dict[str, Any]) -> Cost:
    return _length(block), 1


def _call(channel: SlackChannel, method: str, arguments: dict[str, Any]) -> Request:
    """https://docs.slack.dev/apis/web-api/#json-encoded-bodies"""
    return Request(
        url=f"{channel.slack_api_url.rstrip('/')}/{method}",
        body=msgspec.json.encode(arguments),
        headers={
            "Content-Type": "application/json; charset=utf-8",
            "Authorization": f"Bearer {channel.bot_token}",
        },
    )


def _accepted(response: Response, body: dict[str, Any]) -> Outcome:
    """The outcome of a success, with the reference of the message if the Web API sent it."""
    channel_id, ts = body.get("channel"), body.get("ts")
    if not isinstance(channel_id, str) or not isinstance(ts, str):
        return accepted(response)
    return accepted(response, f"message {ts} in {channel_id}", (f"{channel_id} {ts}",))
