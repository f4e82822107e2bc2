"""A strict PagerDuty: a reader of events, and a server of the Events API v2.

https://developer.pagerduty.com/docs/events-api-v2/trigger-events
"""

import json
import math
import re
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from aiohttp import web

from tests.notify.strict.platform import PostedMessage, StrictPlatform

EVENT_FIELDS: dict[str, type] = {
    "routing_key": str,
    "event_action": str,
    "dedup_key": str,
    "payload": dict,
    "client": str,
    "client_url": str,
    "links": list,
}
PAYLOAD_FIELDS: dict[str, type] = {
    "summary": str,
    "source": str,
    "severity": str,
    "timestamp": str,
    "component": str,
    "group": str,
    "class": str,
    "custom_details": dict,
}


class Refused(Exception):
    """PagerDuty refuses the event, with one of its `errors`."""


def read_pagerduty(body: bytes) -> str:
    """The summary, notes, details and links of an event, one a line.

    Raises:
        Refused: PagerDuty would refuse it.
    """
    if len(body) > 512_000:
        raise Refused("the event is larger than 512 KB")
    event: dict[str, Any] = json.loads(body)
    _check_fields(event, EVENT_FIELDS, "event")
    if not re.fullmatch(r"[A-Za-z0-9]{32}", event.get("routing_key", "")):
        raise Refused("Length of 'routing_key' is incorrect (should be 32 characters)")
    if event.get("event_action") not in ("trigger", "acknowledge", "resolve"):
        raise Refused("'event_action' must be one of trigger, acknowledge, resolve")
    if not 0 < len(event.get("dedup_key", "")) <= 255:
        raise Refused("'dedup_key' is missing or too long")
    payload = event.get("payload", {})
    _check_payload(payload)
    links = [(link["href"], link["text"]) for link in event.get("links", [])]
    for url, _ in links:
        if urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).hostname:
            raise Refused("'links' must be URLs")
    details = payload.get("custom_details", {})
    text = json.dumps(details, ensure_ascii=False)
    notes = details.get("notes", [])
    return "\n".join([f"EVENT {payload['summary']}", *notes, text, *(f"{text} {url}" for url, text in links)])


def _check_payload(payload: dict[str, Any]) -> None:
    _check_fields(payload, PAYLOAD_FIELDS, "payload")
    for name in ("summary", "source", "severity"):
        if not payload.get(name, "").strip():
            raise Refused(f"'payload.{name}' is missing or blank")
    if len(payload["summary"]) > 1024:
        raise Refused("'payload.summary' is too long (maximum is 1024 characters)")
    if payload["severity"] not in ("critical", "error", "warning", "info"):
        raise Refused("'payload.severity' is invalid (must be one of critical, warning, error or info)")
    if "timestamp" in payload:
        assert datetime.fromisoformat(payload["timestamp"]).tzinfo is not None


def _check_fields(data: dict[str, Any], fields: dict[str, type], where: str) -> None:
    for name, value in data.items():
        if name not in fields or type(value) is not fields[name]:
            raise Refused(f"'{where}.{name}' is unknown or of a wrong type")


class StrictPagerDuty(StrictPlatform):
    """A service. `open` and `closed` have its incidents by dedup_key; `messages` has the events."""

    def __init__(self, key: str, **options: Any) -> None:
        super().__init__(**options)
        self.key = key
        self.open: dict[str, str] = {}
        self.closed: list[str] = []

    async def respond(self, request: web.Request) -> web.Response:
        body = await request.read()
        if request.content_type != "application/json":
            return error_response("Event object is invalid")
        try:
            text = read_pagerduty(body)
        except Refused as refused:
            return error_response(str(refused))
        event = json.loads(body)
        if event["routing_key"] != self.key:
            return error_response("Invalid routing key")
        window = self.window(self.key, 120, 60)
        if window is not None and not window.allow():
            response = {"status": "throttle exceeded", "message": "Requests are arriving too quickly."}
            return web.json_response(response, status=429, headers={"Retry-After": f"{math.ceil(window.wait)}"})
        name = event["dedup_key"]
        self.messages.append(PostedMessage(name, [text]))
        if event["event_action"] == "trigger":
            self.open.setdefault(name, event["payload"]["severity"])
        elif self.open.pop(name, None):
            self.closed.append(name)
        response = {"status": "success", "message": "Event processed", "dedup_key": name}
        return web.json_response(response, status=202)


def error_response(*errors: str) -> web.Response:
    """An error response of PagerDuty."""
    response = {"status": "invalid event", "message": "Event object is invalid", "errors": list(errors)}
    return web.json_response(response, status=400)
