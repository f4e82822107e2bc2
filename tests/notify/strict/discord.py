"""A strict Discord: a reader of messages, and a server of one webhook.

https://discord.com/developers/docs/resources/webhook#execute-webhook
https://discord.com/developers/docs/resources/webhook#edit-webhook-message
https://discord.com/developers/docs/resources/message#embed-object-embed-limits
"""

import json
import re
from typing import Any

from aiohttp import web

from tests.notify.strict.platform import PostedMessage, RateWindow, StrictPlatform, check_links

LINK = re.compile(r"(?<!\\)\[[^\[\]]*\]\(([^()\s]*)\)")
MENTION = re.compile(r"(?<!\\)(?:\\\\)*<[@#!]")
ROLE = re.compile(r"\A<@&\d+>\n")
"""The mention of a role, which only the relay's own text may contain: at the start."""
EDIT_FIELDS = {"content", "embeds", "allowed_mentions"}
EXECUTE_FIELDS = EDIT_FIELDS | {"username", "avatar_url", "thread_name"}
EMBED_FIELDS: dict[str, type] = {"title": str, "description": str, "color": int, "footer": dict}
"""The fields that the relay uses. Not `url`: for some hosts, Discord refuses the whole message."""
MAX_LENGTHS = {"title": 256, "description": 4096}
DISCORD_HOOK = "/api/webhooks/1100000000000000001/tokenOfTheHook_0123456789-abcdef"


class Refused(Exception):
    """Discord refuses the request: status, code, message, and for code 50035 the invalid fields."""

    def __init__(self, status: int, code: int, text: str, errors: dict[str, Any] | None = None) -> None:
        super().__init__(text if errors is None else f"{text} {json.dumps(errors)}")
        self.status = status
        self.body = {"message": text, "code": code} | ({} if errors is None else {"errors": errors})


def invalid_form(code: str, text: str, *path: str) -> Refused:
    """https://discord.com/developers/docs/reference#error-messages"""
    errors: dict[str, Any] = {"_errors": [{"code": code, "message": text}]}
    for name in reversed(path):
        errors = {name: errors}
    return Refused(400, 50035, "Invalid Form Body", errors)


def read_discord(body: bytes) -> str:
    """The text of a message, one part a line.

    Raises:
        Refused: Discord would refuse it.
        AssertionError: Discord would accept it, but it mentions people or has links that are no web pages.
    """
    return displayed_text(parse_arguments(body, EXECUTE_FIELDS))


def parse_arguments(body: bytes, fields: set[str]) -> dict[str, Any]:
    """The fields of a message; all of them known to this call."""
    try:
        message: Any = json.loads(body)
    except ValueError:
        raise Refused(400, 50109, "The request body contains invalid JSON.") from None
    if not isinstance(message, dict):
        raise invalid_form("MODEL_TYPE_CONVERT", "Only dictionaries may be used in a ModelType")
    assert set(message) <= fields, f"{set(message) - fields} are not fields of this call"
    roles = message.get("allowed_mentions", {}).get("roles", [])
    assert message["allowed_mentions"] == {"parse": []} | ({"roles": roles} if roles else {}), (
        "may mention somebody"
    )
    name = message.get("username", "name")
    if not 0 < len(name.strip()) <= len(name) <= 80:
        raise invalid_form("BASE_TYPE_BAD_LENGTH", "Must be between 1 and 80 in length.", "username")
    return message


def displayed_text(message: dict[str, Any]) -> str:
    """Content and embeds, in Discord's Markdown."""
    content, embeds = message.get("content") or "", message.get("embeds") or []
    if not content.strip() and not embeds:
        raise Refused(400, 50006, "Cannot send an empty message")
    if len(content) > 2000:
        raise invalid_form("BASE_TYPE_MAX_LENGTH", "Must be 2000 or fewer in length.", "content")
    if len(embeds) > 10:
        raise invalid_form("BASE_TYPE_MAX_LENGTH", "Must be 10 or fewer in length.", "embeds")
    texts = [_embed(embed, f"{at}") for at, embed in enumerate(embeds)]
    if sum(map(len, (part for parts in texts for part in parts))) > 6000:
        text = "Embed size exceeds maximum size of 6000"
        raise invalid_form("MAX_EMBED_SIZE_EXCEEDED", text, "embeds")
    markdown = "\n".join([ROLE.sub("", content), *(part for *above, _ in texts for part in above)])
    assert not MENTION.search(markdown), "unescaped text may become a mention"
    check_links(LINK.findall(markdown))
    return "\n".join([content, *(part for parts in texts for part in parts)])


def _embed(embed: dict[str, Any], at: str) -> tuple[str, str, str]:
    """The title, the description, and the footer, which is plain text."""
    for name, value in embed.items():
        assert name in EMBED_FIELDS, f"the relay does not use {name}"
        if type(value) is not EMBED_FIELDS[name]:
            raise invalid_form("BASE_TYPE_BAD_TYPE", "Wrong type.", "embeds", at, name)
    for name, limit in MAX_LENGTHS.items():
        if len(embed.get(name, "")) > limit:
            raise invalid_form("BASE_TYPE_MAX_LENGTH", f"Must be {limit} or fewer in length.", "embeds", at, name)
    if not 0 <= embed.get("color", 0) <= 0xFFFFFF:
        text = "int value should be less than or equal to 16777215."
        raise invalid_form("NUMBER_TYPE_MAX", text, "embeds", at, "color")
    footer = embed.get("footer", {"text": ""})["text"]
    if len(footer) > 2048:
        text = "Must be 2048 or fewer in length."
        raise invalid_form("BASE_TYPE_MAX_LENGTH", text, "embeds", at, "footer", "text")
    for name in ("title", "description"):
        assert name not in embed or embed[name].strip(), f"an empty {name}"
    if "footer" in embed and not footer.strip():
        raise invalid_form("BASE_TYPE_REQUIRED", "This field is required", "embeds", at, "footer", "text")
    if not embed.get("description") and not embed.get("title"):
        raise invalid_form("BASE_TYPE_REQUIRED", "This field is required", "embeds", at, "description")
    return embed.get("title", ""), embed.get("description", ""), footer


class StrictDiscord(StrictPlatform):
    """A webhook at `DISCORD_HOOK`, unless it is `deleted`, and the messages of its channel, which may be a forum.

    `threads` has the names of a forum's posts by their ids.
    """

    def __init__(self, *, forum: bool = False, **options: Any) -> None:
        super().__init__(**options)
        self.deleted = False
        self.threads: dict[str, str] = {}
        self._forum = forum
        self._raw: dict[str, dict[str, Any]] = {}

    async def respond(self, request: web.Request) -> web.Response:
        at = request.path.removeprefix(DISCORD_HOOK)
        if self.deleted or not request.path.startswith(DISCORD_HOOK):
            return _error_response(Refused(404, 10015, "Unknown Webhook"))
        window = self.window(request.method, 5, 2)
        if window is not None and not window.allow():
            return _rate_limited(window)
        try:
            if request.content_type != "application/json":
                raise invalid_form("CONTENT_TYPE_INVALID", 'Expected "Content-Type" header to be one of {…}.')
            if request.method == "POST" and at == "":
                response = self._execute(parse_arguments(await request.read(), EXECUTE_FIELDS), request)
            elif request.method == "PATCH" and re.fullmatch(r"/messages/\d+", at):
                message = parse_arguments(await request.read(), EDIT_FIELDS)
                response = self._edit(at.rpartition("/")[2], message, request.query.get("thread_id"))
            else:
                response = web.json_response({"message": "405: Method Not Allowed", "code": 0}, status=405)
        except Refused as refused:
            response = _error_response(refused)
        if window is not None:
            response.headers.update(_headers(window))
        return response

    def _execute(self, message: dict[str, Any], request: web.Request) -> web.Response:
        text = displayed_text(message)
        reference = f"{1200000000000000000 + len(self._raw)}"
        thread = self._thread(message.pop("thread_name", None), request.query.get("thread_id"), reference)
        self._raw[reference] = message
        self.messages.append(PostedMessage(reference, [text], thread))
        if request.query.get("wait") != "true":
            return web.Response(status=204)
        ids = {"id": reference, "channel_id": thread or "1000000000000000000"}
        return web.json_response(ids | {"type": 0, "webhook_id": DISCORD_HOOK.split("/")[3]} | message)

    def _thread(self, name: str | None, thread: str | None, reference: str) -> str | None:
        """The thread of a new message. A message that starts a forum post has the id of the post."""
        if name is not None and not self._forum:
            raise Refused(400, 220003, "Webhooks can only create threads in forum channels")
        if name is not None and thread is not None:
            raise Refused(400, 220002, "Webhooks in forum channels can only have one of thread_name or thread_id")
        if self._forum and name is None and thread is None:
            raise Refused(400, 220001, "Webhooks posted to forum channels must have a thread_name or thread_id")
        if thread is not None and self._forum and thread not in self.threads:
            raise Refused(404, 10003, "Unknown Channel")
        if name is not None:
            self.threads[reference] = name
            return reference
        return thread

    def _edit(self, reference: str, message: dict[str, Any], thread: str | None) -> web.Response:
        stored = self.find(reference)
        if stored is None or stored.thread != thread:
            raise Refused(404, 10008, "Unknown Message")
        if not stored.editable:
            raise Refused(403, 50005, "Cannot edit a message authored by another user")
        after = self._raw[reference] | message
        stored.versions.append(displayed_text(after))
        self._raw[reference] = after
        return web.json_response({"id": reference, "edited_timestamp": "2026-11-23T15:33:27Z"} | after)


def _error_response(refused: Refused) -> web.Response:
    return web.json_response(refused.body, status=refused.status)


def _headers(window: RateWindow) -> dict[str, str]:
    """https://discord.com/developers/docs/topics/rate-limits#header-format"""
    return {
        "X-RateLimit-Limit": f"{window.limit}",
        "X-RateLimit-Remaining": f"{window.remaining}",
        "X-RateLimit-Reset-After": f"{window.wait:.3f}",
        "X-RateLimit-Bucket": "abcd1234",
    }


def _rate_limited(window: RateWindow) -> web.Response:
    """https://discord.com/developers/docs/topics/rate-limits#exceeding-a-rate-limit"""
    answer = {"message": "You are being rate limited.", "retry_after": round(window.wait, 3), "global": False}
    headers = _headers(window) | {"Retry-After": f"{window.wait:.0f}", "X-RateLimit-Scope": "user"}
    return web.json_response(answer, status=429, headers=headers)
