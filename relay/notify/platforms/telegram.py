"""How is a message told on Telegram, by a bot?

https://core.telegram.org/bots/api#sendmessage
https://core.telegram.org/bots/api#editmessagetext
"""

import html
import re
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any, Final

import msgspec

from relay.domain.alerts import SEVERITY_ORDER, Status
from relay.domain.channel_types import RateLimit, TelegramChannel
from relay.domain.errors import InvalidInput
from relay.domain.notifications import Digest, Message
from relay.domain.outcomes import Outcome, Reason, Rejected, Sent
from relay.notify.classify import classify, destination_gone, retry
from relay.notify.message_edits import UNUSED_MESSAGE, edit_messages
from relay.notify.notifier import Notifier, require_url_without_secrets
from relay.notify.platforms.telegram_text import copied, cut_rendered, measured, size_of, units, uttered
from relay.notify.requests import Request, Response
from relay.notify.text.content import AlertText, Content, content_of, labels_line, left_out
from relay.notify.text.markup import TELEGRAM, escape_all
from relay.notify.text.pagination import NUMBER_ROOM, SHORT_DESCRIPTION, shortened_to
from relay.notify.text.summary import Room, summary_lines

MAX_TEXT: Final = 4096
"""UTF-16 code units of a message "after entities parsing". https://core.telegram.org/bots/api#sendmessage"""
MAX_ENTITIES: Final = 100
"""Bold words, links and the like in a message; those after are shown as plain text, so that links are lost.

https://limits.tginfo.me/en
"""
RATE_LIMIT: Final = RateLimit(per_second=1, burst=3)
GROUP_RATE_LIMIT: Final = RateLimit(per_second=1 / 3, burst=5)
"""One message a second in a chat, twenty a minute in a group.

https://core.telegram.org/bots/faq#my-bot-is-hitting-limits-how-do-i-avoid-this
"""
MAX_DIGEST_PARTS: Final = 2
"""Messages that a digest takes if the names it must say need them: it is there to spare messages."""
MAX_LINE: Final = 120
"""Code units of a summary's line, so that little room is lost where a message ends."""
MAX_HEADLINE: Final = 300
MAX_NOTE: Final = 600
MAX_TITLE: Final = 300
MAX_LABELS: Final = 600
MAX_RENDERED: Final = 2000
"""Of what a template made of an alert, or in place of the labels."""

GONE: Final = (
    "bot is not a member",
    "bot was blocked by the user",
    "bot was kicked",
    "chat not found",
    "group chat was deactivated",
    "group chat was upgraded to a supergroup chat",
    "message thread not found",
    "topic_deleted",
    "user is deactivated",
)
"""The chat takes nothing more of this bot by this id. What its server, github.com/tdlib/telegram-bot-api, says."""
NO_RIGHTS: Final = ("chat_write_forbidden", "have no rights to send", "not enough rights", "topic_closed")
"""Refusals with a 400 that speak of the chat's settings, and not of the message."""
MESSAGE_GONE: Final = (
    "message to edit not found",
    "message can't be edited",
    "message_id_invalid",
    "message identifier is not specified",
)
"""Refusals of an edit: the message was deleted, or is too old."""
UNCHANGED: Final = "message is not modified"

_bot_token = re.compile(r"[0-9]{1,20}:[A-Za-z0-9_-]{16,100}")
_chat_id = re.compile(r"-?[0-9]{1,19}|@[A-Za-z0-9_]{4,32}")
BETWEEN: Final = "\n\n"


class TelegramNotifier(Notifier[TelegramChannel]):
    """Telegram."""

    rate_limit = RATE_LIMIT
    markup = TELEGRAM

    def rate_limit_for(self, channel: TelegramChannel) -> RateLimit | None:
        """Groups, whose ids are negative, take less than other chats."""
        return GROUP_RATE_LIMIT if channel.chat_id.startswith("-") else RATE_LIMIT

    def check(self, channel: TelegramChannel) -> None:
        """The token and the chat must look like such, and the API's URL must hold no secret."""
        require_url_without_secrets("telegram_api_url", channel.telegram_api_url)
        if not _bot_token.fullmatch(channel.bot_token):
            raise InvalidInput("bot_token", "must look like 123456789:AA… as BotFather gave it")
        if not _chat_id.fullmatch(channel.chat_id):
            raise InvalidInput("chat_id", "must be a number, such as -1001234567890, or a name such as @alerts")
        if channel.message_thread_id is not None and channel.message_thread_id < 1:
            raise InvalidInput("message_thread_id", "must be a positive number")

    def urls(self, channel: TelegramChannel) -> dict[str, str]:
        """The Bot API's."""
        return {"telegram_api_url": channel.telegram_api_url}

    def requests(self, channel: TelegramChannel, message: Message) -> Sequence[Request]:
        """One message, or several that are numbered, cut between alerts."""
        thread = {} if channel.message_thread_id is None else {"message_thread_id": channel.message_thread_id}

        def post(text: str) -> Request:
            return _call(channel, "sendMessage", {**thread, "text": text})

        def edit(message_id: str, text: str) -> Request:
            return _call(channel, "editMessageText", {"message_id": int(message_id), "text": text})

        texts = _texts(content_of(message), channel.max_messages)
        if isinstance(message, Digest) or not channel.update_message:
            return [post(text) for text in texts]
        return edit_messages(message.message_refs, texts, UNUSED_MESSAGE, post, edit)

    def edit_destination(self, channel: TelegramChannel) -> str | None:
        """A bot can edit what it posted in a chat; the messages of private chats are numbered for each bot."""
        bot = channel.bot_token.partition(":")[0]
        where = f"{channel.telegram_api_url} {bot} {channel.chat_id} {channel.message_thread_id}"
        return where if channel.update_message else None

    def verdict(self, response: Response) -> Outcome:
        """Telegram says what is wrong in a `description`. A token that is malformed is a 404."""
        answer = response.json_object()
        if not 400 <= response.status < 500 or answer.get("ok") is not False:
            return _accepted(classify(response), answer)
        words = str(answer.get("description", "")).lower()
        detail = f"{response.status} {response.text}"
        if UNCHANGED in words:
            return Sent(response.status, "the message says so already")
        if any(word in words for word in MESSAGE_GONE):
            return Rejected(Reason.MESSAGE_GONE, detail, response.status)
        if any(word in words for word in GONE):
            return destination_gone(response)
        if response.status == HTTPStatus.NOT_FOUND or any(word in words for word in NO_RIGHTS):
            return retry(Reason.AUTH_ERROR, detail, response)
        return classify(response)


def _call(channel: TelegramChannel, method: str, arguments: dict[str, Any]) -> Request:
    common = {"chat_id": channel.chat_id, "parse_mode": "HTML", "link_preview_options": {"is_disabled": True}}
    return Request(
        url=f"{channel.telegram_api_url.rstrip('/')}/bot{channel.bot_token}/{method}",
        body=msgspec.json.encode(common | arguments),
    )


def _accepted(outcome: Outcome, answer: dict[str, Any]) -> Outcome:
    """A yes, with the message's number."""
    result = answer.get("result")
    message_id = result.get("message_id") if isinstance(result, dict) else None
    if not isinstance(outcome, Sent) or not isinstance(message_id, int):
        return outcome
    return msgspec.structs.replace(outcome, detail=f"message {message_id}", message_refs=(str(message_id),))


class _Pages:
    """The bodies of the messages, filled one after the other; the last has code units and entities `left`."""

    def __init__(self, room: int, entities: int, most: int) -> None:
        self._room, self._entities, self._most = room, entities, most
        self.left: tuple[int, int] = (room, entities)
        self.texts = [""]

    def add(self, part: str) -> bool:
        """Put a part behind the last one, or in the next message; False when there is room in neither."""
        size, entities = measured(part)
        if size > self.left[0] or entities > self.left[1]:
            if len(self.texts) == self._most or size > self._room:
                return False
            self.texts.append("")
            self.left = (self._room, self._entities)
        self.texts[-1] += part
        self.left = (self.left[0] - size, self.left[1] - entities)
        return True


def _texts(content: Content, max_messages: int) -> list[str]:
    headline = cut_rendered(content.title, MAX_HEADLINE) or uttered(content.headline, MAX_HEADLINE)
    opening = _opening(content)
    size, marks = measured(opening + _closing(content, content.total))
    room = MAX_TEXT - measured(headline)[0] - NUMBER_ROOM - len("\n\n") - size
    entities = MAX_ENTITIES - 1 - measured(headline)[1] - marks
    pages, shown = _filled(content, _begun(content, room, entities, 1), room)
    if shown < content.total:
        pages, shown = _filled(content, _begun(content, room, entities, max_messages), SHORT_DESCRIPTION)
    pages.texts[-1] += _closing(content, content.total - shown)
    count = len(pages.texts)
    numbers = [f" ({at}/{count})" if count > 1 else "" for at in range(1, count + 1)]
    return [
        f"<b>{headline}{number}</b>\n{opening}{text}".rstrip()
        for number, text in zip(numbers, pages.texts, strict=True)
    ]


def _filled(content: Content, pages: _Pages, description: int) -> tuple[_Pages, int]:
    """The messages with as many of the alerts as they hold, and how many those are."""
    shown, limit = 0, pages.left[0]
    while shown < len(content.alerts) and pages.add(_alert(content.alerts[shown], description, limit) + BETWEEN):
        shown += 1
    return pages, shown


def _opening(content: Content) -> str:
    lines = [uttered(note, MAX_NOTE) for note in content.notes]
    if content.labels:
        lines.append(copied(labels_line(content.labels), MAX_LABELS))
    if content.body is not None:
        lines.append(cut_rendered(content.body, MAX_RENDERED))
    return "\n".join(lines) + BETWEEN if lines else ""


def _closing(content: Content, left: int) -> str:
    links = _links(content.links_after(left))
    last = " · ".join(part for part in (content.truncated, *links) if part)
    return "\n".join(part for part in (left_out(left) if left else "", last) if part)


def _begun(content: Content, room: int, entities: int, most: int) -> _Pages:
    """The messages that may be filled, with a digest's counts."""
    lines: list[str] = []
    if content.counts:
        most = _digest_parts(content, room)
        total = room - len("\n") + (most - 1) * (room - MAX_LINE)
        limits = Room(total=total - most * MAX_LINE, line=MAX_LINE, escape=escape_all, size=size_of)
        lines = summary_lines(content.counts, limits)
    pages = _Pages(room, entities, most)
    for part in [*(line + "\n" for line in lines), *(["\n"] if lines else [])]:
        pages.add(part)
    return pages


def _digest_parts(content: Content, room: int) -> int:
    """How many messages a digest may take: more than one only for names of what is critical."""
    critical = [count.alertname for count in content.counts if count.severity == SEVERITY_ORDER[0]]
    return 1 if sum(units(name) + len(", 🔥10 ✅10") for name in critical) < room // 2 else MAX_DIGEST_PARTS


def _alert(alert: AlertText, description: int, limit: int) -> str:
    if alert.rendered:
        return cut_rendered(alert.rendered, shortened_to(description, MAX_RENDERED))
    mark = "🔥" if alert.status is Status.FIRING else "✅"
    lines = [f"{mark} <b>{uttered(alert.title, MAX_TITLE)}</b>"]
    if alert.labels:
        lines.append(copied(labels_line(alert.labels), MAX_LABELS))
    lines.append(" · ".join([alert.times, *_links(alert.links)]))
    room = min(description, limit - measured("\n".join([*lines, BETWEEN]))[0])
    if room > 0 and alert.description:
        lines.insert(1, uttered(alert.description, room))
    return "\n".join(lines)


def _links(links: tuple[tuple[str, str], ...]) -> list[str]:
    return [f'<a href="{html.escape(url)}">{text}</a>' for text, url in links]
