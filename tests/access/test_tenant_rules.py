"""What belongs to whom: owners, ids, quotas, keys, shared channels, and objects that change their tenant."""

from typing import Any, Final

import pytest

from tests.access.objects import HOOK, MESSAGE, create, key_for
from tests.access.tenants import ask, changed
from tests.api.assertions import rejected
from tests.fixtures.relays import Relay, RelayFactory, alert, webhook
from tests.fixtures.sink import Sink

SET: Final = {"name": "S", "parameters": [{"name": "url"}]} | {
    "channels": [{"name": "Made", "channel_type": "slack", "webhook_url": {"$": "url"}}]
}


KINDS: Final = [("/channels", HOOK | {"name": "C"}), ("/templates", MESSAGE), ("/channel-templates", SET)]


@pytest.mark.parametrize(("path", "body"), KINDS)
async def test_new_objects_have_the_tenant_of_their_creator(relay: Relay, path: str, body: dict[str, Any]) -> None:
    one, several = await key_for(relay, "a"), await key_for(relay, "a", "b")

    for at, tenant_id in enumerate((None, "a", "b", "c")):
        made = await create(relay, one, path, **body, id=f"of-one-{at}", tenant_id=tenant_id)
        assert made["tenant_id"] == "a"
        change = await ask(relay, "PATCH", f"{path}/of-one-{at}", key=one, json={"tenant_id": "b"})
        assert (change.status, change.json["tenant_id"]) == (200, "a")

    assert (await create(relay, several, path, **body, id="of-b", tenant_id="b"))["tenant_id"] == "b"
    for fields in ({}, {"tenant_id": None}, {"tenant_id": "c"}):
        rejected(await ask(relay, "POST", path, key=several, json=body | fields), "tenant_id", "a, b")
    for tenant_id in (None, "c"):
        patch = {"tenant_id": tenant_id}
        rejected(await ask(relay, "PATCH", f"{path}/of-b", key=several, json=patch), "tenant_id", "a, b")


@pytest.mark.parametrize(("path", "body"), KINDS)
async def test_an_id_is_taken_whoever_has_it_and_had_it(relay: Relay, path: str, body: dict[str, Any]) -> None:
    a, b = await key_for(relay, "a"), await key_for(relay, "b")
    for name in ("there", "deleted"):
        await create(relay, b, path, **body, id=name)
    assert (await ask(relay, "POST", path, json=body | {"id": "shared"})).status == 201
    assert (await ask(relay, "DELETE", f"{path}/deleted", key=b)).status == 204

    texts = set()
    for name in ("there", "deleted", "shared"):
        response = await ask(relay, "POST", path, key=a, json=body | {"id": name})
        assert response.status == 409
        texts.add(response.json["detail"].replace(name, "x"))
    assert texts == {"the id 'x' is taken"}
    assert (await ask(relay, "POST", path, json=body | {"id": "deleted"})).status == 409
    assert (await create(relay, b, path, **body, id="deleted"))["tenant_id"] == "b"


@pytest.mark.parametrize(("path", "body"), KINDS)
async def test_each_tenant_has_its_quota(start_relay: RelayFactory, path: str, body: dict[str, Any]) -> None:
    relay = await start_relay(tenant_max_channels=2, tenant_max_templates=2)
    a, both = await key_for(relay, "a"), await key_for(relay, "a", "b")
    for name in ("one", "two"):
        await create(relay, a, path, **body, id=name)
    await create(relay, both, path, **body, id="three", tenant_id="b")

    refused = [
        await ask(relay, "POST", path, key=a, json=body | {"id": "four"}),
        await ask(relay, "POST", path, json=body | {"id": "four", "tenant_id": "a"}),
        await ask(relay, "PATCH", f"{path}/three", key=both, json={"tenant_id": "a"}),
    ]

    assert [(response.status, "quota of 2" in response.json["detail"]) for response in refused] == [
        (409, True)
    ] * 3
    assert (await ask(relay, "POST", path, json=body | {"id": "five"})).status == 201
    assert (await ask(relay, "DELETE", f"{path}/one", key=a)).status == 204
    await changed(relay, "PATCH", f"{path}/three", both, {"tenant_id": "a"})


async def test_restoring_and_templates_keep_to_the_quota(start_relay: RelayFactory) -> None:
    relay = await start_relay(tenant_max_channels=1)
    a = await key_for(relay, "a")
    await create(relay, a, "/channels", **HOOK, name="gone")
    await changed(relay, "DELETE", "/channels/gone", a)
    await create(relay, a, "/channel-templates", **SET)
    await create(relay, a, "/channels?from_template=s", url="https://hooks.example.com/x")

    body = {"webhook_url": HOOK["webhook_url"]}
    restored = await ask(relay, "POST", "/channels/gone/versions/1/restore", key=a, json=body)
    assert (restored.status, "quota of 1" in restored.json["detail"]) == (409, True)


async def test_a_tenants_admin_manages_the_keys_of_its_tenant_alone(relay: Relay) -> None:
    a = await key_for(relay, "a")
    await key_for(relay, "b")
    await key_for(relay, "a", "b")
    await ask(relay, "POST", "/keys", json={"name": "global", "role": "viewer"})
    others = [key["id"] for key in await relay.items("/keys") if key["tenants"] != ["a"]]

    for role in ("admin", "operator", "viewer", "ingest"):
        for fields in ({}, {"tenants": None}, {"tenants": ["b"]}, {"tenant_id": "b"}, {"tenants": ["a", "b"]}):
            name = f"{role} {fields}"
            made = await create(relay, a, "/keys", name=name, role=role, **fields)
            assert made["tenants"] == ["a"]
    for key_id in others:
        for method, path in (("GET", ""), ("DELETE", ""), ("POST", "/rotate")):
            body = {"overlap": "0s"} if path else None
            assert (await ask(relay, method, f"/keys/{key_id}{path}", key=a, json=body)).status == 404
    listed = (await ask(relay, "GET", "/keys?limit=500", key=a)).json["items"]
    assert {tuple(key["tenants"]) for key in listed} == {("a",)}
    audit = (await ask(relay, "GET", "/audit?limit=500", key=a)).json["items"]
    assert {entry["tenant_id"] for entry in audit} == {"a"}
    assert len(audit) == len(listed) == 21
    for role in ("operator", "viewer", "ingest"):
        key = await key_for(relay, "a", role=role)
        assert (await ask(relay, "POST", "/keys", key=key, json={"name": "n", "role": role})).status == 403
        assert (await ask(relay, "GET", "/audit", key=key)).status == 403


async def test_an_admin_of_several_tenants_names_those_of_a_key(relay: Relay) -> None:
    both = await key_for(relay, "a", "b")

    for tenants in (None, ["c"], ["a", "c"]):
        body = {"name": "n", "role": "viewer", "tenants": tenants}
        rejected(await ask(relay, "POST", "/keys", key=both, json=body), "tenants", "a, b")
    for tenants in (["a"], ["a", "b"]):
        made = await create(relay, both, "/keys", name=str(tenants), role="viewer", tenants=tenants)
        assert made["tenants"] == tenants


async def test_a_key_can_not_name_the_relays_own_source(relay: Relay) -> None:
    body = {"name": "n", "role": "ingest", "source": "relay"}
    rejected(await ask(relay, "POST", "/keys", key=await key_for(relay, "a"), json=body), "source", "reserved")


async def test_of_a_shared_channel_a_tenant_sees_name_type_state_and_time(relay: Relay, sink: Sink) -> None:
    await relay.channel(name="Ops", id="hidden", channel_type="slack", webhook_url=sink.url)
    await relay.channel(name="A", channel_type="slack", webhook_url=sink.url, tenant_id="a")
    await relay.webhook(webhook(alert("One", tenant_id="a"), alert("Other", tenant_id="b")))
    await relay.settled(2)
    [of_shared] = [one for one in await relay.items("/deliveries") if one["channel_id"] == "hidden"]
    viewer = await key_for(relay, "a", role="viewer")

    [item] = (await ask(relay, "GET", "/history", key=viewer)).json["items"]
    [receipt] = (await ask(relay, "GET", f"/history/{item['id']}", key=viewer)).json["timeline"]

    assert receipt["shared_deliveries"] == [
        {"channel_name": "Ops", "channel_type": "slack", "state": "delivered", "at": of_shared["delivered_at"]}
    ]
    [own] = receipt["deliveries"]
    assert (own["channel_id"], own["tenant_id"], own["alert_ids"]) == ("a", "a", [item["id"]])
    [receipt] = (await ask(relay, "GET", f"/history/{item['id']}")).json["timeline"]
    assert (len(receipt["deliveries"]), receipt["shared_deliveries"]) == (2, [])


async def test_a_reference_that_is_kept_does_not_allow_another_one(relay: Relay) -> None:
    a = await key_for(relay, "a")
    for same_id, tenant in (("theirs", "b"), ("shared", None)):
        await relay.channel(**HOOK, name="C", id=same_id, tenant_id=tenant)
        await create(relay, a, "/templates", **MESSAGE, id=same_id)
        own = await create(relay, a, "/channels", **HOOK, name=f"own {same_id}", template=same_id)

        patch = {"fallback_channel_id": same_id}
        response = await ask(relay, "PATCH", f"/channels/{own['id']}", key=a, json=patch)

        rejected(response, "fallback_channel_id", f"there is no channel '{same_id}'")


async def test_a_reference_that_an_admin_has_set_is_kept(relay: Relay) -> None:
    a = await key_for(relay, "a", role="operator")
    await relay.channel(**HOOK, name="Shared")
    await ask(relay, "POST", "/templates", json=MESSAGE | {"id": "shared"})
    await relay.channel(**HOOK, name="Own", tenant_id="a", template="shared", fallback_channel_id="shared")

    kept = await changed(relay, "PATCH", "/channels/own", a, {"name": "New"})

    assert (kept["template"], kept["fallback_channel_id"]) == ("shared", "shared")
    await changed(relay, "PATCH", "/channels/own", a, {"fallback_channel_id": None, "template": None})
    for field in ("template", "fallback_channel_id"):
        rejected(await ask(relay, "PATCH", "/channels/own", key=a, json={field: "shared"}), field)
