"""A request for every route of the relay, to objects of one tenant."""

import itertools
import secrets
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, NamedTuple
from urllib.parse import quote

from tests.fixtures.relays import Relay, alert, webhook

OWNER: Final = "acme"
"""The tenant of the objects."""
OTHER: Final = "globex"
COLUMNS: Final = ("admin", "operator", "viewer", "ingest", "wrong key", "expired key", "revoked key", "no key")
ROLES: Final = COLUMNS[:4]


class Call(NamedTuple):
    """A request: its path, and its body as JSON."""

    path: str
    body: Any = None


Case = Callable[["Objects"], Awaitable[Call]]


class Objects:
    """Creates objects of the tenant, which a request may change or delete."""

    def __init__(self, relay: Relay, sink_url: str, ingest_key: str) -> None:
        self._relay = relay
        self._sink_url = sink_url
        self._ingest_key = ingest_key
        self._numbers = itertools.count(1)
        self.channels: list[str] = []

    def name(self) -> str:
        return f"object-{next(self._numbers)}"

    def channel_body(self) -> dict[str, Any]:
        return {
            "name": self.name(),
            "channel_type": "webhook",
            "webhook_url": self._sink_url,
            "tenant_id": OWNER,
        }

    async def channel(self) -> str:
        self.channels.append(str((await self._relay.channel(**self.channel_body()))["id"]))
        return self.channels[-1]

    def template_body(self) -> dict[str, Any]:
        return {"name": self.name(), "title": "x", "tenant_id": OWNER}

    async def template(self) -> str:
        return await self._created("/templates", self.template_body())

    def channel_template_body(self) -> dict[str, Any]:
        channel = {"channel_type": "webhook", "name": "n", "webhook_url": {"$": "url"}}
        parameters = [{"name": "url"}]
        return {"name": self.name(), "channels": [channel], "parameters": parameters, "tenant_id": OWNER}

    async def channel_template(self) -> str:
        return await self._created("/channel-templates", self.channel_template_body())

    async def key(self) -> str:
        return await self._created("/keys", {"name": secrets.token_hex(8), "role": "viewer", "tenant_id": OWNER})

    async def delivery(self) -> int:
        """A delivery to a channel of the tenant, of an alert of the tenant."""
        channel_id = await self.channel()
        sent = webhook(alert(self.name()), group=self.name())
        response = await self._relay.call("POST", "/webhook", key=self._ingest_key, json=sent)
        assert response.status == 202, response.body
        [delivery] = await self._relay.items(f"/deliveries?channel_id={channel_id}")
        return int(delivery["id"])

    async def alert(self) -> int:
        delivery = await self._relay.call("GET", f"/deliveries/{await self.delivery()}")
        return int(delivery.json["alert_ids"][0])

    def silence_body(self) -> dict[str, Any]:
        matchers = [f'team="{self.name()}"']
        return {"matchers": matchers, "ends_at": "2999-01-01T00:00:00Z", "comment": "x", "tenant_id": OWNER}

    async def silence(self) -> str:
        return await self._created("/silences", self.silence_body())

    async def acknowledged(self) -> int:
        alert_id = await self.alert()
        response = await self._relay.call("POST", f"/history/{alert_id}/acknowledge")
        assert response.status == 200, response.body
        return alert_id

    async def group(self) -> dict[str, Any]:
        """The group of an alert of the tenant."""
        delivery = await self._relay.call("GET", f"/deliveries/{await self.delivery()}")
        return {"group_key": delivery.json["group_key"]}

    async def acknowledged_group(self) -> dict[str, Any]:
        group = await self.group()
        response = await self._relay.call("POST", "/groups/acknowledge", json=group)
        assert response.status == 200, response.body
        return group

    async def source(self) -> str:
        await self.delivery()
        return quote(f"@{OWNER}")

    async def _created(self, path: str, body: Mapping[str, Any]) -> str:
        response = await self._relay.call("POST", path, json=body)
        assert response.status == 201, response.body
        return str(response.json["id"])


def _at(template: str, made: str | None = None, body: Any = None) -> Case:
    """A request whose path has the id of an object that the method `made` creates."""

    async def call(objects: Objects) -> Call:
        path = template if made is None else template.format(await getattr(objects, made)())
        return Call(path, body)

    return call


def _with(path: str, body: str) -> Case:
    """A request whose body the method `body` returns."""

    async def call(objects: Objects) -> Call:
        return Call(path, getattr(objects, body)())

    return call


async def _to_group(objects: Objects, made: str) -> Call:
    return Call("/groups/acknowledge", await getattr(objects, made)())


async def _to_channel(objects: Objects, path: str) -> Call:
    return Call(path, {"channel_id": await objects.channel()})


async def _why(objects: Objects) -> Call:
    alert_id = await objects.alert()
    return Call(f"/history/{alert_id}/why?channel={objects.channels[-1]}")


async def _new_key(_: Objects) -> Call:
    return Call("/keys", {"name": secrets.token_hex(8), "role": "viewer"})


CASES: Final[dict[str, Case]] = {
    "POST /webhook": _at("/webhook", body=webhook()),
    "POST /channels": _with("/channels", "channel_body"),
    "GET /channels": _at("/channels"),
    "GET /channels/{channel_id}": _at("/channels/{}", "channel"),
    "PATCH /channels/{channel_id}": _at("/channels/{}", "channel", {"severities": ["critical"]}),
    "DELETE /channels/{channel_id}": _at("/channels/{}", "channel"),
    "GET /channels/{channel_id}/health": _at("/channels/{}/health", "channel"),
    "GET /channels/{channel_id}/versions": _at("/channels/{}/versions", "channel"),
    "GET /channels/{channel_id}/versions/{number}": _at("/channels/{}/versions/1", "channel"),
    "POST /channels/{channel_id}/versions/{number}/restore": _at("/channels/{}/versions/1/restore", "channel", {}),
    "POST /templates": _with("/templates", "template_body"),
    "GET /templates": _at("/templates"),
    "GET /templates/{template_id}": _at("/templates/{}", "template"),
    "PATCH /templates/{template_id}": _at("/templates/{}", "template", {"title": "y"}),
    "DELETE /templates/{template_id}": _at("/templates/{}", "template"),
    "GET /templates/{template_id}/versions": _at("/templates/{}/versions", "template"),
    "GET /templates/{template_id}/versions/{number}": _at("/templates/{}/versions/1", "template"),
    "POST /templates/{template_id}/versions/{number}/restore": _at("/templates/{}/versions/1/restore", "template"),
    "POST /channel-templates": _with("/channel-templates", "channel_template_body"),
    "GET /channel-templates": _at("/channel-templates"),
    "GET /channel-templates/{template_id}": _at("/channel-templates/{}", "channel_template"),
    "PATCH /channel-templates/{template_id}": _at(
        "/channel-templates/{}", "channel_template", {"description": "y"}
    ),
    "DELETE /channel-templates/{template_id}": _at("/channel-templates/{}", "channel_template"),
    "POST /test": lambda objects: _to_channel(objects, "/test"),
    "POST /preview": lambda objects: _to_channel(objects, "/preview"),
    "POST /route": _at("/route", body={"labels": {"alertname": "A"}}),
    "GET /history": _at("/history"),
    "GET /history/{alert_id}": _at("/history/{}", "alert"),
    "GET /history/{alert_id}/why": _why,
    "POST /history/{alert_id}/acknowledge": _at("/history/{}/acknowledge", "alert"),
    "DELETE /history/{alert_id}/acknowledge": _at("/history/{}/acknowledge", "acknowledged"),
    "POST /groups/acknowledge": lambda objects: _to_group(objects, "group"),
    "DELETE /groups/acknowledge": lambda objects: _to_group(objects, "acknowledged_group"),
    "GET /deliveries": _at("/deliveries"),
    "GET /deliveries/{delivery_id}": _at("/deliveries/{}", "delivery"),
    "POST /deliveries/{delivery_id}/redeliver": _at("/deliveries/{}/redeliver", "delivery"),
    "POST /deliveries/redeliver": _at("/deliveries/redeliver", body={}),
    "GET /sources": _at("/sources"),
    "GET /sources/{name}": _at("/sources/{}", "source"),
    "PATCH /sources/{name}": _at("/sources/{}", "source", {"stale_after": 3600}),
    "POST /silences": _with("/silences", "silence_body"),
    "GET /silences": _at("/silences"),
    "GET /silences/{silence_id}": _at("/silences/{}", "silence"),
    "PATCH /silences/{silence_id}": _at("/silences/{}", "silence", {"comment": "y"}),
    "POST /silences/{silence_id}/expire": _at("/silences/{}/expire", "silence"),
    "GET /silences/{silence_id}/versions": _at("/silences/{}/versions", "silence"),
    "POST /silences/preview": _with("/silences/preview", "silence_body"),
    "POST /keys": _new_key,
    "GET /keys": _at("/keys"),
    "GET /keys/{key_id}": _at("/keys/{}", "key"),
    "DELETE /keys/{key_id}": _at("/keys/{}", "key"),
    "POST /keys/{key_id}/rotate": _at("/keys/{}/rotate", "key", {"overlap": "0s"}),
    "GET /audit": _at("/audit"),
    "GET /me": _at("/me"),
    "GET /health": _at("health"),
    "GET /-/healthy": _at("-/healthy"),
    "GET /-/ready": _at("-/ready"),
    "GET /metrics": _at("metrics"),
    "GET /schema": _at("schema"),
    "GET /schema/openapi.json": _at("schema/openapi.json"),
    "GET /schema/{path}": _at("schema/unknown"),
    "GET /schema/assets/{name}": _at("schema/assets/start.js"),
}
