"""A strict Teams: a reader of messages, and the endpoint of a workflow that posts them.

Cards are validated with version 1.4 of the schema https://adaptivecards.io/schemas/adaptive-card.json.
https://learn.microsoft.com/en-us/microsoftteams/platform/webhooks-and-connectors/how-to/connectors-using
"""

import json
import math
from functools import lru_cache
from pathlib import Path
from typing import Any

from aiohttp import web
from jsonschema import Draft6Validator

from tests.notify.strict.platform import PostedMessage, StrictPlatform, check_links

SCHEMA = Draft6Validator(json.loads((Path(__file__).parent / "adaptive_card" / "schema-1.4.json").read_text()))
CARD = "application/vnd.microsoft.card.adaptive"
FREE_TEXTS = ("text", "title", "url")
MAX_BODY = 28_000
TEAMS_HOOK = "/workflows/0123456789abcdef0123456789abcdef/triggers/manual/paths/invoke"


class Refused(Exception):
    """Teams refuses the request: status, and the code and message of Logic Apps."""

    def __init__(self, status: int, code: str, text: str) -> None:
        super().__init__(f"{code}: {text}")
        self.status, self.code, self.text = status, code, text


def read_teams(body: bytes) -> str:
    """The titles of the buttons, the lines of the card, and the URLs of its links, one a line.

    Raises:
        Refused: Teams would refuse it or show nothing.
        AssertionError: Teams would accept it, but it mentions people, uses Markdown, or is near the size limit.
    """
    if len(body) > MAX_BODY:
        raise Refused(413, "RequestEntityTooLarge", "Request Entity too large")
    card = _card(body)
    assert len(json.dumps(card, ensure_ascii=False, separators=(",", ":")).encode()) <= 20_000
    assert card.get("msteams", {}) in ({}, {"width": "Full"}), "entities could mention people"
    assert tuple(map(int, card["version"].split("."))) <= (1, 4)
    actions = card.get("actions", [])
    assert len(actions) <= 6, "Teams shows only six buttons"
    texts: list[str] = []
    links: list[str] = []
    for action in actions:
        texts.append(action["title"])
        links.append(action["url"])
    for element in card["body"]:
        _read_element(element, texts, links)
    check_links(links)
    return "\n".join([*texts, *links])


def _card(body: bytes) -> dict[str, Any]:
    """The one card of a message, validated with the schema."""
    try:
        message = json.loads(body)
        [attachment] = message["attachments"]
        card: dict[str, Any] = attachment["content"]
        valid = message["type"] == "message" and attachment["contentType"] == CARD
        valid = valid and type(card["body"]) is list and type(card["version"]) is str
    except (ValueError, TypeError, KeyError):
        valid, card = False, {}
    if not valid:
        raise Refused(
            400, "TriggerInputSchemaMismatch", "The input body for trigger 'manual' is not of its schema"
        )
    envelope = {name: value for name, value in card.items() if name not in ("msteams", "body")}
    for element in card["body"]:
        error = _schema_error(json.dumps(_with_placeholders(envelope | {"body": [element]})))
        if error is not None:
            raise Refused(400, "BadRequest", error)
    return card


@lru_cache(maxsize=10_000)
def _schema_error(card: str) -> str | None:
    """The first error by the schema, or None. Cached because a large card takes 0.1 s."""
    errors = SCHEMA.iter_errors(json.loads(card))
    return next((f"{error.json_path}: {error.message[:200]}" for error in errors), None)


def _with_placeholders(part: Any, name: str = "") -> Any:
    """The part with a placeholder for every text that the schema accepts whatever it is."""
    if isinstance(part, dict):
        return {name: _with_placeholders(value, name) for name, value in part.items()}
    if isinstance(part, list):
        return [_with_placeholders(item) for item in part]
    return "text" if isinstance(part, str) and name in FREE_TEXTS else part


def _read_element(element: dict[str, Any], texts: list[str], links: list[str]) -> None:
    if element["type"] == "Container":
        assert element["items"], "an empty container"
        for item in element["items"]:
            _read_element(item, texts, links)
        return
    assert element["type"] == "RichTextBlock", "a TextBlock would parse Markdown"
    assert element["inlines"], "an empty line"
    for run in element["inlines"]:
        assert run["text"], "an empty run"
        if action := run.get("selectAction"):
            links.append(action["url"])
    texts.append("".join(run["text"] for run in element["inlines"]))


class StrictTeams(StrictPlatform):
    """A workflow at `TEAMS_HOOK`. `inside`: the status whose body reports a card that is too large."""

    def __init__(self, *, inside: int | None = None, **options: Any) -> None:
        super().__init__(**options)
        self.inside = inside
        self.deleted = False

    async def respond(self, request: web.Request) -> web.Response:
        if self.deleted or request.path != TEAMS_HOOK:
            return _error_response(Refused(404, "WorkflowNotFound", "The workflow could not be found."))
        window = self.window(TEAMS_HOOK, 4, 1)
        if window is not None and not window.allow():
            refused = Refused(429, "WorkflowTriggerRequestsThrottled", "The number of requests is over the limit.")
            return _error_response(refused, **{"Retry-After": f"{math.ceil(window.wait)}"})
        try:
            if request.content_type != "application/json":
                raise Refused(415, "UnsupportedMediaType", "The content type is not supported.")
            text = read_teams(await request.read())
        except Refused as refused:
            return self._too_large(refused) if refused.status == 413 and self.inside else _error_response(refused)
        self.messages.append(PostedMessage(f"{len(self.messages)}", [text]))
        return web.Response(status=202)

    def _too_large(self, refused: Refused) -> web.Response:
        text = "Webhook message delivery failed with error: Microsoft Teams endpoint returned HTTP error 413"
        return web.Response(status=self.inside or refused.status, text=f"{text} with ContextId tcid=0")


def _error_response(refused: Refused, **headers: str) -> web.Response:
    return web.json_response(
        {"error": {"code": refused.code, "message": refused.text}}, status=refused.status, headers=headers
    )
