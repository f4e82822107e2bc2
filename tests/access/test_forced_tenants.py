"""Ingest keys that force a tenant and a source."""

import json
from typing import Any, Final

import pytest

from tests.access.tenants import ask, changed, posted
from tests.api.assertions import rejected
from tests.fixtures.relays import Relay, alert, webhook
from tests.fixtures.sink import Sink

ROUTING_KEY: Final = "0123456789abcdef0123456789abcdef"


async def ingest_key(relay: Relay, tenant_id: str | None, **fields: Any) -> str:
    body = {"name": f"ingest {tenant_id} {fields}", "role": "ingest", "tenant_id": tenant_id}
    secret: str = (await ask(relay, "POST", "/keys", json=body | fields)).json["key"]
    return secret


@pytest.fixture
async def a(relay: Relay) -> str:
    """An ingest key that forces the tenant a."""
    return await ingest_key(relay, "a")


@pytest.fixture
async def b(relay: Relay) -> str:
    """An ingest key that forces the tenant b."""
    return await ingest_key(relay, "b")


async def viewer(relay: Relay, tenant: str) -> str:
    body = {"name": f"viewer {tenant}", "role": "viewer", "tenant_id": tenant}
    secret: str = (await ask(relay, "POST", "/keys", json=body)).json["key"]
    return secret


async def shared_and_own_channels(relay: Relay, sink: Sink) -> None:
    for name, tenant_id in (("shared", None), ("of-a", "a"), ("of-b", "b")):
        fields = {"channel_type": "webhook", "webhook_url": f"{sink.url}/{name}", "tenant_id": tenant_id}
        await relay.channel(name=name, **fields)


async def test_the_same_webhook_of_two_tenants_is_two_alerts_and_two_messages(
    relay: Relay, sink: Sink, a: str, b: str
) -> None:
    await shared_and_own_channels(relay, sink)

    for key in (a, b):
        assert (await posted(relay, key, webhook(), source="eu"))["duplicate"] is False
    for key in (a, b):
        assert (await posted(relay, key, webhook(), source="eu"))["duplicate"] is True

    await relay.settled(4)
    assert {item["tenant_id"] for item in await relay.items("/history")} == {"a", "b"}
    assert sorted(tenants_of(sink, "/shared")) == ["a", "b"]
    assert (tenants_of(sink, "/of-a"), tenants_of(sink, "/of-b")) == (["a"], ["b"])
    for tenant in ("a", "b"):
        [item] = (await ask(relay, "GET", "/history", key=await viewer(relay, tenant))).json["items"]
        detail = (await ask(relay, "GET", f"/history/{item['id']}")).json
        assert [repeat["count"] for repeat in detail["timeline"][0]["repeats"]] == [1]


def tenants_of(sink: Sink, path: str) -> list[str]:
    """The tenant that each message to a path shows, in its labels and in those of the group."""
    messages = [request.json for request in sink.at(path)]
    shown = [
        [one["labels"]["tenant_id"] for one in (*message["alerts"], {"labels": message["common_labels"]})]
        for message in messages
    ]
    assert all(len(set(tenants)) == 1 for tenants in shown)
    return [tenants[0] for tenants in shown]


async def test_labels_that_claim_another_tenant_are_replaced(relay: Relay, sink: Sink, a: str) -> None:
    await shared_and_own_channels(relay, sink)
    body = webhook(alert(tenant_id="b")) | {
        "groupLabels": {"tenant_id": "b"},
        "commonLabels": {"tenant_id": "b"},
    }

    await posted(relay, a, body)

    await relay.settled(2)
    assert sink.at("/of-b") == []
    assert [request.path for request in sink.received if b'"b"' in request.body] == []
    [item] = await relay.items("/history")
    assert (item["tenant_id"], item["labels"]["tenant_id"]) == ("a", "a")
    assert (await ask(relay, "GET", "/history", key=await viewer(relay, "b"))).json["items"] == []


async def test_a_resolve_of_one_tenant_leaves_the_alert_of_the_other(relay: Relay, a: str, b: str) -> None:
    for key in (a, b):
        await posted(relay, key, webhook())

    await posted(relay, a, webhook(alert(status="resolved")))

    assert {item["tenant_id"]: item["status"] for item in await relay.items("/history")} == {
        "a": "resolved",
        "b": "firing",
    }


async def test_a_forced_tenant_does_not_meet_an_unforced_webhook(relay: Relay, a: str) -> None:
    unforced = await ingest_key(relay, None)
    body = webhook(alert(tenant_id="a"))

    for key in (unforced, a, unforced, a):
        await posted(relay, key, body)
    await posted(relay, a, webhook(alert(status="resolved", tenant_id="a")))

    assert sorted(item["status"] for item in await relay.items("/history")) == ["firing", "resolved"]


async def test_keys_on_a_shared_platform_differ(relay: Relay, sink: Sink, a: str, b: str) -> None:
    await relay.channel(
        name="Pager", channel_type="pagerduty", routing_key=ROUTING_KEY, pagerduty_url=f"{sink.url}/v2/enqueue"
    )

    for source in ("eu", "us"):
        for key in (a, b):
            await posted(relay, key, webhook(), source=source)
    firing = {request.json["dedup_key"] for request in await sink.wait_for(4)}
    for key in (a, b):
        await posted(relay, key, webhook(alert(status="resolved")), source="eu")
    resolved = [request.json for request in (await sink.wait_for(6))[4:]]

    assert len(firing) == 4
    assert {event["event_action"] for event in resolved} == {"resolve"}
    assert len({event["dedup_key"] for event in resolved}) == 2
    assert {event["dedup_key"] for event in resolved} < firing


async def test_the_source_of_a_key_replaces_that_of_the_url(relay: Relay, sink: Sink) -> None:
    key = await ingest_key(relay, "a", source="eu")
    for source in ("eu", "us"):
        fields = {"channel_type": "webhook", "webhook_url": f"{sink.url}/{source}", "source": source}
        await relay.channel(name=source, tenant_id="a", **fields)

    first = await posted(relay, key, webhook(), source="us")
    second = await posted(relay, key, webhook(), source="eu")

    assert (first["duplicate"], second["duplicate"]) == (False, True)
    await relay.settled(1)
    assert {request.path for request in sink.received} == {"/eu"}
    sources = (await ask(relay, "GET", "/sources", key=await viewer(relay, "a"))).json["items"]
    assert [source["name"] for source in sources] == ["eu@a"]
    listed = await ask(relay, "GET", "/history?source=eu@a", key=await viewer(relay, "b"))
    assert listed.json["items"] == []


async def test_senders_of_one_tenant_are_not_shown_to_another(relay: Relay, a: str, b: str) -> None:
    for key, name in ((a, "sender-a"), (b, "sender-b")):
        await posted(relay, key, webhook(), source="eu", sender=name)

    for tenant, other in (("a", "b"), ("b", "a")):
        response = await ask(relay, "GET", "/sources", key=await viewer(relay, tenant))
        [source] = response.json["items"]
        assert [sender["address"] for sender in source["senders"]] == [f"sender-{tenant}"]
        assert f"sender-{other}" not in response.body.decode()


async def test_an_edited_message_of_one_tenant_is_not_edited_by_another(
    relay: Relay, sink: Sink, a: str, b: str
) -> None:
    fields = {"channel_type": "discord", "webhook_url": f"{sink.url}/api/webhooks/1/x"}
    await relay.channel(name="Shared", rate_limit={"per_second": 1000, "burst": 100}, **fields)

    for key in (a, b):
        await posted(relay, key, webhook())
    await relay.settled(2)
    await posted(relay, a, webhook(alert(status="resolved")))
    await relay.settled(3)

    posts = [request for request in sink.received if request.path == "/api/webhooks/1/x"]
    edits = [request for request in sink.received if "/messages/" in request.path]
    assert (len(posts), len(edits)) == (2, 1)


async def test_keys_that_may_not_post(relay: Relay) -> None:
    for role, tenants in (("viewer", ["a"]), ("operator", ["a"]), ("operator", None), ("admin", ["a", "b"])):
        body = {"name": f"{role} {tenants}", "role": role, "tenants": tenants}
        key = (await ask(relay, "POST", "/keys", json=body)).json["key"]
        assert (await ask(relay, "POST", "/webhook", key=key, json=webhook())).status == 403
    body = {"name": "n", "role": "ingest", "tenants": ["a", "b"]}
    rejected(await ask(relay, "POST", "/keys", json=body), "tenants")
    assert await relay.items("/history") == []


async def test_a_tenants_admin_posts_for_its_tenant(relay: Relay) -> None:
    body = {"name": "n", "role": "admin", "tenant_id": "a"}
    key = (await ask(relay, "POST", "/keys", json=body)).json["key"]

    await posted(relay, key, webhook(alert(tenant_id="b")))

    assert [item["tenant_id"] for item in await relay.items("/history")] == ["a"]


async def test_a_preview_of_a_delivery_shows_the_forced_tenant(relay: Relay, sink: Sink, a: str) -> None:
    await shared_and_own_channels(relay, sink)
    await posted(relay, a, webhook(alert(tenant_id="b")))
    await relay.settled(2)
    key = await viewer(relay, "a")
    [delivery] = (await ask(relay, "GET", "/deliveries", key=key)).json["items"]

    given = {"channel_id": "of-a", "delivery_id": delivery["id"]}
    preview = await changed(relay, "POST", "/preview", key, given)

    [request] = preview["requests"]
    assert '"tenant_id":"a"' in json.dumps(request).replace("\\", "").replace('": "', '":"')
