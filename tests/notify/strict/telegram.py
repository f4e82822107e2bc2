"""A strict Telegram: a reader of messages, and a server of the Bot API.

https://core.telegram.org/bots/api#sendmessage
https://core.telegram.org/bots/api#editmessagetext
"""

import html
import json
import math
import re
from typing import Any

from aiohttp import web

from tests.notify.strict.platform import PostedMessage, StrictPlatform, check_links

TAG = re.compile(r'<(?:(/?)(b|i|u|s|code|pre)|(/)(a)|a href="([^"<>]*)")>')
ENTITY = re.compile(r"&(?:lt|gt|amp|quot|#\d+|#x[0-9a-fA-F]+);")
MENTION = re.compile(r"(?<!\w)@[A-Za-z0-9_]{2,32}\b")
COMMON_FIELDS: dict[str, type] = {"chat_id": str, "text": str, "parse_mode": str, "link_preview_options": dict}
SEND_FIELDS = COMMON_FIELDS | {"message_thread_id": int, "reply_parameters": dict}
METHODS = {"sendMessage": SEND_FIELDS, "editMessageText": COMMON_FIELDS | {"message_id": int}}
UNCHANGED = (
    "Bad Request: message is not modified: specified new message content and reply markup are exactly the same as "
    "a current content and reply markup of the message"
)


class Refused(Exception):
    """Telegram refuses the request, with this description."""


def read_telegram(body: bytes, fields: dict[str, type] = SEND_FIELDS) -> str:
    """The displayed text and the URLs of its links, one a line.

    Raises:
        Refused: Telegram would refuse it.
        AssertionError: Telegram would accept it, but it mentions people or loses links.
    """
    message: dict[str, Any] = json.loads(body)
    for name, value in message.items():
        assert type(value) is fields[name], name
    if not message.get("chat_id"):
        raise Refused("Bad Request: chat_id is empty")
    assert message["parse_mode"] == "HTML"
    assert message["link_preview_options"] == {"is_disabled": True}
    text, urls, entities, outside_code = parse_html(message["text"])
    if not text.strip():
        raise Refused("Bad Request: message text is empty")
    if len(text.encode("utf-16-le")) // 2 > 4096:
        raise Refused("Bad Request: message is too long")
    assert entities <= 100, "Telegram drops entities after the hundredth"
    assert not MENTION.search(outside_code), "somebody may be mentioned"
    check_links(urls)
    return "\n".join([text, *urls])


def parse_html(markup: str) -> tuple[str, list[str], int, str]:
    """Text, URLs, the number of entities, and the text outside of code, in which Telegram finds mentions."""
    text, outside_code, urls, entities, end = "", "", [], 0, 0
    open_tags: list[str] = []
    for tag in TAG.finditer(markup):
        plain = _unescape(markup[end : tag.start()])
        text += plain
        outside_code += "" if open_tags and open_tags[-1] == "code" else plain
        end = tag.end()
        name = tag[2] or "a"
        if tag[1] or tag[3]:
            if not open_tags or open_tags.pop() != name:
                raise Refused(f"Bad Request: can't parse entities: unmatched end tag at byte offset {tag.start()}")
            entities += 1
        else:
            open_tags.append(name)
            if tag[5] is not None:
                urls.append(html.unescape(tag[5]))
    if open_tags:
        raise Refused(f"Bad Request: can't parse entities: can't find end tag corresponding to {open_tags[-1]}")
    rest = _unescape(markup[end:])
    return text + rest, urls, entities, outside_code + rest


def _unescape(markup: str) -> str:
    if "<" in markup or ">" in markup or "&" in ENTITY.sub("", markup):
        raise Refused("Bad Request: can't parse entities: unsupported start tag")
    return html.unescape(markup)


class StrictTelegram(StrictPlatform):
    """A bot and its chats. `topics` has the ids of the topics of these chats."""

    def __init__(self, token: str, *chats: str, topics: tuple[int, ...] = (), **options: Any) -> None:
        super().__init__(**options)
        self.token = token
        self.chats = chats
        self.topics = topics
        self._sent = 0

    async def respond(self, request: web.Request) -> web.Response:
        method = request.path.removeprefix(f"/bot{self.token}/")
        if method not in METHODS:
            well_formed = re.fullmatch(r"/bot\d+:[\w-]{35}/\w+", request.path) and method == request.path
            return error_response(401, "Unauthorized") if well_formed else error_response(404, "Not Found")
        if request.content_type != "application/json":
            return error_response(400, "Bad Request: message text is empty")
        body = await request.read()
        try:
            text = read_telegram(body, METHODS[method])
            message = json.loads(body)
            if message["chat_id"] not in self.chats:
                raise Refused("Bad Request: chat not found")
            if (wait := self._retry_after(message["chat_id"])) is not None:
                return error_response(429, f"Too Many Requests: retry after {wait}", retry_after=wait)
            result = self._send(message, text) if method == "sendMessage" else self._edit(message, text)
        except Refused as refused:
            return error_response(400, str(refused))
        return web.json_response({"ok": True, "result": result})

    def _send(self, message: dict[str, Any], text: str) -> dict[str, Any]:
        topic = message.get("message_thread_id")
        if topic is not None and topic not in self.topics:
            raise Refused("Bad Request: message thread not found")
        replied = message.get("reply_parameters")
        if replied is not None and self.find(f"{message['chat_id']} {replied['message_id']}") is None:
            raise Refused("Bad Request: message to be replied not found")
        self._sent += 1
        reference = f"{message['chat_id']} {self._sent}"
        self.messages.append(PostedMessage(reference, [text], None if topic is None else f"{topic}"))
        return {"message_id": self._sent, "text": text}

    def _edit(self, message: dict[str, Any], text: str) -> dict[str, Any]:
        stored = self.find(f"{message['chat_id']} {message['message_id']}")
        if stored is None:
            raise Refused("Bad Request: message to edit not found")
        if not stored.editable:
            raise Refused("Bad Request: message can't be edited")
        if stored.text == text:
            raise Refused(UNCHANGED)
        stored.versions.append(text)
        return {"message_id": message["message_id"], "text": text, "edit_date": 1764000000}

    def _retry_after(self, chat: str) -> int | None:
        """https://core.telegram.org/bots/faq#my-bot-is-hitting-limits-how-do-i-avoid-this"""
        window = self.window(chat, 20, 60) if chat.startswith("-") else self.window(chat, 5, 3)
        return None if window is None or window.allow() else math.ceil(window.wait)


def error_response(status: int, description: str, **parameters: Any) -> web.Response:
    """An error response of Telegram."""
    response: dict[str, Any] = {"ok": False, "error_code": status, "description": description}
    return web.json_response(response | ({"parameters": parameters} if parameters else {}), status=status)
