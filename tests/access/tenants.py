"""Tenants with full sets of data, in which every text has a marker of its tenant."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import asyncpg
from aiohttp import web

from tests.fixtures.relays import ApiResponse, Relay, alert, running, webhook
from tests.fixtures.sink import Sink, success

OWN: Final = "redmark"
OTHER: Final = "bluemark"
SHARED: Final = "graymark"
"""The marker of what has no tenant."""
EMPTY: Final = "greenmark"
"""A tenant without data."""
UNLIMITED: Final = {"per_second": 1000, "burst": 100}
UPDATED_ONLY_BY_USE: Final = {"api_keys": "last_used_at"}

MERGED: Final = """
    INSERT INTO deliveries (
      receipt_id, channel_id, group_hash, rank, state, attempt, created_at, waiting_since, merged_into, source,
      tenant_id, last_error
    )
    SELECT receipt_id, channel_id, group_hash, rank, 'merged', 0, created_at, waiting_since, id, source, tenant_id,
      'merged ' || $1
    FROM deliveries WHERE channel_id = $1 || '-ok' ORDER BY id LIMIT 1 RETURNING id
"""
DIGEST: Final = """
    INSERT INTO deliveries (
      channel_id, kind, group_hash, rank, state, attempt, created_at, waiting_since, tenant_id, last_error
    )
    SELECT channel_id, 'digest', 0, 0, 'dead', 1, created_at, waiting_since, tenant_id, 'digest ' || $1
    FROM deliveries WHERE channel_id = $1 || '-ok' ORDER BY id LIMIT 1 RETURNING id
"""


@dataclass
class Objects:
    """The ids of what a tenant has."""

    names: list[str] = field(default_factory=list)
    """Ids of channels and templates, deleted ones included, and names of sources."""
    keys: dict[str, str] = field(default_factory=dict)
    """Secrets by role."""
    key_ids: list[str] = field(default_factory=list)
    deliveries: list[int] = field(default_factory=list)
    alerts: list[int] = field(default_factory=list)
    silences: list[str] = field(default_factory=list)


@dataclass
class World:
    """A relay with data of two tenants, and of none."""

    relay: Relay
    objects: dict[str, Objects]
    both: dict[str, str]
    """Secrets of keys for OWN and EMPTY, by role."""


def answer(request: web.Request) -> web.StreamResponse | Any:
    """A platform whose errors contain the marker of the channel."""
    marker, _, kind = request.path.removeprefix("/").partition("-")
    if kind in ("fails", "dead"):
        return web.Response(status=400, text=f"{marker} is unknown")
    return web.Response(status=503, text=f"{marker} is busy") if kind == "slow" else success(request)


@asynccontextmanager
async def world(database_url: str, sink: Sink) -> AsyncIterator[World]:
    """A world whose relay sends nothing more, so that only requests change it."""
    sink.script = answer
    objects = {}
    async with running(database_url) as relay:
        for marker in (SHARED, OWN, OTHER):
            objects[marker] = await configured(relay, sink, marker)
        both = {
            role: await new_key(relay, Objects(), role, f"{OWN}-both-{role}", tenants=[OWN, EMPTY])
            for role in ("viewer", "operator", "admin")
        }
        for marker in (OWN, OTHER):
            await report(relay, objects[marker], marker)
        mixed = [alert(f"{marker} mixed", tenant_id=marker, team=marker) for marker in (OWN, OTHER)]
        await relay.webhook(webhook(*mixed, group="mixed"))
        await relay.webhook(webhook(alert(f"{SHARED} alert", team=SHARED), group=SHARED))
        await sent(relay)
    await finish(database_url, objects)
    async with running(database_url, deliver=False) as relay:
        yield World(relay, objects, both)


async def configured(relay: Relay, sink: Sink, marker: str) -> Objects:
    """Create all that a tenant can configure, or the same without a tenant."""
    found = Objects()
    owner = {} if marker == SHARED else {"tenant_id": marker}
    for role in ("viewer", "operator", "admin", "ingest"):
        own_source = {"source": f"{marker}-source"} if role == "ingest" else {}
        await new_key(relay, found, role, f"{marker}-{role}", **owner, **own_source)
    key = found.keys["admin"]
    source = f"{marker}-source" if marker == SHARED else f"{marker}-source@{marker}"
    await add_channels(relay, sink, marker, key)
    channels = [{"name": f"{marker} made", "channel_type": "slack", "webhook_url": {"$": "url"}}]
    content = {"id": f"{marker}-set", "name": marker, "parameters": [{"name": "url"}], "channels": channels}
    await changed(relay, "POST", "/channel-templates", key, content | {"description": marker})
    await changed(relay, "PATCH", f"/sources/{source}", key, {"stale_after": 4000})
    for number in range(2):
        silence = {"matchers": [f'team="silenced-{marker}-{number}"'], "ends_at": "2999-01-01T00:00:00Z"}
        more = {"comment": marker, "channels": [f"{marker}-ok"]}
        found.silences.append((await changed(relay, "POST", "/silences", key, silence | more))["id"])
    kinds = ("fallback", "fails", "ok", "dead", "slow", "gone", "edited", "template", "set")
    found.names = [*(f"{marker}-{kind}" for kind in kinds), source]
    return found


async def add_channels(relay: Relay, sink: Sink, marker: str, key: str) -> None:
    """Create channels whose deliveries get into each state, with a message template; delete one."""
    template = {"id": f"{marker}-template", "name": marker, "title": f"{marker} {{{{ title }}}}"}
    await changed(relay, "POST", "/templates", key, template)
    await changed(relay, "PATCH", f"/templates/{marker}-template", key, {"body": f"body of {marker}"})
    for name, more in {
        "fallback": {},
        "fails": {"fallback_channel_id": f"{marker}-fallback"},
        "ok": {"template": f"{marker}-template"},
        "dead": {},
        "slow": {},
        "gone": {},
    }.items():
        await changed(relay, "POST", "/channels", key, channel(sink, f"{marker}-{name}", marker) | more)
    discord = channel(sink, f"{marker}-edited", marker) | {"channel_type": "discord"}
    await changed(relay, "POST", "/channels", key, discord)
    await changed(relay, "PATCH", f"/channels/{marker}-gone", key, {"name": f"{marker} renamed"})
    await changed(relay, "DELETE", f"/channels/{marker}-gone", key)


def channel(sink: Sink, name: str, marker: str) -> dict[str, Any]:
    """The body of a channel with a marker in its fields."""
    return {
        "name": name,
        "channel_type": "slack",
        "webhook_url": f"{sink.url}/{name}",
        "matchers": [f'team!="not-{marker}"'],
        "rate_limit": UNLIMITED,
    }


async def new_key(relay: Relay, found: Objects, role: str, name: str, **fields: Any) -> str:
    """Create a key as the global admin, and return its secret."""
    response = await ask(relay, "POST", "/keys", json={"name": name, "role": role} | fields)
    assert response.status == 201, response.body
    found.keys[role] = response.json["key"]
    found.key_ids.append(response.json["id"])
    return found.keys[role]


async def ask(relay: Relay, method: str, path: str, **request: Any) -> ApiResponse:
    """Call the API until the database responds in time, as a busy machine may need."""
    async with asyncio.timeout(60):
        while (response := await relay.call(method, path, **request)).status == 503:
            await asyncio.sleep(0.1)
    return response


async def changed(relay: Relay, method: str, path: str, key: str, body: Any = None) -> Any:
    """Make a change that succeeds."""
    response = await ask(relay, method, path, key=key, json=body)
    assert response.status < 300, (path, response.body)
    return response.json


async def report(relay: Relay, found: Objects, marker: str) -> None:
    """Post a webhook of a tenant with its ingest key, twice."""
    one = alert(f"{marker} alert", team=marker, category=f"{marker}-category")
    one["annotations"] |= {"summary": f"summary of {marker}"}
    one["generatorURL"] = f"http://{marker}.example.com"
    body = webhook(one, group=marker) | {"receiver": marker, "externalURL": f"http://{marker}.example.com"}
    for _ in range(2):
        response = await posted(relay, found.keys["ingest"], body, sender=marker)
        assert response["alerts"] == 1


async def posted(relay: Relay, key: str, body: dict[str, Any], **query: str) -> dict[str, Any]:
    """Post a webhook with a key."""
    response = await ask(relay, "POST", "/webhook", key=key, json=body, params=query)
    assert response.status == 202, response.body
    result: dict[str, Any] = response.json
    return result


async def sent(relay: Relay) -> None:
    """Wait until each delivery was attempted, and each tenant has some that are delivered, dead and pending."""
    async with asyncio.timeout(60):
        while True:
            items = await relay.items("/deliveries?limit=500")
            found = {
                (marker, "pending" if item["state"] == "sending" else item["state"])
                for item in items
                for marker in (OWN, OTHER, SHARED)
                if marker in item["channel_id"]
            }
            wanted = {
                (marker, state) for marker in (OWN, OTHER, SHARED) for state in ("delivered", "dead", "pending")
            }
            if wanted <= found and all(item["attempt_count"] for item in items):
                return
            await asyncio.sleep(0.05)


async def finish(database_url: str, objects: dict[str, Objects]) -> None:
    """Add deliveries in the states that take time to reach, and read the ids."""
    connection = await asyncpg.connect(database_url)
    for marker, found in objects.items():
        await connection.execute(MERGED, marker)
        await connection.execute(DIGEST, marker)
        rows = await connection.fetch("SELECT id FROM deliveries WHERE channel_id LIKE $1 || '-%'", marker)
        found.deliveries = [row["id"] for row in rows]
        tenant = "" if marker == SHARED else marker
        rows = await connection.fetch("SELECT id FROM alerts WHERE tenant_id = $1", tenant)
        found.alerts = [row["id"] for row in rows]
    await connection.close()


async def rows_of(database_url: str) -> set[tuple[str, str]]:
    """All rows of all tables, as text."""
    connection = await asyncpg.connect(database_url)
    tables = await connection.fetch(
        "SELECT tablename AS name FROM pg_tables WHERE schemaname = 'public' AND tablename <> 'alembic_version'"
    )
    found = set()
    for table in tables:
        for row in await connection.fetch(f"SELECT * FROM {table['name']}"):
            shown = {name: value for name, value in row.items() if name != UPDATED_ONLY_BY_USE.get(table["name"])}
            found.add((table["name"], json.dumps(shown, default=repr)))
    await connection.close()
    return found
