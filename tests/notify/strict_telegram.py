"""What does Telegram's Bot API take? A strict reader of sendMessage, and a server that refuses as Telegram does.

https://core.telegram.org/bots/api#sendmessage
"""

import html
import json
import re
from typing import Any
from urllib.parse import urlsplit

from aiohttp import web

TAG = re.compile(r'<(?:(/?)(b|i|u|s|code|pre)|(/)(a)|a href="([^"<>]*)")>')
ENTITY = re.compile(r"&(?:lt|gt|amp|quot|#\d+|#x[0-9a-fA-F]+);")
MENTION = re.compile(r"(?<!\w)@[A-Za-z0-9_]{2,32}\b")
FIELDS: dict[str, type] = {
    "chat_id": str,
    "message_thread_id": int,
    "text": str,
    "parse_mode": str,
    "link_preview_options": dict,
}


class Refused(Exception):
    """What Telegram says no to, in its words."""


def read_telegram(body: bytes) -> str:
    """The text that people see, and the URLs behind its links, one a line.

    Raises:
        Refused: Telegram would refuse it.
        AssertionError: it would be taken, but not as it should be: it pings, or loses links.
    """
    message: dict[str, Any] = json.loads(body)
    for name, value in message.items():
        assert type(value) is FIELDS[name], name
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
    for url in urls:
        assert urlsplit(url).scheme in ("http", "https")
        assert urlsplit(url).hostname
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


class StrictTelegram:
    """The script of a sink: a bot, and the chats that it is in."""

    def __init__(self, token: str, *chats: str) -> None:
        self.token = token
        self.chats = chats
        self.told: list[str] = []

    async def __call__(self, request: web.Request) -> web.Response:
        if request.path != f"/bot{self.token}/sendMessage":
            known = re.fullmatch(r"/bot\d+:[\w-]{35}/\w+", request.path)
            return refusal(401, "Unauthorized") if known else refusal(404, "Not Found")
        if request.content_type != "application/json":
            return refusal(400, "Bad Request: message text is empty")
        body = await request.read()
        try:
            text = read_telegram(body)
        except Refused as no:
            return refusal(400, str(no))
        if json.loads(body)["chat_id"] not in self.chats:
            return refusal(400, "Bad Request: chat not found")
        self.told.append(text)
        return web.json_response({"ok": True, "result": {"message_id": len(self.told), "text": text}})


def refusal(status: int, description: str, **parameters: Any) -> web.Response:
    """An answer as Telegram words it."""
    answer: dict[str, Any] = {"ok": False, "error_code": status, "description": description}
    return web.json_response(answer | ({"parameters": parameters} if parameters else {}), status=status)
