"""The history of alerts and their timelines."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

from aiohttp import web

from tests.fixtures.relays import Relay, RelayFactory, alert, sample, webhook
from tests.fixtures.sink import Sink

FIELDS = [
    *("id", "fingerprint", "status", "alertname", "severity", "category", "tenant_id", "labels", "annotations"),
    *("starts_at", "ends_at", "first_received_at", "last_received_at", "generator_url", "source", "end_reason"),
    "routed",
    "acknowledgement",
]
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")


async def test_an_item_has_the_documented_fields_with_times_in_utc(relay: Relay) -> None:
    await relay.webhook(sample("resolved"))

    item = (await relay.items("/history"))[0]

    assert sorted(item) == sorted(FIELDS)
    for name in ("starts_at", "ends_at", "first_received_at", "last_received_at"):
        assert TIME.fullmatch(item[name])
    assert (item["alertname"], item["status"], item["tenant_id"]) == ("HighErrorRate", "resolved", "tenant-a")


async def test_a_firing_alert_without_a_tenant_has_no_end_and_no_tenant(relay: Relay) -> None:
    await relay.webhook(webhook(alert()))

    [item] = await relay.items("/history")

    assert (item["ends_at"], item["tenant_id"], item["category"]) == (None, None, None)


async def test_each_filter_selects_matching_alerts(relay: Relay) -> None:
    await relay.webhook(
        webhook(
            alert("Up", severity="info", category="db", tenant_id="acme"),
            alert("Down", severity="critical", category="web", tenant_id="globex", status="resolved"),
        )
    )
    up = next(item for item in await relay.items("/history") if item["alertname"] == "Up")

    for wanted in (
        "status=firing",
        "alertname=Up",
        "severity=info",
        "category=db",
        "tenant_id=acme",
        f"fingerprint={up['fingerprint']}",
        "status=firing&severity=info&tenant_id=acme",
    ):
        assert await relay.items(f"/history?{wanted}") == [up], wanted
    assert await relay.items("/history?alertname=Up&status=resolved") == []


async def test_since_and_until_bound_the_time_of_receipt(relay: Relay) -> None:
    await relay.webhook(webhook(alert("First"), group="1"))
    [first] = await relay.items("/history")
    await relay.webhook(webhook(alert("Second"), group="2"))
    second = (await relay.items("/history"))[0]

    at = second["last_received_at"]
    assert await relay.items(f"/history?since={at}") == [second]
    assert await relay.items(f"/history?until={at}") == [first]
    elsewhere = datetime.fromisoformat(at).astimezone(UTC) + timedelta(hours=5, minutes=30)
    shifted = elsewhere.isoformat().replace("+00:00", "%2B05:30")
    assert await relay.items(f"/history?since={shifted}") == [second]


async def test_the_timeline_contains_receipts_deliveries_and_attempts(relay: Relay, sink: Sink) -> None:
    responses = iter([500, 200, 200])
    sink.script = lambda _: web.Response(status=next(responses), text="so it is")
    await relay.channel(name="Ops", channel_type="webhook", webhook_url=sink.url)
    await relay.webhook(webhook(alert()))
    await relay.settled(1)
    await relay.webhook(webhook(alert(status="resolved")))
    await relay.settled(2)
    [item] = await relay.items("/history")

    detail = (await relay.call("GET", f"/history/{item['id']}")).json

    timeline = detail.pop("timeline")
    assert [channel["channel_id"] for channel in detail.pop("channels")] == ["ops"]
    assert detail.pop("channels_omitted") == 0
    assert detail == item | {"acknowledgements": []}
    assert [receipt["status"] for receipt in timeline] == ["firing", "resolved"]
    assert all(receipt["receiver"] == "relay" for receipt in timeline)
    assert all(TIME.fullmatch(receipt["received_at"]) for receipt in timeline)
    [[firing], [resolved]] = [receipt["deliveries"] for receipt in timeline]
    assert [(attempt["outcome"], attempt["status_code"]) for attempt in firing["attempts"]] == [
        ("retry", 500),
        ("sent", 200),
    ]
    assert [attempt["number"] for attempt in firing["attempts"]] == [1, 2]
    assert [(attempt["outcome"], attempt["detail"]) for attempt in resolved["attempts"]] == [("sent", "so it is")]
    assert firing["alert_ids"] == resolved["alert_ids"] == [item["id"]]


async def test_a_channel_that_matched_another_alert_of_the_group_is_not_in_the_timeline(
    relay: Relay, sink: Sink
) -> None:
    for name in ("critical", "info"):
        await relay.channel(name=name, channel_type="webhook", webhook_url=sink.url, severities=[name])
    await relay.channel(name="All", channel_type="webhook", webhook_url=sink.url)
    await relay.webhook(webhook(alert("A", severity="critical"), alert("B", severity="info")))

    included = {}
    for item in await relay.items("/history"):
        [receipt] = (await relay.call("GET", f"/history/{item['id']}")).json["timeline"]
        included[item["alertname"]] = sorted(one["channel_id"] for one in receipt["deliveries"])

    assert included == {"A": ["all", "critical"], "B": ["all", "info"]}


async def names(relay: Relay, delivery_id: int) -> list[str]:
    """The alerts of a delivery."""
    return sorted(item["alertname"] for item in await relay.items(f"/history?delivery_id={delivery_id}"))


async def test_the_alerts_of_a_delivery_are_those_that_matched_its_channel(
    start_relay: RelayFactory, sink: Sink
) -> None:
    relay = await start_relay(deliver=False)
    await relay.channel(name="Some", channel_type="webhook", webhook_url=sink.url, severities=["critical"])
    await relay.channel(name="All", channel_type="webhook", webhook_url=sink.url)
    await relay.webhook(webhook(alert("A"), alert("B", severity="critical"), alert("C", severity="critical")))
    await relay.webhook(webhook(alert("D"), group="other"))

    ids = {
        (delivery["channel_id"], delivery["group_key"]): delivery["id"]
        for delivery in await relay.items("/deliveries")
    }

    some_id = ids["some", '{}:{group="g"}']
    assert await names(relay, some_id) == ["B", "C"]
    assert await names(relay, ids["all", '{}:{group="g"}']) == ["A", "B", "C"]
    assert await names(relay, 999999) == []
    some = f"/history?delivery_id={some_id}"
    assert [item["alertname"] for item in await relay.items(f"{some}&alertname=B")] == ["B"]
    page = (await relay.call("GET", f"{some}&limit=1")).json
    rest = (await relay.call("GET", some, params={"cursor": page["next"]})).json
    assert sorted(item["alertname"] for item in page["items"] + rest["items"]) == ["B", "C"]


async def test_a_digest_and_a_fallback_include_all_alerts_merged_into_them(
    start_relay: RelayFactory, sink: Sink, sql: Any
) -> None:
    relay = await start_relay(deliver=False)
    await relay.channel(name="Ops", channel_type="webhook", webhook_url=sink.url)
    for name in ("A", "B", "C", "D"):
        await relay.webhook(webhook(alert(name), group=name))
    a, b, c, d = reversed([item["id"] for item in await relay.items("/deliveries")])
    made = """
        INSERT INTO deliveries (channel_id, kind, state, group_hash, rank, created_at, waiting_since, fallback_of)
        VALUES ('ops', 'digest', $1, 0, 0, now(), now(), $2) RETURNING id
    """
    digest = await sql.fetchval(made, "dead", None)
    fallback = await sql.fetchval(made, "delivered", digest)
    merge = "UPDATE deliveries SET state = 'merged', merged_into = $2 WHERE id = $1"
    for one, into in ((a, b), (b, digest), (c, digest)):
        await sql.execute(merge, one, into)

    assert await names(relay, digest) == ["A", "B", "C"]
    assert await names(relay, fallback) == ["A", "B", "C"]
    assert await names(relay, b) == ["A", "B"]
    assert await names(relay, d) == ["D"]
    selected = (await relay.call("GET", f"/deliveries/{digest}")).json
    assert (selected["kind"], selected["group_key"], selected["alert_ids"]) == ("digest", None, [])

    [item] = await relay.items(f"/history?delivery_id={a}")
    [receipt] = (await relay.call("GET", f"/history/{item['id']}")).json["timeline"]
    assert [(one["id"], one["state"], one["merged_into"]) for one in receipt["deliveries"]] == [(a, "merged", b)]


async def test_alerts_that_match_no_channel_are_listed_until_a_webhook_matches(relay: Relay, sink: Sink) -> None:
    await relay.channel(
        name="DB", channel_type="webhook", webhook_url=sink.url, matchers=["team=db"], send_resolved=False
    )
    await relay.webhook(webhook(alert("Up", team="db"), alert("Lost"), alert("Gone")))

    assert [item["alertname"] for item in await relay.items("/history?routed=false")] == ["Gone", "Lost"]
    assert [item["alertname"] for item in await relay.items("/history?routed=true")] == ["Up"]
    assert await unrouted(relay) == 2
    await relay.webhook(webhook(alert("Up", "resolved", team="db"), alert("Lost", "resolved"), alert("Gone")))
    assert await unrouted(relay) == 3  # resolved alerts do not count
    await relay.change("PATCH", "/channels/db", json={"matchers": ["alertname=Gone"]})
    await relay.webhook(webhook(alert("Gone"), alert("New")))

    assert [item["alertname"] for item in await relay.items("/history?routed=false")] == ["New", "Lost"]
    assert await unrouted(relay) == 4


async def unrouted(relay: Relay) -> float:
    """The counter of alerts that matched no channel."""
    response = await relay.call("GET", "metrics")
    [line] = [
        line for line in response.body.decode().splitlines() if line.startswith("relay_alerts_unrouted_total")
    ]
    return float(line.split()[1])
