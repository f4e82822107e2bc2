"""Why a channel was, or was not, sent an alert, with the configuration in force then."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

from aiohttp import web

from tests.access.objects import key_for
from tests.fixtures.relays import Relay, RelayFactory, alert, webhook
from tests.fixtures.sink import Sink

LAST_WEEK = datetime.now(UTC) - timedelta(days=7)


async def post(relay: Relay, sql: Any, body: dict[str, Any]) -> int:
    """Post a webhook, and return the id of its first alert."""
    response = await relay.webhook(body)
    assert response.status == 202, response.body
    found: int = await sql.fetchval("SELECT alert_ids[1] FROM receipts ORDER BY id DESC LIMIT 1")
    return found


async def hook(relay: Relay, sink: Sink, name: str, **filters: Any) -> None:
    await relay.channel(name=name, channel_type="webhook", webhook_url=f"{sink.url}/{name}", **filters)


async def why(relay: Relay, alert_id: int, channel: str, **request: Any) -> Any:
    response = await relay.call("GET", f"/history/{alert_id}/why?channel={channel}", **request)
    assert response.status == 200, response.body
    return response.json


async def channels(relay: Relay, alert_id: int, **request: Any) -> dict[str, Any]:
    response = await relay.call("GET", f"/history/{alert_id}", **request)
    assert response.status == 200, response.body
    return {channel["channel_id"]: channel for channel in response.json["channels"]}


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


async def test_waiting_dead_and_merged_deliveries_are_explained(relay: Relay, sql: Any, sink: Sink) -> None:
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

    await relay.change("DELETE", "/channels/bad")
    await post(relay, sql, webhook(alert(), alert("Second")))
    sink.script = None
    await relay.settled(1)
    await relay.settled(1, "merged")
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


async def test_what_suppressed_an_alert_is_named_as_it_was_then(relay: Relay, sql: Any, sink: Sink) -> None:
    await hook(relay, sink, "all")
    alert_id = await post(relay, sql, webhook(alert()))
    await relay.settled(1)
    silence = "7b0c2f0e-31d1-4be3-a2b5-d3a9d7bd6d7f"
    await suppress(sql, alert_id, [f"silence:{silence}", f"acknowledged:{alert_id}"])
    await record(sql, silence, 1, 1, {"comment": "maintenance", "created_by": "key:relay:1"})
    await record(sql, silence, 2, 1_000_000, {"comment": "changed later", "created_by": "key:relay:1"})
    await sql.execute(
        "INSERT INTO acknowledgements (alert_id, author, author_name, comment, created_at) "
        "VALUES ($1, 'x', 'Ann', 'on it', now() - interval '1 hour')",
        alert_id,
    )

    found = await why(relay, alert_id, "all")

    assert found["verdict"] == "suppressed"
    by = [(one["kind"], one["comment"], one["created_by"]) for one in found["suppressed_by"]]
    assert by == [("acknowledgement", "on it", "Ann"), ("silence", "maintenance", "key:relay:1")]
    assert found["suppressed_by"][1]["since"] == "2026-11-01T00:00:00Z"
    assert "silenced by key:relay:1 since 2026-11-01T00:00:00Z (maintenance)" in found["detail"]


async def suppress(sql: Any, alert_id: int, names: list[str]) -> None:
    """Turn the delivery into one that sent other alerts, with a suppressed one beside it."""
    await sql.execute("UPDATE deliveries SET withheld = $1", [alert_id])
    await sql.execute(
        "INSERT INTO deliveries (receipt_id, channel_id, kind, group_hash, positions, rank, state, created_at, "
        "waiting_since, alert_ids, suppressed_by, config_version) "
        "SELECT receipt_id, channel_id, kind, group_hash, positions, rank, 'suppressed', now(), now(), $1, "
        "(SELECT jsonb_object_agg(name, $2::jsonb) FROM unnest($3::text[]) AS name), 1000 FROM deliveries",
        [alert_id],
        f"[{alert_id}]",
        names,
    )


async def record(sql: Any, silence_id: str, number: int, config_version: int, fields: dict[str, str]) -> None:
    """Record a version of a silence."""
    await sql.execute(
        "INSERT INTO versions (kind, object_id, number, action, author, author_name, method, body, changes, "
        "config_version) VALUES ('silence', $1, $2, 'updated', 'x', 'x', 'x', "
        "jsonb_build_object('comment', $3::text, 'created_by', $4::text, 'starts_at', '2026-11-01T00:00:00Z', "
        "'ends_at', NULL, 'matchers', '[]'::jsonb), '{}', $5)",
        silence_id,
        number,
        fields["comment"],
        fields["created_by"],
        config_version,
    )


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


async def test_a_silenced_alert_is_explained_until_and_after_its_release(
    relay: Relay, sql: Any, sink: Sink
) -> None:
    await hook(relay, sink, "all")
    ends_at = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    silence = {"matchers": ["team=db"], "ends_at": ends_at, "comment": "maintenance", "created_by": "Ann"}
    created = (await relay.change("POST", "/silences", json=silence)).json
    alert_id = await post(relay, sql, webhook(alert("Down", team="db"), alert("Other")))
    await relay.settled(1)

    found = await why(relay, alert_id, "all")

    assert (found["verdict"], found["message_id"]) == ("suppressed", None)
    by = [(one["id"], one["comment"], one["created_by"], one["since"]) for one in found["suppressed_by"]]
    assert by == [(created["id"], "maintenance", "Ann", created["starts_at"])]
    assert found["detail"] == f"not sent: silenced by Ann since {created['starts_at'][:19]}Z (maintenance)"

    await relay.change("PATCH", f"/silences/{created['id']}", json={"comment": "changed"})
    await relay.change("POST", f"/silences/{created['id']}/expire")
    await relay.settled(2)

    found = await why(relay, alert_id, "all")
    assert (found["verdict"], found["message_state"]) == ("merged", "delivered")
    assert "after what suppressed it had ended" in found["detail"]
    assert [one["comment"] for one in found["suppressed_by"]] == ["maintenance"]


async def test_an_acknowledgement_that_suppresses_a_repeat_is_named(relay: Relay, sql: Any, sink: Sink) -> None:
    await hook(relay, sink, "all")
    alert_id = await post(relay, sql, webhook(alert("Down")))
    await relay.settled(1)
    await sql.execute(
        "INSERT INTO acknowledgements (alert_id, author, author_name, comment) VALUES ($1, 'x', 'Ann', 'on it')",
        alert_id,
    )
    await post(relay, sql, webhook(alert("Down"), alert("New")))
    await relay.settled(2)

    found = await why(relay, alert_id, "all")

    assert [one["verdict"] for one in found["webhooks"]] == ["sent", "suppressed"]
    assert found["verdict"] == "sent"
    assert found["detail"].endswith("(on it)")
    assert "; the last webhook: not sent: acknowledged by Ann since " in found["detail"]
