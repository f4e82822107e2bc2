"""What does Teams take? A strict reader of messages, and the endpoint of a workflow that posts them.

A card is held against the published schema: https://adaptivecards.io/schemas/adaptive-card.json, of version 1.4.
https://learn.microsoft.com/en-us/microsoftteams/platform/webhooks-and-connectors/how-to/connectors-using
"""

import json
import math
from functools import lru_cache
from pathlib import Path
from typing import Any

from aiohttp import web
from jsonschema import Draft6Validator

from tests.notify.strict.platform import Shown, StrictPlatform, check_links

SCHEMA = Draft6Validator(json.loads((Path(__file__).parent / "adaptive_card" / "schema-1.4.json").read_text()))
CARD = "application/vnd.microsoft.card.adaptive"
FREE_TEXTS = ("text", "title", "url")
MAX_BODY = 28_000
TEAMS_HOOK = "/workflows/0123456789abcdef0123456789abcdef/triggers/manual/paths/invoke"


class Refused(Exception):
    """What Teams says no to: its status, and the code and words of Logic Apps."""

    def __init__(self, status: int, code: str, words: str) -> None:
        super().__init__(f"{code}: {words}")
        self.status, self.code, self.words = status, code, words


def read_teams(body: bytes) -> str:
    """The titles of the buttons, the lines of the card, and where its links lead, one a line.

    Raises:
        Refused: Teams would refuse it, or show nothing.
        AssertionError: it would be taken, but not as it should be: it pings, reads Markdown, or is near the limit.
    """
    if len(body) > MAX_BODY:
        raise Refused(413, "RequestEntityTooLarge", "Request Entity too large")
    card = _card(body)
    assert len(json.dumps(card, ensure_ascii=False, separators=(",", ":")).encode()) <= 20_000
    assert card.get("msteams", {}) in ({}, {"width": "Full"}), "entities could mention people"
    assert tuple(map(int, card["version"].split("."))) <= (1, 4)
    actions = card.get("actions", [])
    assert len(actions) <= 6, "the buttons after the sixth are not shown"
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
    """The one card of a message, found to be of the schema."""
    try:
        message = json.loads(body)
        [attachment] = message["attachments"]
        card: dict[str, Any] = attachment["content"]
        right = message["type"] == "message" and attachment["contentType"] == CARD
        right = right and type(card["body"]) is list and type(card["version"]) is str
    except (ValueError, TypeError, KeyError):
        right, card = False, {}
    if not right:
        raise Refused(
            400, "TriggerInputSchemaMismatch", "The input body for trigger 'manual' is not of its schema"
        )
    around = {name: value for name, value in card.items() if name not in ("msteams", "body")}
    for element in card["body"]:
        if (wrong := _wrong(json.dumps(_shape(around | {"body": [element]})))) is not None:
            raise Refused(400, "BadRequest", wrong)
    return card


@lru_cache(maxsize=10_000)
def _wrong(card: str) -> str | None:
    """What is wrong with a card by the schema; None if nothing is. This takes long: a large one, 0.1 s."""
    return next((f"{one.json_path}: {one.message[:200]}" for one in SCHEMA.iter_errors(json.loads(card))), None)


def _shape(part: Any, name: str = "") -> Any:
    """The part, with one text for all texts of which the schema wants nothing but that they are such."""
    if isinstance(part, dict):
        return {name: _shape(value, name) for name, value in part.items()}
    if isinstance(part, list):
        return [_shape(one) for one in part]
    return "text" if isinstance(part, str) and name in FREE_TEXTS else part


def _read_element(element: dict[str, Any], texts: list[str], links: list[str]) -> None:
    if element["type"] == "Container":
        assert element["items"], "an empty container"
        for item in element["items"]:
            _read_element(item, texts, links)
        return
    assert element["type"] == "RichTextBlock", "a TextBlock would read Markdown in it"
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

    async def answer(self, request: web.Request) -> web.Response:
        if self.deleted or request.path != TEAMS_HOOK:
            return _answered(Refused(404, "WorkflowNotFound", "The workflow could not be found."))
        window = self.window(TEAMS_HOOK, 4, 1)
        if window is not None and not window.passes():
            no = Refused(429, "WorkflowTriggerRequestsThrottled", "The number of requests is over the limit.")
            return _answered(no, **{"Retry-After": f"{math.ceil(window.wait)}"})
        try:
            if request.content_type != "application/json":
                raise Refused(415, "UnsupportedMediaType", "The content type is not supported.")
            text = read_teams(await request.read())
        except Refused as no:
            return self._too_large(no) if no.status == 413 and self.inside else _answered(no)
        self.messages.append(Shown(f"{len(self.messages)}", [text]))
        return web.Response(status=202)

    def _too_large(self, no: Refused) -> web.Response:
        words = "Webhook message delivery failed with error: Microsoft Teams endpoint returned HTTP error 413"
        return web.Response(status=self.inside or no.status, text=f"{words} with ContextId tcid=0")


def _answered(no: Refused, **headers: str) -> web.Response:
    return web.json_response({"error": {"code": no.code, "message": no.words}}, status=no.status, headers=headers)
