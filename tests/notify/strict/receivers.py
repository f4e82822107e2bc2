"""A strict receiver of signed webhooks, and a strict target of Apprise.

https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
https://appriseit.com/services/json/
"""

import json
from typing import Any

from aiohttp import web
from standardwebhooks import Webhook, WebhookVerificationError

from tests.notify.strict.platform import PostedMessage, StrictPlatform


def read_webhook(body: bytes) -> str:
    """The relay's own format: the whole body as JSON."""
    message = json.loads(body)
    assert isinstance(message, dict)
    return json.dumps(message, ensure_ascii=False)


def read_apprise(body: bytes) -> str:
    """Plain text."""
    text = body.decode()
    assert len(text) <= 20_300
    return text


class StrictWebhookReceiver(StrictPlatform):
    """Accepts requests signed with its secret, each `webhook-id` once."""

    def __init__(self, secret: str, **options: Any) -> None:
        super().__init__(**options)
        self._webhook = Webhook(secret)

    async def respond(self, request: web.Request) -> web.Response:
        body = await request.read()
        try:
            self._webhook.verify(body, dict(request.headers))
        except WebhookVerificationError as error:
            return web.Response(status=401, text=f"{error}")
        if request.content_type != "application/json":
            return web.Response(status=415, text="this is not JSON")
        name = request.headers["webhook-id"]
        if self.find(name) is None:
            self.messages.append(PostedMessage(name, [read_webhook(body)]))
        return web.Response(status=204)


class StrictAppriseTarget(StrictPlatform):
    """Accepts what Apprise's `json://` sends."""

    async def respond(self, request: web.Request) -> web.Response:
        notice = await request.json()
        if set(notice) != {"version", "title", "message", "attachments", "type"} or notice["attachments"]:
            return web.Response(status=400, text=f"unknown: {sorted(notice)}")
        if notice["type"] not in ("info", "success", "warning", "failure"):
            return web.Response(status=400, text="no such type")
        text = read_apprise(f"{notice['title']}\n\n{notice['message']}".encode())
        self.messages.append(PostedMessage(f"{len(self.messages)}", [text]))
        return web.Response(text="ok")
