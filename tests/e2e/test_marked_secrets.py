"""Marked secrets in every field and setting: they reach the platforms, and appear nowhere else."""

import asyncio
import json
import os
import re
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from relay.app import BASE_PATH
from relay.store.configuration.seal import new_key
from tests.e2e.marks import SECRETS, found_in
from tests.fixtures.processes import ROOT, fetch, relay_process
from tests.fixtures.relays import alert, webhook

STATUSES = (200, 500, 429, 400, 404)
TABLES = "SELECT c.oid::regclass::text AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
ORDINARY = "WHERE c.relkind IN ('r', 'p') AND n.nspname = 'public'"

pytestmark = pytest.mark.slow


@asynccontextmanager
async def echoing_platforms() -> AsyncIterator[tuple[str, list[str]]]:
    """Respond to each request with its URL, headers and body; the first part of the path is the status."""
    received: list[str] = []

    async def respond(request: web.Request) -> web.Response:
        body = await request.text()
        found = f"{request.raw_path} {dict(request.headers)} {body}"
        received.append(found)
        text = json.dumps({"ok": False, "error": found, "message": str(request.url), "raw": request.raw_path})
        return web.Response(status=int(request.path.split("/")[1]), text=text, content_type="application/json")

    application = web.Application()
    application.router.add_route("*", "/{rest:.*}", respond)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}", received
    finally:
        await runner.cleanup()


def channels(server: str, status: int) -> list[dict[str, Any]]:
    """A channel of every type, with each of its secrets, whose platform responds with a status."""
    at, s = f"{server}/{status}", SECRETS
    with_user = at.replace("http://", f"http://user:{s['webhook user']}@")
    return [
        {"channel_type": "slack", "webhook_url": f"{at}/{s['slack hook']}"},
        {"channel_type": "slack", "bot_token": s["slack bot"], "slack_channel": "C1", "slack_api_url": at},
        {"channel_type": "discord", "webhook_url": f"{at}/api/webhooks/1/{s['discord hook']}"},
        {"channel_type": "teams", "webhook_url": f"{at}/{s['teams hook']}"},
        {
            "channel_type": "webhook",
            "webhook_url": f"{with_user}/{s['webhook path']}?token={s['webhook query']}",
            "custom_headers": {"X-Key": s["header"]},
            "signing_secret": s["signing"],
            "signing_secret_previous": s["signing before"],
            "template": "marked",
        },
        {"channel_type": "telegram", "bot_token": s["telegram"], "chat_id": "1", "telegram_api_url": at},
        {"channel_type": "pagerduty", "routing_key": s["pagerduty"], "pagerduty_url": f"{at}/v2/enqueue"},
        {
            "channel_type": "sms",
            "account_sid": "AC" + "0" * 32,
            "auth_token": s["twilio"],
            "sms_from": "+15005550006",
            "sms_to": ["+15005550001"],
            "twilio_url": at,
        },
        {
            "channel_type": "email",
            "smtp_host": "127.0.0.1",
            "smtp_port": 9,
            "smtp_security": "none",
            "smtp_username": "relay",
            "smtp_password": s["smtp"],
            "email_from": "relay@example.com",
            "email_to": ["ops@example.com"],
        },
        {"channel_type": "apprise", "apprise_url": f"json{at.removeprefix('http')}/{s['apprise']}"},
    ]


def invalid(channel: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The channel with each text of a secret field broken in several ways."""
    for field in (
        "webhook_url",
        "bot_token",
        "signing_secret",
        "routing_key",
        "auth_token",
        "smtp_password",
        "apprise_url",
    ):
        if isinstance(value := channel.get(field), str):
            for broken in (
                [value],
                {"value": value},
                f" {value}",
                f"ftp://{value}",
                f"{value}\u0000",
                value * 300,
            ):
                yield channel | {field: broken}
    for headers in (
        {"X-Key": SECRETS["header"] + "\n"},
        {"X-Key": [SECRETS["header"]]},
        {"Host": SECRETS["header"]},
    ):
        yield channel | {"custom_headers": headers}


class Client:
    """Calls the API, and keeps all that it responds."""

    def __init__(self, url: str, session: aiohttp.ClientSession) -> None:
        self._url, self._session = url, session
        self.seen: list[str] = []

    async def call(self, method: str, path: str, key: str = SECRETS["admin key"], **request: Any) -> Any:
        headers = {"Authorization": f"Bearer {key}"}
        url = self._url + (BASE_PATH + path if path.startswith("/") else f"/{path}")
        async with self._session.request(method, url, headers=headers, **request) as response:
            text = await response.text()
            self.seen.append(f"{response.status} {dict(response.headers)} {text}")
            assert response.status < 500 or path.startswith("-"), text
            return json.loads(text) if "json" in response.content_type and text else None


async def create_channels(client: Client, server: str) -> list[str]:
    """Create all channels, and try to create and change them with invalid input; return their ids."""
    await client.call("POST", "/templates", json={"id": "marked", "name": "Marked", "title": "{{ status }}"})
    ids = []
    for status in STATUSES:
        for number, channel in enumerate(channels(server, status)):
            name = f"{channel['channel_type']} {status} {number}"
            created = await client.call("POST", "/channels", json={"name": name} | channel)
            assert "id" in created, created
            ids.append(created["id"])
            if status == STATUSES[0]:
                for broken in invalid(channel):
                    await client.call("POST", "/channels", json={"name": name} | broken)
                    await client.call("PATCH", f"/channels/{created['id']}", json=broken)
    return ids


async def deliver_and_read(client: Client, ids: list[str]) -> None:
    """Deliveries with every result, and every path that shows them."""
    for _ in range(2):
        for group in range(4):
            await client.call(
                "POST", "/webhook", SECRETS["webhook token"], json=webhook(alert(), group=f"g{group}")
            )
        await asyncio.sleep(3)
    for channel_id in ids:
        for path in (f"/channels/{channel_id}", f"/channels/{channel_id}/health"):
            await client.call("GET", path)
        await client.call("POST", "/test", json={"channel_id": channel_id})
        await client.call("POST", "/preview", json={"channel_id": channel_id, "sample": "firing"})
    for delivery in (await client.call("GET", "/deliveries?limit=500"))["items"]:
        await client.call("GET", f"/deliveries/{delivery['id']}")
        if delivery["state"] == "dead":
            await client.call("POST", f"/deliveries/{delivery['id']}/redeliver")
    await read_lists(client)


async def read_lists(client: Client) -> None:
    """Lists and pages with the right key, a wrong one, and a token in the URL."""
    for path in ("/channels", "/history", "/deliveries", "/sources", "/templates", "/channel-templates"):
        await client.call("GET", path)
        await client.call("GET", path, "MARKED-wrong-key" + SECRETS["admin key"])
        await client.call("GET", f"{path}?token={SECRETS['webhook token']}")
    await client.call(
        "POST", f"/webhook?token={SECRETS['webhook token']}", SECRETS["webhook token"] + "x", json={}
    )
    await client.call("POST", "/route", json={"labels": {"alertname": "a"}})
    for path in ("-/ready", "-/healthy", "health", "metrics", "schema/openapi.json"):
        await client.call("GET", path)


async def command_line(url: str) -> str:
    """What the commands print."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith("RELAY_")}
    environ |= {"RELAY_URL": url, "RELAY_KEY": SECRETS["admin key"]}
    printed = ""
    for arguments in (
        *(["channels", "list"], ["channels", "show", "webhook-200-4"], ["channels", "health", "slack-400-0"]),
        *(
            ["deliveries", "list"],
            ["deliveries", "list", "--output", "json"],
            ["channels", "list", "--output", "json"],
        ),
        ["channels", "create", "teams", "--name", "x", "--webhook-url", f"ftp://x/{SECRETS['teams hook']}"],
    ):
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "relay", *arguments),
            env=environ, cwd=ROOT, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        output, _ = await process.communicate()
        printed += output.decode()
    return printed


def children_of(pid: int) -> Iterator[Path]:
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            yield Path(f"/proc/{child}")
            yield from children_of(int(child))


async def dump(database_url: str) -> str:
    """All rows of all tables as text."""
    tables = [row["name"] for row in await fetch(database_url, TABLES + ORDINARY)]
    rows: list[str] = []
    for table in tables:
        query = f"SELECT t::text AS text FROM {table} AS t"
        rows += [row["text"] for row in await fetch(database_url, query)]
    return "\n".join(rows)


async def test_marked_secrets_appear_nowhere_but_on_the_platforms(database_url: str) -> None:
    with_password = re.sub(r"^postgresql://(\w+)@", rf"postgresql://\1:{SECRETS['database']}@", database_url)
    environ = {
        "RELAY_DATABASE_URL": with_password,
        "RELAY_SECRET_KEY": (secret_key := new_key()),
        "RELAY_ADMIN_KEY": SECRETS["admin key"],
        "RELAY_WEBHOOK_TOKEN": SECRETS["webhook token"],
        "RELAY_LOG_LEVEL": "debug",
    }
    async with (
        echoing_platforms() as (server, received),
        relay_process(environ) as relay,
        aiohttp.ClientSession() as session,
    ):
        client = Client(relay.url, session)
        await deliver_and_read(client, await create_channels(client, server))
        printed = await command_line(relay.url)
        processes = [
            (child / name).read_bytes().decode(errors="replace")
            for child in children_of(relay.pid)
            for name in ("environ", "cmdline")
        ]
        assert processes, "the process that renders templates runs"
        processes.append(Path(f"/proc/{relay.pid}/cmdline").read_text())
        stored = await dump(database_url)

    not_sent = {"smtp", "admin key", "webhook token", "database", "signing", "signing before"}
    assert found_in("\n".join(received)) >= set(SECRETS) - not_sent, "the platforms got what they need"
    everything = {
        "responses": client.seen, "log": [relay.output], "command line": [printed], "processes": processes,
        "dump": [stored],
    }  # fmt: skip
    for place, texts in everything.items():
        for text in texts:
            assert not found_in(text), f"{place}: {text[:2000]}"
            assert secret_key not in text, place
    assert len(relay.output) > 10_000
    assert len(client.seen) > 500
