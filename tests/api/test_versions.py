"""Versions of channels and templates, their restoration, the audit, and conditional changes."""

import asyncio
import base64
from typing import Any

import asyncpg
import pytest
from aiohttp import web
from sqlalchemy import text

from relay.domain.principals import RELAY
from tests.fixtures.relays import ADMIN_KEY, Relay, RelayFactory, alert, webhook
from tests.fixtures.sink import Sink

ONE, TWO = "xoxb-1111-2222-abcdef", "xoxb-1111-2222-ghijkl"
HOOK = {"channel_type": "webhook", "webhook_url": "https://hooks.example.com/s3cret"}


async def audit(relay: Relay, query: str = "") -> list[dict[str, Any]]:
    return await relay.items(f"/audit?{query}")


async def restore(relay: Relay, number: int, **secrets: Any) -> Any:
    return await relay.call("POST", f"/channels/ops/versions/{number}/restore", json=secrets)


async def test_a_change_is_recorded_with_its_author_and_each_field(relay: Relay) -> None:
    await relay.channel(name="Ops", **HOOK)
    key = (await relay.call("POST", "/keys", json={"name": "alice", "role": "operator"})).json
    headers = {"X-Request-Id": "request-1"}
    change = {"severities": ["critical"], "webhook_url": "https://hooks.example.com/0ther"}
    await relay.call("PATCH", "/channels/ops", key=key["key"], json=change, headers=headers)

    [entry] = await audit(relay, "object_id=ops&action=updated")

    assert (entry["kind"], entry["number"], entry["tenant_id"]) == ("channel", 2, None)
    assert (entry["author"], entry["author_name"], entry["method"]) == (f"key:relay:{key['id']}", "alice", "key")
    assert (entry["address"], entry["request_id"]) == ("127.0.0.1", "request-1")
    assert entry["changes"] == {
        "severities": {"before": [], "after": ["critical"]},
        "webhook_url": {"before": "********", "after": "********"},
    }
    assert "webhook_url" not in entry["body"]


async def test_no_version_contains_a_secret(relay: Relay) -> None:
    headers = {"X-Token": "s3cret"}
    await relay.channel(name="Ops", **HOOK, custom_headers=headers, signing_secret="whsec_" + "c" * 32)
    await relay.call("PATCH", "/channels/ops", json={"custom_headers": {"X-Token": "s3cret-2"}})
    await relay.call("DELETE", "/channels/ops")
    created = await relay.call("POST", "/keys", json={"name": "k", "role": "viewer"})

    response = await relay.call("GET", "/audit")

    assert len(response.json["items"]) == 4
    for secret in ("s3cret", "cccc", created.json["key"]):
        assert secret.encode() not in response.body


async def test_what_changes_nothing_is_no_version(relay: Relay) -> None:
    created = await relay.channel(name="Ops", **HOOK)
    changed = await relay.call("PATCH", "/channels/ops", json={"name": "Ops"})
    assert (created["version"], changed.json["version"]) == (1, 1)


async def test_versions_are_paged_and_outlive_the_channel(relay: Relay) -> None:
    await relay.channel(name="Ops", **HOOK)
    for severity in ("critical", "warning"):
        await relay.call("PATCH", "/channels/ops", json={"severities": [severity]})
    await relay.call("DELETE", "/channels/ops")

    first = (await relay.call("GET", "/channels/ops/versions?limit=3")).json
    second = (await relay.call("GET", f"/channels/ops/versions?limit=3&cursor={first['next']}")).json

    found = [(item["number"], item["action"]) for item in first["items"] + second["items"]]
    assert found == [(4, "deleted"), (3, "updated"), (2, "updated"), (1, "created")]
    assert (await relay.call("GET", "/channels/ops/versions/2")).json == first["items"][2]
    for number in (9, 2**31 - 1, 2**31):
        assert (await relay.call("GET", f"/channels/ops/versions/{number}")).status in (400, 404), number
    last = base64.urlsafe_b64encode(str(2**63 - 1).encode()).decode().rstrip("=")
    assert len(await relay.items(f"/channels/ops/versions?cursor={last}")) == 4
    assert (await relay.call("GET", "/channels/none/versions")).status == 404


async def test_a_restored_channel_keeps_its_secrets_where_it_sends_to_the_same_place(
    relay: Relay, sink: Sink
) -> None:
    await relay.channel(name="Ops", channel_type="webhook", webhook_url=sink.url, severities=["critical"])
    await relay.call("PATCH", "/channels/ops", json={"severities": ["warning"], "name": "Renamed"})

    restored = await restore(relay, 1)

    assert (restored.status, restored.json["severities"], restored.json["name"]) == (200, ["critical"], "Ops")
    assert (restored.json["version"], restored.headers["ETag"]) == (3, '"3"')
    assert (await relay.call("POST", "/test", json={"channel_id": "ops"})).json["delivered"]
    assert [entry["action"] for entry in await audit(relay, "object_id=ops")] == ["restored", "updated", "created"]


async def test_a_channel_that_sent_elsewhere_needs_its_secrets(relay: Relay) -> None:
    slack = {"channel_type": "slack", "bot_token": ONE, "slack_channel": "#ops"}
    await relay.channel(name="Ops", **slack, slack_api_url="https://one.example.com/api")
    moved = {"slack_api_url": "https://two.example.com/api", "bot_token": TWO}
    assert (await relay.call("PATCH", "/channels/ops", json=moved)).status == 200

    refused, accepted = await restore(relay, 1), await restore(relay, 1, bot_token=ONE)

    assert (refused.status, refused.json["errors"][0]["field"]) == (400, "bot_token")
    assert (accepted.status, accepted.json["slack_api_url"]) == (200, "https://one.example.com/api")


async def test_a_deleted_channel_is_restored_with_its_secrets(relay: Relay) -> None:
    await relay.channel(name="Ops", **HOOK, severities=["critical"])
    await relay.call("DELETE", "/channels/ops")

    refused, deletion = await restore(relay, 1), await restore(relay, 2)
    restored = await restore(relay, 1, webhook_url=HOOK["webhook_url"])

    assert (refused.status, refused.json["errors"][0]["field"]) == (400, "webhook_url")
    assert (deletion.status, deletion.json["errors"][0]["field"]) == (400, "number")
    assert (restored.status, restored.json["severities"], restored.json["version"]) == (200, ["critical"], 3)


async def test_only_secrets_are_accepted_beside_a_version(relay: Relay) -> None:
    await relay.channel(name="Ops", **HOOK)
    response = await restore(relay, 1, severities=["critical"])
    assert (response.status, response.json["errors"][0]["field"]) == (400, "severities")


async def test_a_channel_that_the_relay_disabled_is_in_the_audit(relay: Relay, sink: Sink) -> None:
    sink.script = lambda _: web.Response(status=410)
    await relay.channel(name="Ops", channel_type="webhook", webhook_url=sink.url)
    await relay.webhook(webhook(alert()))
    async with asyncio.timeout(20):
        while not (found := await audit(relay, "action=disabled")):
            await asyncio.sleep(0.05)

    [entry] = found
    assert (entry["object_id"], entry["author"], entry["number"]) == ("ops", RELAY.identity, 2)
    assert entry["changes"]["enabled"] == {"before": True, "after": False}
    assert "410" in entry["changes"]["disabled_reason"]["after"]
    assert entry["body"]["enabled"] is False


PATHS = {
    "/channels/ops": ({"severities": ["critical"]}, {"severities": ["warning"]}),
    "/templates/ours": ({"title": "two"}, {"title": "three"}),
    "/sources/eu": ({"stale_after": 2}, {"stale_after": 3}),
    "/channel-templates/mine": ({"description": "two"}, {"description": "three"}),
}


@pytest.mark.parametrize("path", PATHS)
async def test_a_change_of_what_has_changed_is_refused(relay: Relay, path: str) -> None:
    await relay.channel(name="Ops", **HOOK)
    await relay.call("POST", "/templates", json={"name": "Ours", "title": "one"})
    channel = {"channel_type": "webhook", "name": "n", "webhook_url": {"$": "url"}}
    mine = {"id": "mine", "name": "Mine", "channels": [channel], "parameters": [{"name": "url"}]}
    await relay.call("POST", "/channel-templates", json=mine)
    await relay.call("PATCH", "/sources/eu", json={"stale_after": 1})
    tag = (await relay.call("GET", path)).headers["ETag"]
    first, second = PATHS[path]
    for given in ('"9"', 'W/"1"', '"x"', "1", "", '"9", "8"'):
        response = await relay.call("PATCH", path, json=first, headers={"If-Match": given})
        assert (response.status, (await relay.call("GET", path)).headers["ETag"]) == (412, tag), given

    changed = await relay.call("PATCH", path, json=first, headers={"If-Match": f'"9", {tag}'})
    late = await relay.call("PATCH", path, json=second, headers={"If-Match": tag})
    any_version = await relay.call("PATCH", path, json=second, headers={"If-Match": "*"})

    assert [each.status for each in (changed, late, any_version)] == [200, 412, 200]
    assert (changed.headers["ETag"], any_version.headers["ETag"]) == ('"2"', '"3"')


async def test_what_has_changed_is_not_deleted(relay: Relay) -> None:
    await relay.channel(name="Ops", **HOOK)
    await relay.call("PATCH", "/channels/ops", json={"name": "x"})
    tries = [await relay.call("DELETE", "/channels/ops", headers={"If-Match": tag}) for tag in ('"1"', '"2"')]
    assert [response.status for response in tries] == [412, 204]


async def test_concurrent_changes_with_one_version_succeed_once(start_relay: RelayFactory) -> None:
    one, other = await start_relay(deliver=False), await start_relay(deliver=False)
    await one.channel(name="Ops", **HOOK)
    tries = [
        each.call("PATCH", "/channels/ops", json={"name": f"n{at}"}, headers={"If-Match": '"1"'})
        for at, each in enumerate((one, other) * 5)
    ]
    statuses = sorted((response.status for response in await asyncio.gather(*tries)), key=str)
    assert statuses == [200] + [412] * 9


@pytest.mark.parametrize(
    "statement", ["UPDATE versions SET author = 'x'", "DELETE FROM versions", "TRUNCATE versions"]
)
async def test_the_database_refuses_to_change_what_is_recorded(
    relay: Relay, database_url: str, statement: str
) -> None:
    await relay.channel(name="Ops", **HOOK)
    connection = await asyncpg.connect(database_url)
    try:
        with pytest.raises(asyncpg.InsufficientPrivilegeError, match="append-only"):
            await connection.execute(statement)
    finally:
        await connection.close()


async def test_the_audit_is_filtered_and_paged(relay: Relay) -> None:
    for name in ("a", "b", "c"):
        await relay.channel(name=name, **HOOK, tenant_id=f"tenant-{name}")
    await relay.call("PATCH", "/sources/prod", json={"stale_after": 60})
    [newest, *others] = await audit(relay)
    assert (newest["kind"], newest["object_id"]) == ("source", "prod")
    assert newest["changes"] == {"stale_after": {"before": None, "after": 60.0}}
    assert [entry["object_id"] for entry in await audit(relay, "tenant_id=tenant-b")] == ["b"]
    assert [entry["object_id"] for entry in await audit(relay, "kind=channel&limit=2")] == ["c", "b"]
    assert await audit(relay, "author=key:settings:admin") == [newest, *others]
    assert await audit(relay, "since=2099-01-01T00:00:00Z") == []
    page = (await relay.call("GET", "/audit?limit=1")).json
    assert (await relay.call("GET", f"/audit?limit=1&cursor={page['next']}")).json["items"] == others[:1]
    for wrong in ("kind=x", "action=x", "since=x", "color=x"):
        assert (await relay.call("GET", f"/audit?{wrong}", key=ADMIN_KEY)).status == 400


async def test_a_change_and_its_version_are_one_transaction(relay: Relay) -> None:
    async with relay.services.database.begin() as connection:
        await connection.execute(text("ALTER TABLE versions ADD CONSTRAINT none CHECK (object_id <> 'ops')"))
    response = await relay.call("POST", "/channels", json={"name": "Ops", **HOOK})
    assert response.status >= 400
    assert (await relay.call("GET", "/channels/ops")).status == 404
