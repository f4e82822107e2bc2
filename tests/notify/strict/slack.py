"""A strict Slack: a reader of messages, and a server of incoming webhooks and of the Web API.

https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks#handling-errors
https://docs.slack.dev/reference/methods/chat.postMessage
https://docs.slack.dev/reference/methods/chat.update
"""

import json
import math
import re
from typing import Any

from aiohttp import web
from slack_sdk.errors import SlackObjectFormationError
from slack_sdk.models.attachments import BlockAttachment
from slack_sdk.models.blocks import Block

from tests.notify.strict.platform import PostedMessage, StrictPlatform, check_links

LINK = re.compile(r"<(https?://[^<>|\s]+)\|([^<>|]+)>")
GROUP = re.compile(r"\A<!subteam\^S[A-Z0-9]+> ")
"""The mention of a group, which only the relay's own text may contain: at the start."""
ENTITY = re.compile(r"&(?:amp|lt|gt);")
CODE = re.compile(r"`[^`\n]+`")
NAMED = re.compile(r"(?<!\w)@\w")
"""Parsed in text that is not `verbatim`: https://docs.slack.dev/reference/block-kit/composition-objects/text-object"""
WEBHOOK_FIELDS: dict[str, type] = {
    "text": str,
    "attachments": list,
    "blocks": list,
    "channel": str,
    "username": str,
    "icon_emoji": str,
}
POST_FIELDS = WEBHOOK_FIELDS | {
    "thread_ts": str,
    "reply_broadcast": bool,
    "unfurl_links": bool,
    "unfurl_media": bool,
    "parse": str,
}
UPDATE_FIELDS: dict[str, type] = {
    "channel": str,
    "ts": str,
    "text": str,
    "attachments": list,
    "blocks": list,
    "parse": str,
}
KEPT_BY_UPDATE = ("text", "attachments", "blocks")
SLACK_HOOK = "/services/T0RELAY01/B0RELAY01/secretOfTheHook0123456789"
SLACK_TOKEN = "xoxb-1234567890-abcdefSecret"


class Refused(Exception):
    """Slack refuses the request, with this error code."""


def read_slack(body: bytes) -> str:
    """The text of an incoming webhook's message, in Slack's markup.

    Raises:
        Refused: Slack would refuse it.
        AssertionError: Slack would accept it, but it mentions people or its markup is broken.
    """
    return displayed_text(parse_arguments(body, WEBHOOK_FIELDS))


def parse_arguments(body: bytes, fields: dict[str, type]) -> dict[str, Any]:
    """The arguments of a call; all of them known and of the right type."""
    try:
        message: Any = json.loads(body)
    except ValueError:
        raise Refused("invalid_payload") from None
    if not isinstance(message, dict):
        raise Refused("invalid_payload")
    for name, value in message.items():
        assert name in fields, f"{name} is not an argument"
        if type(value) is not fields[name]:
            raise Refused("invalid_arguments")
    return message


def displayed_text(message: dict[str, Any]) -> str:
    """The text of a message and of its blocks, one a line."""
    attachments = message.get("attachments", [])
    blocks = [*message.get("blocks", []), *(block for one in attachments for block in one.get("blocks", []))]
    if not message.get("text") and not blocks:
        raise Refused("no_text")
    if len(attachments) > 100:
        raise Refused("too_many_attachments")
    if len(blocks) > 50:
        raise Refused("invalid_blocks")
    pieces = [piece for block in blocks for piece in _text_objects(block)]
    for attachment in attachments:
        _check_attachment(attachment)
    if sum(len(piece["text"]) for piece in pieces) > 13_200:
        raise Refused("msg_blocks_too_long")
    if len(message.get("text", "")) > 40_000:
        raise Refused("msg_too_long")
    _check_mentions(message, pieces)
    whole = "\n".join([*([message["text"]] if message.get("text") else []), *(one["text"] for one in pieces)])
    unlinked = GROUP.sub("", LINK.sub("", whole))
    assert "<" not in unlinked, "unescaped text may mention or link"
    assert ">" not in unlinked, "unescaped text"
    assert "&" not in ENTITY.sub("", unlinked), "unescaped text"
    check_links([url for url, _ in LINK.findall(whole)])
    return whole


def _text_objects(block: Any) -> list[dict[str, Any]]:
    """The text objects of a block that slack_sdk parses without loss; Slack does not know what it drops."""
    try:
        parsed = Block.parse(block)
        same = parsed is not None and parsed.to_dict() == block
    except (SlackObjectFormationError, TypeError, AttributeError, KeyError):
        same = False
    if not same:
        raise Refused("invalid_blocks")
    pieces = [block["text"]] if "text" in block else block.get("elements", [])
    if not all(type(piece.get("text")) is str and 0 < len(piece["text"]) <= 3000 for piece in pieces):
        raise Refused("invalid_blocks")
    return list(pieces)


def _check_attachment(attachment: dict[str, Any]) -> None:
    try:
        blocks = [parsed for block in attachment["blocks"] if (parsed := Block.parse(block)) is not None]
        rest = {name: value for name, value in attachment.items() if name != "blocks"}
        BlockAttachment(blocks=blocks, **rest).validate_json()
    except (SlackObjectFormationError, TypeError, KeyError):
        raise Refused("invalid_attachments") from None


def _check_mentions(message: dict[str, Any], pieces: list[dict[str, Any]]) -> None:
    for piece in pieces:
        if piece["type"] == "mrkdwn" and not piece.get("verbatim", False):
            unlinked = CODE.sub("", LINK.sub("", piece["text"]))
            assert not NAMED.search(unlinked), f"somebody may be mentioned: {unlinked[:200]}"
    assert message.get("parse", "none") == "none", "names in the text would be parsed"


class StrictSlack(StrictPlatform):
    """A workspace with an incoming webhook at `SLACK_HOOK`, and a bot, whose API is at `/api`.

    `channels` has the ids of the bot's channels by name. `closed` has the error code that the webhook, or a
    channel by its id, answers to every request.
    """

    def __init__(self, token: str = SLACK_TOKEN, channels: dict[str, str] | None = None, **options: Any) -> None:
        super().__init__(**options)
        self.token = token
        self.channels = {"alerts": "C0ALERTS01"} if channels is None else channels
        self.closed: dict[str, str] = {}
        self._raw: dict[str, dict[str, Any]] = {}

    async def respond(self, request: web.Request) -> web.Response:
        if request.path.startswith("/api/"):
            return await self._call_api(request)
        if request.path != SLACK_HOOK:
            wrong_token = request.path.rpartition("/")[0] == SLACK_HOOK.rpartition("/")[0]
            return web.Response(status=403, text="invalid_token") if wrong_token else _webhook_error("no_service")
        if SLACK_HOOK in self.closed:
            return _webhook_error(self.closed[SLACK_HOOK])
        if (wait := self._retry_after(SLACK_HOOK)) is not None:
            return web.Response(status=429, text="rate_limited", headers={"Retry-After": wait})
        try:
            if request.content_type != "application/json":
                raise Refused("invalid_payload")
            message = parse_arguments(await request.read(), WEBHOOK_FIELDS)
            self._store(SLACK_HOOK, message, displayed_text(message))
        except Refused as refused:
            return web.Response(status=400, text=str(refused))
        return web.Response(text="ok")

    async def _call_api(self, request: web.Request) -> web.Response:
        method = request.path.removeprefix("/api/")
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        calls = {"chat.postMessage": (POST_FIELDS, self._post), "chat.update": (UPDATE_FIELDS, self._update)}
        try:
            if method not in calls:
                raise Refused("unknown_method")
            if scheme != "Bearer":
                raise Refused("not_authed")
            if token != self.token:
                raise Refused("invalid_auth")
            if request.content_type != "application/json":
                raise Refused("invalid_post_type")
            assert request.charset == "utf-8", "Slack warns about a missing charset"
            fields, call = calls[method]
            given = parse_arguments(await request.read(), fields)
            limit = (given.get("channel", ""), 5, 3) if call == self._post else ("", 50, 60)
            wait = self._retry_after(*limit)
            if wait is not None:
                answer = {"ok": False, "error": "ratelimited"}
                return web.json_response(answer, status=429, headers={"Retry-After": wait})
            return web.json_response({"ok": True} | call(given))
        except Refused as refused:
            return web.json_response({"ok": False, "error": str(refused)})

    def _post(self, message: dict[str, Any]) -> dict[str, Any]:
        channel = self._channel_id(message.get("channel", ""), named=True)
        thread = message.get("thread_ts")
        if thread is not None and self.find(f"{channel} {thread}") is None:
            raise Refused("thread_not_found")
        kept = self._store(channel, message, displayed_text(message), thread)
        ts = kept.reference.partition(" ")[2]
        return {"channel": channel, "ts": ts, "message": {"text": message.get("text", ""), "ts": ts}}

    def _update(self, message: dict[str, Any]) -> dict[str, Any]:
        channel = self._channel_id(message.get("channel", ""), named=False)
        reference = f"{channel} {message.get('ts')}"
        kept = self.find(reference)
        if kept is None:
            raise Refused("message_not_found")
        if not kept.editable:
            raise Refused("edit_window_closed")
        if len(message.get("text", "")) > 4000:
            raise Refused("msg_too_long")
        assert message.get("parse") == "none", "chat.update defaults to `client`"
        before = self._raw[reference]
        if "text" in message and "blocks" not in message:
            before = before | {"blocks": []}
        after = before | {name: message[name] for name in KEPT_BY_UPDATE if name in message}
        kept.versions.append(displayed_text(after))
        self._raw[reference] = after
        return {"channel": channel, "ts": message["ts"], "text": message.get("text", "")}

    def _channel_id(self, name: str, *, named: bool) -> str:
        """The id of a channel; only chat.postMessage accepts a name."""
        ids = set(self.channels.values())
        found = name if name in ids else self.channels.get(name.removeprefix("#"), "") if named else ""
        if not found:
            raise Refused("channel_not_found")
        if found in self.closed:
            raise Refused(self.closed[found])
        return found

    def _store(self, channel: str, message: dict[str, Any], text: str, thread: str | None = None) -> PostedMessage:
        reference = f"{channel} 1764000000.{len(self._raw):06}"
        self._raw[reference] = {name: message[name] for name in KEPT_BY_UPDATE if name in message}
        self.messages.append(PostedMessage(reference, [text], thread))
        return self.messages[-1]

    def _retry_after(self, name: str, limit: int = 5, seconds: float = 3) -> str | None:
        """The wait for one message a second and channel, with "short bursts", and fifty edits a minute; or None.

        https://docs.slack.dev/apis/web-api/rate-limits
        """
        window = self.window(name, limit, seconds)
        return None if window is None or window.allow() else f"{math.ceil(window.wait)}"


WEBHOOK_STATUSES = {
    "action_prohibited": 403,
    "channel_is_archived": 410,
    "channel_not_found": 404,
    "no_active_hooks": 404,
    "no_service": 404,
    "rollup_error": 500,
    "user_not_found": 400,
}


def _webhook_error(code: str) -> web.Response:
    return web.Response(status=WEBHOOK_STATUSES[code], text=code)
