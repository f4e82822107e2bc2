"""What do a receiver of signed webhooks, and one that Apprise tells, take? Ours by our documentation, both strict.

https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
https://appriseit.com/services/json/
"""

import json
from typing import Any

from aiohttp import web
from standardwebhooks import Webhook, WebhookVerificationError

from tests.notify.strict.platform import Shown, StrictPlatform


def read_webhook(body: bytes) -> str:
    """Our own: everything in it, as JSON."""
    message = json.loads(body)
    assert isinstance(message, dict)
    return json.dumps(message, ensure_ascii=False)


def read_notice(body: bytes) -> str:
    """Our own: plain text."""
    text = body.decode()
    assert len(text) <= 20_300
    return text


class StrictReceiver(StrictPlatform):
    """Takes what is signed with its secret, each `webhook-id` once."""

    def __init__(self, secret: str, **options: Any) -> None:
        super().__init__(**options)
        self._webhook = Webhook(secret)

    async def answer(self, request: web.Request) -> web.Response:
        body = await request.read()
        try:
            self._webhook.verify(body, dict(request.headers))
        except WebhookVerificationError as no:
            return web.Response(status=401, text=f"{no}")
        if request.content_type != "application/json":
            return web.Response(status=415, text="this is no JSON")
        name = request.headers["webhook-id"]
        if self.find(name) is None:
            self.messages.append(Shown(name, [read_webhook(body)]))
        return web.Response(status=204)


class StrictNotices(StrictPlatform):
    """Takes what Apprise's `json://` sends."""

    async def answer(self, request: web.Request) -> web.Response:
        notice = await request.json()
        if set(notice) != {"version", "title", "message", "attachments", "type"} or notice["attachments"]:
            return web.Response(status=400, text=f"unknown: {sorted(notice)}")
        if notice["type"] not in ("info", "success", "warning", "failure"):
            return web.Response(status=400, text="no such type")
        text = read_notice(f"{notice['title']}\n\n{notice['message']}".encode())
        self.messages.append(Shown(f"{len(self.messages)}", [text]))
        return web.Response(text="ok")
