"""Messages for Telegram, by a bot.

https://core.telegram.org/bots/api#sendmessage
https://core.telegram.org/bots/api#editmessagetext
"""

import re
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any, Final

import msgspec

from relay.domain.channel_types import RateLimit, TelegramChannel
from relay.domain.errors import InvalidInput
from relay.domain.notifications import Digest, Message, Notification
from relay.domain.outcomes import Outcome, Reason, Rejected, Sent
from relay.domain.severities import SEVERITY_ORDER
from relay.notify.classify import accepted, destination_gone, failure, retry
from relay.notify.message_edits import UNUSED_MESSAGE, announcing, edit_messages
from relay.notify.notifier import Notifier, require_url_without_secrets
from relay.notify.platforms.telegram_text import (
    code_units,
    cut_rendered,
    escape_text,
    escaped_size,
    format_code,
    measure,
)
from relay.notify.requests import Request, Response
from relay.notify.text import announcements
from relay.notify.text.content import MAX_ACKNOWLEDGED, AlertText, Content, content_of, labels_line, not_shown_line
from relay.notify.text.markup import TELEGRAM, escape_all
from relay.notify.text.pagination import PAGE_NUMBER_LENGTH, paginate, rendered_alert_limit
from relay.notify.text.summary import SummaryLimits, summary_lines

MAX_TEXT: Final = 4096
"""UTF-16 code units of a message "after entities parsing". https://core.telegram.org/bots/api#sendmessage"""
MAX_ENTITIES: Final = 100
"""Bold words, links and the like in a message. Telegram shows further ones as plain text, so that links are lost.

https://limits.tginfo.me/en
"""
RATE_LIMIT: Final = RateLimit(per_second=1, burst=3)
GROUP_RATE_LIMIT: Final = RateLimit(per_second=1 / 3, burst=5)
"""One message a second in a chat, 20 a minute in a group.

https://core.telegram.org/bots/faq#my-bot-is-hitting-limits-how-do-i-avoid-this
"""
MAX_DIGEST_MESSAGES: Final = 2
"""Messages of a digest whose critical names do not fit one message."""
MAX_LINE: Final = 120
"""Code units of a summary line. Short lines waste little space at the end of a message."""
MAX_HEADLINE: Final = 300
MAX_NOTE: Final = 600
MAX_TITLE: Final = 300
MAX_LABELS: Final = 600
MAX_RENDERED: Final = 2000
"""Code units of a template's output for an alert or for the body."""

GONE: Final = (
    "bot is not a member",
    "bot was blocked by the user",
    "bot was kicked",
    "channel_private",
    "chat not found",
    "group chat was deactivated",
    "group chat was upgraded to a supergroup chat",
    "message thread not found",
    "topic_deleted",
    "user is deactivated",
)
"""Errors when the bot can no longer write to this chat id, from the server: github.com/tdlib/telegram-bot-api."""
_about_chat = re.compile(
    r"administrator rights|no rights|not enough rights|rights to send|no write access|can't be accessed"
    r"|chat_id is empty|logged out|can't initiate conversation|can't send messages to"
    r"|\b(?:allow_payment|bot|channel|chat|peer|premium|privacy|slowmode|topic|user|you)_[a-z_]+"
)
"""Errors with status 400 that are about the chat, the bot or the account, and not about the message.

Codes such as CHAT_ADMIN_REQUIRED, TOPIC_CLOSED or USER_BANNED_IN_CHANNEL begin with what they are about; those
about the message begin with MESSAGE, ENTITY, BUTTON and the like.
"""
MESSAGE_GONE: Final = (
    "message to edit not found",
    "message can't be edited",
    "message to be replied not found",
    "message_id_invalid",
    "message identifier is not specified",
)
"""Errors of an edit: the message was deleted or is too old."""
UNCHANGED: Final = "message is not modified"

_bot_token = re.compile(r"[0-9]{1,20}:[A-Za-z0-9_-]{16,100}")
_chat_id = re.compile(r"-?[0-9]{1,19}|@[A-Za-z0-9_]{4,32}")
SEPARATOR: Final = "\n\n"


class TelegramNotifier(Notifier[TelegramChannel]):
    """Telegram."""

    rate_limit = RATE_LIMIT
    markup = TELEGRAM

    def rate_limit_for(self, channel: TelegramChannel) -> RateLimit | None:
        """Groups, which have negative ids, have a lower limit than other chats."""
        return GROUP_RATE_LIMIT if channel.chat_id.startswith("-") else RATE_LIMIT

    def check(self, channel: TelegramChannel) -> None:
        """Check the formats of the token and the chat id, and that the API's URL contains no secret."""
        require_url_without_secrets("telegram_api_url", channel.telegram_api_url)
        if not _bot_token.fullmatch(channel.bot_token):
            raise InvalidInput("bot_token", "must look like 123456789:AA…, as issued by BotFather")
        if not _chat_id.fullmatch(channel.chat_id):
            raise InvalidInput("chat_id", "must be a number, such as -1001234567890, or a name such as @alerts")
        if channel.message_thread_id is not None and channel.message_thread_id < 1:
            raise InvalidInput("message_thread_id", "must be a positive number")

    def urls(self, channel: TelegramChannel) -> dict[str, str]:
        """The URL of the Bot API."""
        return {"telegram_api_url": channel.telegram_api_url}

    def requests(self, channel: TelegramChannel, message: Message) -> Sequence[Request]:
        """One message, or several numbered ones, split between alerts."""
        thread = {} if channel.message_thread_id is None else {"message_thread_id": channel.message_thread_id}

        def post(text: str) -> Request:
            return _call(channel, "sendMessage", {**thread, "text": text})

        def edit(message_id: str, text: str) -> Request:
            return _call(channel, "editMessageText", {"message_id": int(message_id), "text": text})

        texts = _texts(content_of(message), channel.max_messages)
        if isinstance(message, Digest) or not channel.update_message:
            return [post(text) for text in texts]
        requests = edit_messages(message.message_refs, texts, UNUSED_MESSAGE, post, edit)
        return [*requests, *_replies(channel, message, thread)]

    def edit_destination(self, channel: TelegramChannel) -> str | None:
        """A bot can edit its own messages in a chat. Message ids of private chats are unique only per bot."""
        bot = channel.bot_token.partition(":")[0]
        destination = f"{channel.telegram_api_url} {bot} {channel.chat_id} {channel.message_thread_id}"
        return destination if channel.update_message else None

    def verdict(self, request: Request, response: Response) -> Outcome:
        """Classify a response by its `description`; the success is `"ok": true`.

        An error may be inside a 200. The response to an invalid token is a 404.
        """
        body = response.json_object()
        if 200 <= response.status < 300:
            if body.get("ok") is True:
                return _accepted(response, body)
            error = body.get("error_code")
            if body.get("ok") is not False or not isinstance(error, int) or not 400 <= error < 600:
                return failure(response)
            response = msgspec.structs.replace(response, status=error)
        if not 400 <= response.status < 500 or body.get("ok") is not False:
            return failure(response)
        description = str(body.get("description", "")).lower()
        detail = f"{response.status} {response.text}"
        if UNCHANGED in description:
            return Sent(response.status, "the message is unchanged")
        if any(error in description for error in MESSAGE_GONE):
            return Rejected(Reason.MESSAGE_GONE, detail, response.status)
        if any(error in description for error in GONE):
            return destination_gone(response)
        if response.status == HTTPStatus.NOT_FOUND or _about_chat.search(description):
            return retry(Reason.AUTH_ERROR, detail, response)
        if response.status == HTTPStatus.CONFLICT or "flood" in description:
            return retry(Reason.RATE_LIMITED, detail, response)
        return failure(response)


def _replies(channel: TelegramChannel, message: Notification, thread: dict[str, Any]) -> list[Request]:
    """The reply to an edited message. https://core.telegram.org/bots/api#replyparameters"""
    announcement = announcements.announcement_text(message, channel.notify_on)
    if announcement is None:
        return []
    lines = [f"<b>{escape_text(announcement.headline, MAX_HEADLINE)}</b>"]
    lines += [escape_text(line, announcements.MAX_LINE) for line in announcement.lines]
    replied = {"message_id": int(message.message_refs[0])}
    request = _call(channel, "sendMessage", {**thread, "text": "\n".join(lines), "reply_parameters": replied})
    return [announcing(request)]


def _call(channel: TelegramChannel, method: str, arguments: dict[str, Any]) -> Request:
    common = {"chat_id": channel.chat_id, "parse_mode": "HTML", "link_preview_options": {"is_disabled": True}}
    return Request(
        url=f"{channel.telegram_api_url.rstrip('/')}/bot{channel.bot_token}/{method}",
        body=msgspec.json.encode(common | arguments),
    )


def _accepted(response: Response, body: dict[str, Any]) -> Outcome:
    """The outcome of a success, with the id of the message."""
    result = body.get("result")
    message_id = result.get("message_id") if isinstance(result, dict) else None
    if not isinstance(message_id, int):
        return accepted(response)
    return accepted(response, f"message {message_id}", (str(message_id),))


def _texts(content: Content, max_messages: int) -> list[str]:
    headline = cut_rendered(content.title, MAX_HEADLINE) or escape_text(content.headline, MAX_HEADLINE)
    opening = _opening(content)
    size, entities = measure(headline + opening + _closing(content, content.total))
    budget = (MAX_TEXT - size - PAGE_NUMBER_LENGTH - len(SEPARATOR), MAX_ENTITIES - 1 - entities)
    summary: list[str] = []
    if content.counts:
        max_messages = _digest_messages(content, budget[0])
        summary = _summary(content, budget[0], max_messages)

    def format_alert(alert: AlertText, description: int, limit: int) -> str:
        return _format_alert(alert, description, limit) + SEPARATOR

    pages = paginate(content, [budget] * max_messages, format_alert, measure, summary)
    return [
        f"<b>{headline}{page.number}</b>\n{opening}{''.join(page.parts)}"
        f"{_closing(content, page.not_shown) if page.is_last else ''}".rstrip()
        for page in pages
    ]


def _opening(content: Content) -> str:
    lines = [escape_text(note, MAX_NOTE) for note in content.notes]
    if content.labels:
        lines.append(format_code(labels_line(content.labels), MAX_LABELS))
    if content.body is not None:
        lines.append(cut_rendered(content.body, MAX_RENDERED))
    return "\n".join(lines) + SEPARATOR if lines else ""


def _closing(content: Content, not_shown: int) -> str:
    links = _links(content.closing_links(not_shown))
    last = " · ".join(part for part in (content.truncated, *links) if part)
    return "\n".join(part for part in (not_shown_line(not_shown) if not_shown else "", last) if part)


def _digest_messages(content: Content, size: int) -> int:
    """The number of messages that a digest may take: more than one only for the names of critical alerts."""
    critical = [count.alertname for count in content.counts if count.severity == SEVERITY_ORDER[0]]
    names = sum(code_units(name) + len(", 🔥10 ✅10") for name in critical)
    return 1 if names < size // 2 else MAX_DIGEST_MESSAGES


def _summary(content: Content, size: int, messages: int) -> list[str]:
    """The lines of a digest's summary. At the end of each message up to one line is wasted."""
    total = size - len("\n") + (messages - 1) * (size - MAX_LINE)
    limits = SummaryLimits(total=total - messages * MAX_LINE, line=MAX_LINE, escape=escape_all, size=escaped_size)
    return [*(line + "\n" for line in summary_lines(content.counts, limits)), "\n"]


def _format_alert(alert: AlertText, description: int, limit: int) -> str:
    if alert.rendered:
        return cut_rendered(alert.rendered, rendered_alert_limit(description, MAX_RENDERED))
    lines = [f"{alert.mark} <b>{escape_text(alert.title, MAX_TITLE)}</b>"]
    if alert.labels:
        lines.append(format_code(labels_line(alert.labels), MAX_LABELS))
    acknowledged = escape_text(alert.acknowledged, MAX_ACKNOWLEDGED)
    lines.append(" · ".join(part for part in (alert.times, acknowledged, *_links(alert.links)) if part))
    available = min(description, limit - measure("\n".join([*lines, SEPARATOR]))[0])
    if available > 0 and alert.description:
        lines.insert(1, escape_text(alert.description, available))
    return "\n".join(lines)


def _links(links: tuple[tuple[str, str], ...]) -> list[str]:
    return [TELEGRAM.link(text, url) for text, url in links]
