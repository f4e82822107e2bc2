"""Objects that an administrator gives to another tenant."""

from tests.access.objects import HOOK, MESSAGE, create, key_for
from tests.access.tenants import ask, changed
from tests.fixtures.relays import Relay, alert, webhook
from tests.fixtures.sink import Sink


async def test_versions_of_the_tenant_before_are_not_shown(relay: Relay) -> None:
    a, b = await key_for(relay, "a"), await key_for(relay, "b")
    await create(relay, a, "/channels", **HOOK, name="A's name", id="c")
    await ask(relay, "PATCH", "/channels/c", json={"tenant_id": "b", "name": "B's name"})

    [moved] = (await ask(relay, "GET", "/channels/c/versions", key=b)).json["items"]
    [audited] = (await ask(relay, "GET", "/audit?kind=channel", key=b)).json["items"]

    expected = {"name": {"before": None, "after": "B's name"}, "tenant_id": {"before": None, "after": "b"}}
    assert moved["changes"] == audited["changes"] == expected
    every = (await ask(relay, "GET", "/channels/c/versions")).json["items"]
    assert every[0]["changes"]["name"] == {"before": "A's name", "after": "B's name"}
    assert (await ask(relay, "GET", "/channels/c/versions/1", key=b)).status == 404
    for path in ("", "/versions", "/versions/1", "/health"):
        assert (await ask(relay, "GET", f"/channels/c{path}", key=a)).status == 404
    for body in ({}, {"webhook_url": "https://hooks.example.com/y"}):
        assert (await ask(relay, "POST", "/channels/c/versions/1/restore", key=a, json=body)).status == 404


async def test_deliveries_of_the_tenant_before_are_not_sent_to_that_of_now(relay: Relay, sink: Sink) -> None:
    a, b = await key_for(relay, "a"), await key_for(relay, "b")
    await create(relay, a, "/channels", channel_type="slack", webhook_url=sink.url, name="c")
    await relay.webhook(webhook(alert(tenant_id="a")))
    [item] = await relay.settled(1)
    await ask(relay, "PATCH", "/channels/c", json={"tenant_id": "b"})

    single = await ask(relay, "POST", f"/deliveries/{item['id']}/redeliver", key=a)
    bulk = await ask(relay, "POST", "/deliveries/redeliver", key=a, json={"state": "delivered"})

    assert (single.status, bulk.json["redelivered"]) == (409, 0)
    assert (await ask(relay, "GET", f"/deliveries/{item['id']}", key=a)).json["channel_id"] == "c"
    assert (await ask(relay, "GET", f"/deliveries/{item['id']}", key=b)).status == 404
    assert len(sink.received) == 1


async def test_a_shared_channel_that_gets_a_tenant_is_no_longer_named(relay: Relay, sink: Sink) -> None:
    a = await key_for(relay, "a", role="viewer")
    await relay.channel(name="Shared", id="c", channel_type="slack", webhook_url=sink.url)
    await relay.webhook(webhook(alert(tenant_id="a")))
    await relay.settled(1)
    await ask(relay, "PATCH", "/channels/c", json={"tenant_id": "b", "name": "B's"})

    [item] = (await ask(relay, "GET", "/history", key=a)).json["items"]
    [receipt] = (await ask(relay, "GET", f"/history/{item['id']}", key=a)).json["timeline"]

    [shared] = receipt["shared_deliveries"]
    assert (shared["channel_name"], shared["channel_type"], shared["state"]) == (None, None, "delivered")


async def test_a_template_is_its_new_tenants_alone(relay: Relay) -> None:
    a, b, both = await key_for(relay, "a"), await key_for(relay, "b"), await key_for(relay, "a", "b")
    await create(relay, a, "/templates", **MESSAGE, id="t", body="A's text")
    await create(relay, a, "/channels", **HOOK, name="user", template="t")
    refused = await ask(relay, "PATCH", "/templates/t", key=both, json={"tenant_id": "b"})
    assert (refused.status, "user" in refused.json["detail"]) == (400, True)
    await changed(relay, "DELETE", "/channels/user", a)

    await changed(relay, "PATCH", "/templates/t", both, {"tenant_id": "b", "body": "B's text"})

    listed = (await ask(relay, "GET", "/templates/t/versions", key=b)).json["items"]
    assert [version["body"] for version in listed] == ["B's text"]
    assert (await ask(relay, "POST", "/templates/t/versions/1/restore", key=b)).status == 404
    assert (await ask(relay, "GET", "/templates/t/versions", key=a)).status == 404
    audit = await ask(relay, "GET", "/audit?kind=message_template", key=b)
    assert "A's text" not in audit.body.decode()
