"""What does Telegram's Bot API take? A strict reader of messages, and a server that refuses as Telegram does.

https://core.telegram.org/bots/api#sendmessage
https://core.telegram.org/bots/api#editmessagetext
"""

import html
import json
import math
import re
from typing import Any

from aiohttp import web

from tests.notify.strict.platform import Shown, StrictPlatform, check_links

TAG = re.compile(r'<(?:(/?)(b|i|u|s|code|pre)|(/)(a)|a href="([^"<>]*)")>')
ENTITY = re.compile(r"&(?:lt|gt|amp|quot|#\d+|#x[0-9a-fA-F]+);")
MENTION = re.compile(r"(?<!\w)@[A-Za-z0-9_]{2,32}\b")
COMMON: dict[str, type] = {"chat_id": str, "text": str, "parse_mode": str, "link_preview_options": dict}
SENT = COMMON | {"message_thread_id": int}
METHODS = {"sendMessage": SENT, "editMessageText": COMMON | {"message_id": int}}
UNCHANGED = (
    "Bad Request: message is not modified: specified new message content and reply markup are exactly the same as "
    "a current content and reply markup of the message"
)


class Refused(Exception):
    """What Telegram says no to, in its words."""


def read_telegram(body: bytes, fields: dict[str, type] = SENT) -> str:
    """The text that people see, and the URLs behind its links, one a line.

    Raises:
        Refused: Telegram would refuse it.
        AssertionError: it would be taken, but not as it should be: it pings, or loses links.
    """
    message: dict[str, Any] = json.loads(body)
    for name, value in message.items():
        assert type(value) is fields[name], name
    if not message.get("chat_id"):
        raise Refused("Bad Request: chat_id is empty")
    assert message["parse_mode"] == "HTML"
    assert message["link_preview_options"] == {"is_disabled": True}
    text, urls, entities, spoken = parsed(message["text"])
    if not text.strip():
        raise Refused("Bad Request: message text is empty")
    if len(text.encode("utf-16-le")) // 2 > 4096:
        raise Refused("Bad Request: message is too long")
    assert entities <= 100, "those after the hundredth are dropped"
    assert not MENTION.search(spoken), "somebody may be pinged"
    check_links(urls)
    return "\n".join([text, *urls])


def parsed(markup: str) -> tuple[str, list[str], int, str]:
    """Text, URLs, how many entities, and the text outside of code, where mentions are found."""
    text, spoken, urls, entities, end = "", "", [], 0, 0
    opened: list[str] = []
    for tag in TAG.finditer(markup):
        plain = _plain(markup[end : tag.start()])
        text += plain
        spoken += "" if opened and opened[-1] == "code" else plain
        end = tag.end()
        name = tag[2] or "a"
        if tag[1] or tag[3]:
            if not opened or opened.pop() != name:
                raise Refused(f"Bad Request: can't parse entities: unmatched end tag at byte offset {tag.start()}")
            entities += 1
        else:
            opened.append(name)
            if tag[5] is not None:
                urls.append(html.unescape(tag[5]))
    if opened:
        raise Refused(f"Bad Request: can't parse entities: can't find end tag corresponding to {opened[-1]}")
    rest = _plain(markup[end:])
    return text + rest, urls, entities, spoken + rest


def _plain(markup: str) -> str:
    if "<" in markup or ">" in markup or "&" in ENTITY.sub("", markup):
        raise Refused("Bad Request: can't parse entities: unsupported start tag")
    return html.unescape(markup)


class StrictTelegram(StrictPlatform):
    """A bot, and the chats that it is in. `topics` are the ids of those that the chats have."""

    def __init__(self, token: str, *chats: str, topics: tuple[int, ...] = (), **options: Any) -> None:
        super().__init__(**options)
        self.token = token
        self.chats = chats
        self.topics = topics
        self._sent = 0

    async def answer(self, request: web.Request) -> web.Response:
        method = request.path.removeprefix(f"/bot{self.token}/")
        if method not in METHODS:
            known = re.fullmatch(r"/bot\d+:[\w-]{35}/\w+", request.path) and method == request.path
            return refusal(401, "Unauthorized") if known else refusal(404, "Not Found")
        if request.content_type != "application/json":
            return refusal(400, "Bad Request: message text is empty")
        body = await request.read()
        try:
            text = read_telegram(body, METHODS[method])
            message = json.loads(body)
            if message["chat_id"] not in self.chats:
                raise Refused("Bad Request: chat not found")
            if (wait := self._wait(message["chat_id"])) is not None:
                return refusal(429, f"Too Many Requests: retry after {wait}", retry_after=wait)
            result = self._send(message, text) if method == "sendMessage" else self._edit(message, text)
        except Refused as no:
            return refusal(400, str(no))
        return web.json_response({"ok": True, "result": result})

    def _send(self, message: dict[str, Any], text: str) -> dict[str, Any]:
        topic = message.get("message_thread_id")
        if topic is not None and topic not in self.topics:
            raise Refused("Bad Request: message thread not found")
        self._sent += 1
        reference = f"{message['chat_id']} {self._sent}"
        self.messages.append(Shown(reference, [text], None if topic is None else f"{topic}"))
        return {"message_id": self._sent, "text": text}

    def _edit(self, message: dict[str, Any], text: str) -> dict[str, Any]:
        kept = self.find(f"{message['chat_id']} {message['message_id']}")
        if kept is None:
            raise Refused("Bad Request: message to edit not found")
        if not kept.editable:
            raise Refused("Bad Request: message can't be edited")
        if kept.text == text:
            raise Refused(UNCHANGED)
        kept.versions.append(text)
        return {"message_id": message["message_id"], "text": text, "edit_date": 1764000000}

    def _wait(self, chat: str) -> int | None:
        """https://core.telegram.org/bots/faq#my-bot-is-hitting-limits-how-do-i-avoid-this"""
        window = self.window(chat, 20, 60) if chat.startswith("-") else self.window(chat, 5, 3)
        return None if window is None or window.passes() else math.ceil(window.wait)


def refusal(status: int, description: str, **parameters: Any) -> web.Response:
    """An answer as Telegram words it."""
    answer: dict[str, Any] = {"ok": False, "error_code": status, "description": description}
    return web.json_response(answer | ({"parameters": parameters} if parameters else {}), status=status)
