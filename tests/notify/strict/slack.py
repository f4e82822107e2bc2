"""What does Slack take? A strict reader of messages, and a server of incoming webhooks and of the Web API.

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

from tests.notify.strict.platform import Shown, StrictPlatform, check_links

LINK = re.compile(r"<(https?://[^<>|\s]+)\|([^<>|]+)>")
ENTITY = re.compile(r"&(?:amp|lt|gt);")
CODE = re.compile(r"`[^`\n]+`")
NAMED = re.compile(r"(?<!\w)@\w")
"""Found in text that is not `verbatim`: https://docs.slack.dev/reference/block-kit/composition-objects/text-object"""
WEBHOOK: dict[str, type] = {"text": str, "attachments": list, "blocks": list, "channel": str, "username": str}
WEBHOOK |= {"icon_emoji": str}
POST = WEBHOOK | {"thread_ts": str, "unfurl_links": bool, "unfurl_media": bool, "parse": str}
UPDATE: dict[str, type] = {
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
    """What Slack says no to, in its word."""


def read_slack(body: bytes) -> str:
    """What an incoming webhook is told: the text that Slack would show, in its markup.

    Raises:
        Refused: Slack would refuse it.
        AssertionError: it would be taken, but not as it should be: it pings, or its markup is broken.
    """
    return shown(arguments(body, WEBHOOK))


def arguments(body: bytes, fields: dict[str, type]) -> dict[str, Any]:
    """The arguments of a call, each of them known and of its type."""
    try:
        message: Any = json.loads(body)
    except ValueError:
        raise Refused("invalid_payload") from None
    if not isinstance(message, dict):
        raise Refused("invalid_payload")
    for name, value in message.items():
        assert name in fields, f"{name} is no argument"
        if type(value) is not fields[name]:
            raise Refused("invalid_arguments")
    return message


def shown(message: dict[str, Any]) -> str:
    """A message's text and that of its blocks, a line each."""
    attachments = message.get("attachments", [])
    blocks = [*message.get("blocks", []), *(block for one in attachments for block in one.get("blocks", []))]
    if not message.get("text") and not blocks:
        raise Refused("no_text")
    if len(attachments) > 100:
        raise Refused("too_many_attachments")
    if len(blocks) > 50:
        raise Refused("invalid_blocks")
    pieces = [piece for block in blocks for piece in _texts(block)]
    for attachment in attachments:
        _check_attachment(attachment)
    if sum(len(piece["text"]) for piece in pieces) > 13_200:
        raise Refused("msg_blocks_too_long")
    if len(message.get("text", "")) > 40_000:
        raise Refused("msg_too_long")
    _check_mentions(message, pieces)
    whole = "\n".join([*([message["text"]] if message.get("text") else []), *(one["text"] for one in pieces)])
    words = LINK.sub("", whole)
    assert "<" not in words, "text that is not escaped may mention or link"
    assert ">" not in words, "text that is not escaped"
    assert "&" not in ENTITY.sub("", words), "text that is not escaped"
    check_links([url for url, _ in LINK.findall(whole)])
    return whole


def _texts(block: Any) -> list[dict[str, Any]]:
    """The texts of a block that slack_sdk's own model takes as it is; what it drops, Slack does not know."""
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
            words = CODE.sub("", LINK.sub("", piece["text"]))
            assert not NAMED.search(words), f"somebody may be pinged: {words[:200]}"
    assert message.get("parse", "none") == "none", "names in the text would be parsed"


class StrictSlack(StrictPlatform):
    """A workspace with an incoming webhook at `SLACK_HOOK`, and a bot, whose API is at `/api`.

    `channels` has the ids of the channels that the bot is in, by name. `closed` has what the hook, or a channel by
    its id, answers to all that it is told.
    """

    def __init__(self, token: str = SLACK_TOKEN, channels: dict[str, str] | None = None, **options: Any) -> None:
        super().__init__(**options)
        self.token = token
        self.channels = {"alerts": "C0ALERTS01"} if channels is None else channels
        self.closed: dict[str, str] = {}
        self._raw: dict[str, dict[str, Any]] = {}

    async def answer(self, request: web.Request) -> web.Response:
        if request.path.startswith("/api/"):
            return await self._called(request)
        if request.path != SLACK_HOOK:
            same_hook = request.path.rpartition("/")[0] == SLACK_HOOK.rpartition("/")[0]
            return web.Response(status=403, text="invalid_token") if same_hook else _hook_says("no_service")
        if SLACK_HOOK in self.closed:
            return _hook_says(self.closed[SLACK_HOOK])
        if (wait := self._wait(SLACK_HOOK)) is not None:
            return web.Response(status=429, text="rate_limited", headers={"Retry-After": wait})
        try:
            if request.content_type != "application/json":
                raise Refused("invalid_payload")
            message = arguments(await request.read(), WEBHOOK)
            self._keep(SLACK_HOOK, message, shown(message))
        except Refused as no:
            return web.Response(status=400, text=str(no))
        return web.Response(text="ok")

    async def _called(self, request: web.Request) -> web.Response:
        method = request.path.removeprefix("/api/")
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        calls = {"chat.postMessage": (POST, self._post), "chat.update": (UPDATE, self._update)}
        try:
            if method not in calls:
                raise Refused("unknown_method")
            if scheme != "Bearer":
                raise Refused("not_authed")
            if token != self.token:
                raise Refused("invalid_auth")
            if request.content_type != "application/json":
                raise Refused("invalid_post_type")
            assert request.charset == "utf-8", "Slack warns of a missing_charset"
            fields, call = calls[method]
            given = arguments(await request.read(), fields)
            wait = self._wait(given.get("channel", "")) if call == self._post else self._wait("", 50, 60)
            if wait is not None:
                answer = {"ok": False, "error": "ratelimited"}
                return web.json_response(answer, status=429, headers={"Retry-After": wait})
            return web.json_response({"ok": True} | call(given))
        except Refused as no:
            return web.json_response({"ok": False, "error": str(no)})

    def _post(self, message: dict[str, Any]) -> dict[str, Any]:
        channel = self._channel(message.get("channel", ""), named=True)
        thread = message.get("thread_ts")
        if thread is not None and self.find(f"{channel} {thread}") is None:
            raise Refused("thread_not_found")
        kept = self._keep(channel, message, shown(message), thread)
        ts = kept.reference.partition(" ")[2]
        return {"channel": channel, "ts": ts, "message": {"text": message.get("text", ""), "ts": ts}}

    def _update(self, message: dict[str, Any]) -> dict[str, Any]:
        channel = self._channel(message.get("channel", ""), named=False)
        reference = f"{channel} {message.get('ts')}"
        kept = self.find(reference)
        if kept is None:
            raise Refused("message_not_found")
        if not kept.editable:
            raise Refused("edit_window_closed")
        if len(message.get("text", "")) > 4000:
            raise Refused("msg_too_long")
        assert message.get("parse") == "none", "`client` is the default of chat.update alone"
        before = self._raw[reference]
        if "text" in message and "blocks" not in message:
            before = before | {"blocks": []}
        after = before | {name: message[name] for name in KEPT_BY_UPDATE if name in message}
        kept.versions.append(shown(after))
        self._raw[reference] = after
        return {"channel": channel, "ts": message["ts"], "text": message.get("text", "")}

    def _channel(self, name: str, *, named: bool) -> str:
        """The id of a channel; only chat.postMessage takes one by its name."""
        ids = set(self.channels.values())
        found = name if name in ids else self.channels.get(name.removeprefix("#"), "") if named else ""
        if not found:
            raise Refused("channel_not_found")
        if found in self.closed:
            raise Refused(self.closed[found])
        return found

    def _keep(self, channel: str, message: dict[str, Any], text: str, thread: str | None = None) -> Shown:
        reference = f"{channel} 1764000000.{len(self._raw):06}"
        self._raw[reference] = {name: message[name] for name in KEPT_BY_UPDATE if name in message}
        self.messages.append(Shown(reference, [text], thread))
        return self.messages[-1]

    def _wait(self, name: str, limit: int = 5, seconds: float = 3) -> str | None:
        """One message a second and channel, with "short bursts"; fifty edits a minute. None: go ahead.

        https://docs.slack.dev/apis/web-api/rate-limits
        """
        window = self.window(name, limit, seconds)
        return None if window is None or window.passes() else f"{math.ceil(window.wait)}"


HOOK_STATUSES = {
    "action_prohibited": 403,
    "channel_is_archived": 410,
    "channel_not_found": 404,
    "no_active_hooks": 404,
    "no_service": 404,
    "rollup_error": 500,
    "user_not_found": 400,
}


def _hook_says(word: str) -> web.Response:
    return web.Response(status=HOOK_STATUSES[word], text=word)
