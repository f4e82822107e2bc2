"""Silences of tenants: who sees and changes which, and which channels they may name."""

from tests.access.objects import HOOK, create, key_for
from tests.access.tenants import ask
from tests.fixtures.relays import Relay, RelayFactory, alert, webhook
from tests.fixtures.silencing import body, post, silence


async def test_a_tenant_sees_and_changes_its_own_silences_alone(relay: Relay) -> None:
    a, b = await key_for(relay, "a", role="operator"), await key_for(relay, "b", role="operator")
    own, global_one = await silence(relay, by=a), await silence(relay)
    assert (own["tenant_id"], global_one["tenant_id"]) == ("a", None)
    assert own["created_by"] == "operator of ('a',) by None"
    for one, key in ((own, b), (global_one, a)):
        path = f"/silences/{one['id']}"
        for method, rest in (("GET", ""), ("PATCH", ""), ("POST", "/expire"), ("GET", "/versions")):
            assert (await ask(relay, method, path + rest, key=key, json={})).status == 404, (method, rest)
        preview = await ask(relay, "POST", "/silences/preview", key=key, json={"id": one["id"]})
        assert preview.status == 404
    listed = await ask(relay, "GET", "/silences", key=a)
    assert [one["id"] for one in listed.json["items"]] == [own["id"]]


async def test_a_viewer_changes_nothing(relay: Relay) -> None:
    viewer = await key_for(relay, "a", role="viewer")
    own = await silence(relay, tenant_id="a")
    path = f"/silences/{own['id']}"
    assert (await post(relay, by=viewer)).status == 403
    for method, rest in (("PATCH", ""), ("POST", "/expire")):
        assert (await ask(relay, method, path + rest, key=viewer, json={})).status == 403
    assert (await ask(relay, "GET", path, key=viewer)).status == 200
    assert (await ask(relay, "POST", "/silences/preview", key=viewer, json=body())).status == 200


async def test_a_silence_names_channels_of_its_tenant_alone(relay: Relay) -> None:
    a = await key_for(relay, "a", role="operator")
    await create(relay, a, "/channels", **HOOK, id="of-a", name="x")
    await relay.channel(**HOOK, id="shared", name="x")
    reminder = {"remind_before": "1h"}

    assert (await post(relay, by=a, channels=["of-a"])).status == 201
    for key, tenant, channel, text in (
        (a, None, "shared", "there is no channel 'shared'"),
        (None, "a", "shared", "does not have the tenant of the silence"),
        (None, "b", "of-a", "does not have the tenant of the silence"),
    ):
        refused = await post(relay, by=key, tenant_id=tenant, channels=[channel])
        assert (refused.status, text in refused.json["detail"]) == (400, True), refused.json
        refused = await post(relay, by=key, tenant_id=tenant, remind_channel_id=channel, **reminder)
        assert [error["field"] for error in refused.json["errors"]] == ["remind_channel_id"]
    everyones = await silence(relay, channels=["of-a", "shared"])
    moved = await relay.call("PATCH", f"/silences/{everyones['id']}", json={"tenant_id": "a"})
    assert (moved.status, moved.json["errors"][0]["field"]) == (400, "channels[1]")


async def test_with_several_tenants_the_body_names_one(relay: Relay) -> None:
    both = await key_for(relay, "a", "b", role="operator")
    refused = await post(relay, by=both)
    assert (refused.status, refused.json["errors"][0]["field"]) == (400, "tenant_id")
    created = await silence(relay, by=both, tenant_id="b")
    path = f"/silences/{created['id']}"
    moved = await ask(relay, "PATCH", path, key=both, json={"tenant_id": "a"})
    assert (moved.status, moved.json["tenant_id"]) == (200, "a")
    assert (await ask(relay, "PATCH", path, key=both, json={"tenant_id": "c"})).status == 400


async def test_each_tenant_has_its_quota(start_relay: RelayFactory) -> None:
    relay = await start_relay(tenant_max_silences=1)
    a = await key_for(relay, "a", role="operator")
    created = await silence(relay, by=a)
    refused = await post(relay, by=a)
    assert (refused.status, "RELAY_TENANT_MAX_SILENCES" in refused.json["detail"]) == (409, True)
    assert (await post(relay)).status == 201
    other = await silence(relay, tenant_id="b")
    path = f"/silences/{other['id']}"
    assert (await relay.call("PATCH", path, json={"tenant_id": "a"})).status == 409
    assert (await ask(relay, "POST", f"/silences/{created['id']}/expire", key=a)).status == 200
    assert (await post(relay, by=a)).status == 201


async def test_a_preview_and_a_filter_show_the_tenants_alerts_alone(relay: Relay) -> None:
    a = await key_for(relay, "a", role="operator")
    await create(relay, a, "/channels", **HOOK, id="of-a", name="x", enabled=True)
    await relay.channel(**HOOK, id="shared", name="x")
    sent = webhook(alert("A", team="db", tenant_id="a"), alert("B", team="db", tenant_id="b"))
    assert (await relay.webhook(sent)).status == 202
    shown = (await ask(relay, "POST", "/silences/preview", key=a, json=body())).json["now"]
    assert [(one["alertname"], one["channels"]) for one in shown["alerts"]] == [("A", ["of-a"])]
    assert shown["count"] == 1
    ids = {item["alertname"]: item["id"] for item in await relay.items("/history")}
    assert (await ask(relay, "GET", f"/silences?alert_id={ids['A']}", key=a)).status == 200
    assert (await ask(relay, "GET", f"/silences?alert_id={ids['B']}", key=a)).status == 404
