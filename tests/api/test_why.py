"""Why a channel was, or was not, sent an alert, with the configuration in force then."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

from aiohttp import web

from tests.access.objects import key_for
from tests.fixtures.explaining import channels, hook, post, why
from tests.fixtures.relays import Relay, RelayFactory, alert, webhook
from tests.fixtures.sink import Sink

LAST_WEEK = datetime.now(UTC) - timedelta(days=7)


async def test_each_channel_has_a_verdict_and_a_sentence(relay: Relay, sql: Any, sink: Sink) -> None:
    await hook(relay, sink, "all")
    await hook(relay, sink, "critical", severities=["critical"])
    await hook(relay, sink, "db", matchers=["team=db"])
    await hook(relay, sink, "eu", source="eu")
    await hook(relay, sink, "off", enabled=False)
    await hook(relay, sink, "acme", tenant_id="acme")
    alert_id = await post(relay, sql, webhook(alert()))
    await hook(relay, sink, "new")
    [delivery] = await relay.settled(1)

    found = await channels(relay, alert_id)

    assert {name: (one["verdict"], one["filter"]) for name, one in found.items()} == {
        "all": ("sent", None),
        "critical": ("not_matched", "severities"),
        "db": ("not_matched", "matchers"),
        "eu": ("not_matched", "source"),
        "off": ("disabled", "enabled"),
        "new": ("absent", None),
    }
    assert found["critical"]["detail"] == (
        "not sent: severities of the channel were critical, the alert has warning"
    )
    assert found["db"]["detail"] == "not sent: the matcher team=\"db\" of the channel did not match ''"
    sent = found["all"]
    assert (sent["delivery_id"], sent["message_id"], sent["attempts"]) == (delivery["id"], delivery["id"], 1)
    assert sent["at"] == delivery["delivered_at"]
    assert list(found) == ["all", "critical", "db", "eu", "off", "new"]


async def test_the_configuration_of_last_week_explains_after_two_changes_and_a_deletion(
    start_relay: RelayFactory, sql: Any, sink: Sink
) -> None:
    relay = await start_relay(now=lambda: LAST_WEEK)
    await hook(relay, sink, "ops", severities=["critical"])
    await hook(relay, sink, "other")
    alert_id = await post(relay, sql, webhook(alert("Old")))
    await relay.change("PATCH", "/channels/ops", json={"severities": ["warning"], "matchers": ["team=db"]})
    await post(relay, sql, webhook(alert("Old"), alert("Second")))
    await relay.change("PATCH", "/channels/ops", json={"name": "Renamed", "severities": [], "matchers": []})
    await relay.change("DELETE", "/channels/ops")
    await relay.change("DELETE", "/channels/other")

    found = await why(relay, alert_id, "ops")

    assert [one["detail"] for one in found["webhooks"]] == [
        "not sent: severities of the channel were critical, the alert has warning",
        "not sent: the matcher team=\"db\" of the channel did not match ''",
    ]
    assert (found["channel_name"], found["verdict"], found["filter"]) == ("Renamed", "not_matched", "matchers")
    first, second = found["webhooks"]
    assert first["config_version"] < second["config_version"]
    other = (await channels(relay, alert_id))["other"]
    assert other["verdict"] in ("sent", "merged", "dead")

    await post(relay, sql, webhook(alert("Old"), alert("Third")))
    found = await why(relay, alert_id, "ops")
    assert found["webhooks"][-1]["detail"] == "not sent: the channel had been deleted"
    assert found["filter"] == "matchers"


async def test_a_webhook_without_a_configuration_version_is_unknown_unless_it_was_sent(
    relay: Relay, sql: Any, sink: Sink
) -> None:
    await hook(relay, sink, "all")
    await hook(relay, sink, "critical", severities=["critical"])
    alert_id = await post(relay, sql, webhook(alert()))
    await relay.settled(1)
    await sql.execute("UPDATE receipts SET config_version = NULL")

    found = await channels(relay, alert_id)

    assert (found["all"]["verdict"], found["critical"]["verdict"]) == ("sent", "unknown")
    assert "did not record its configuration" in found["critical"]["detail"]


async def test_waiting_and_dead_deliveries_are_explained(relay: Relay, sql: Any, sink: Sink) -> None:
    sink.script = lambda request: web.Response(status=503 if request.path == "/busy" else 400, text="no")
    await hook(relay, sink, "busy")
    await hook(relay, sink, "bad")
    alert_id = await post(relay, sql, webhook(alert()))
    await relay.settled(1, "dead")
    async with asyncio.timeout(20):
        while (found := await channels(relay, alert_id))["busy"]["detail"] == "waits to be sent":
            await asyncio.sleep(0.05)

    assert (found["busy"]["verdict"], found["busy"]["message_state"]) == ("pending", "pending")
    assert found["busy"]["detail"].startswith("waits to be sent; the last attempt failed: 503")
    assert found["bad"]["verdict"] == "dead"
    assert found["bad"]["detail"].startswith("not sent: 400")


async def test_a_delivery_that_waited_is_merged_into_a_newer_one(
    start_relay: RelayFactory, sql: Any, sink: Sink
) -> None:
    relay = await start_relay(deliver=False)
    await hook(relay, sink, "busy")
    alert_id = await post(relay, sql, webhook(alert()))
    await post(relay, sql, webhook(alert(), alert("Second")))
    await start_relay()
    await relay.settled(1)

    webhooks = (await why(relay, alert_id, "busy"))["webhooks"]
    assert sorted(one["verdict"] for one in webhooks) == ["merged", "sent"]
    merged = next(one for one in webhooks if one["verdict"] == "merged")
    assert merged["message_state"] == "delivered"
    assert merged["detail"].startswith(f"merged into the delivery {merged['message_id']}, which was sent at ")


async def test_duplicates_and_late_reports_are_listed(start_relay: RelayFactory, sql: Any, sink: Sink) -> None:
    relay = await start_relay(deliver=False)
    await hook(relay, sink, "all")
    alert_id = await post(relay, sql, webhook(alert()))
    for _ in range(2):
        assert (await relay.webhook(webhook(alert()))).json["duplicate"]
    await post(relay, sql, webhook(alert(status="resolved")))
    # The other Alertmanager of a pair lags behind.
    late = await relay.webhook(webhook(alert(), alert("Second")), sender="b")
    assert late.json["suppressed"] == 1

    webhooks = (await why(relay, alert_id, "all"))["webhooks"]

    assert [(one["verdict"], one["firing"], one["count"]) for one in webhooks] == [
        ("pending", True, 1),
        ("duplicate", True, 2),
        ("pending", False, 1),
        ("late", True, 1),
    ]
    assert webhooks[1]["duplicate_of"] == webhooks[0]["receipt_id"]


async def test_a_channel_that_the_relay_disabled_is_explained_as_routed(
    relay: Relay, sql: Any, sink: Sink
) -> None:
    sink.script = lambda _: web.Response(status=410)
    await hook(relay, sink, "gone", severities=["warning"])
    await post(relay, sql, webhook(alert("First")))
    async with asyncio.timeout(20):
        while (await relay.items("/channels"))[0]["disabled_reason"] is None:
            await asyncio.sleep(0.05)
    await relay.change("PATCH", "/channels/gone", json={"severities": ["info"]})

    alert_id = await post(relay, sql, webhook(alert("Second"), group="second"))

    found = (await channels(relay, alert_id))["gone"]
    assert (found["verdict"], found["filter"]) == ("not_matched", "severities")


async def test_a_principal_with_tenants_sees_the_channels_of_its_tenants(
    relay: Relay, sql: Any, sink: Sink
) -> None:
    await hook(relay, sink, "acme", tenant_id="acme")
    await hook(relay, sink, "shared")
    await hook(relay, sink, "globex", tenant_id="globex")
    alert_id = await post(relay, sql, webhook(alert(tenant_id="acme")))
    key = await key_for(relay, "acme")

    assert set(await channels(relay, alert_id)) == {"acme", "shared"}
    assert set(await channels(relay, alert_id, key=key)) == {"acme"}
    for channel in ("shared", "globex", "none"):
        path = f"/history/{alert_id}/why?channel={channel}"
        assert (await relay.call("GET", path, key=key)).status == 404
    assert (await why(relay, alert_id, "globex"))["filter"] == "tenant_id"
    assert (await relay.call("GET", f"/history/{alert_id}/why?channel=none")).status == 404
    assert (await relay.call("GET", "/history/999/why?channel=acme")).status == 404
    assert (await relay.call("GET", f"/history/{alert_id}/why")).status == 400
