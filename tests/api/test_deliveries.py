"""The list of deliveries: delivered, pending and dead ones, and its filters."""

import re
from typing import Any

from aiohttp import web

from tests.fixtures.relays import Relay, RelayFactory, alert, webhook
from tests.fixtures.sink import Sink

FIELDS = [
    *("id", "channel_id", "group_key", "state", "attempt_count", "created_at", "next_attempt_at", "delivered_at"),
    *("tenant_id", "source", "last_reason", "last_error", "kind", "redelivered_at", "merged_into", "fallback_of"),
    *("suppressed_by", "config_version"),
]
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")


async def test_a_delivered_delivery(relay: Relay, sink: Sink) -> None:
    await relay.channel(name="Ops", channel_type="webhook", webhook_url=sink.url)
    await relay.webhook(webhook(group="g"))

    [item] = await relay.settled(1)

    assert sorted(item) == sorted(FIELDS)
    assert (item["channel_id"], item["group_key"]) == ("ops", '{}:{group="g"}')
    assert (item["attempt_count"], item["next_attempt_at"], item["last_reason"], item["last_error"]) == (
        *(1, None, None, None),
    )
    assert TIME.fullmatch(item["created_at"])
    assert TIME.fullmatch(item["delivered_at"])


async def test_a_pending_delivery(start_relay: RelayFactory, sink: Sink) -> None:
    relay = await start_relay(deliver=False)
    await relay.channel(name="Ops", channel_type="webhook", webhook_url=sink.url)
    await relay.webhook(webhook())

    [item] = await relay.items("/deliveries")

    assert (item["state"], item["attempt_count"], item["delivered_at"]) == ("pending", 0, None)
    assert TIME.fullmatch(item["next_attempt_at"])


async def test_a_dead_delivery_has_a_reason(relay: Relay, sink: Sink) -> None:
    sink.script = lambda _: web.Response(status=400, text="no such hook")
    await relay.channel(name="Ops", channel_type="webhook", webhook_url=sink.url)
    await relay.webhook(webhook())

    [item] = await relay.settled(1, "dead")

    assert (item["last_reason"], item["last_error"]) == ("clientError", "400 no such hook")


async def test_a_single_delivery_includes_its_attempts_and_alert_ids(relay: Relay, sink: Sink) -> None:
    await relay.channel(name="Ops", channel_type="webhook", webhook_url=sink.url, severities=["critical"])
    await relay.webhook(webhook(alert("A"), alert("B", severity="critical")))
    [item] = await relay.settled(1)
    ids = {alert["alertname"]: alert["id"] for alert in await relay.items("/history")}

    detail = (await relay.call("GET", f"/deliveries/{item['id']}")).json

    attempts, alert_ids = detail.pop("attempts"), detail.pop("alert_ids")
    assert detail == item
    assert alert_ids == [ids["B"]]
    [one] = attempts
    assert (one["number"], one["outcome"], one["reason"], one["status_code"], one["detail"]) == (
        *(1, "sent", None, 200, "ok"),
    )
    assert TIME.fullmatch(one["started_at"])
    assert 0 < one["duration"] < 10


async def test_each_filter_selects_matching_deliveries(start_relay: RelayFactory, sink: Sink) -> None:
    relay = await start_relay(deliver=False)
    for name in ("a", "b"):
        await relay.channel(name=name, channel_type="webhook", webhook_url=sink.url)
    for group in ("one", "two"):
        await relay.webhook(webhook(group=group))
    await relay.call("DELETE", "/channels/a")

    async def selected(query: dict[str, str]) -> set[tuple[str, str, str]]:
        items = (await relay.call("GET", "/deliveries", params=query)).json["items"]
        return {(item["channel_id"], item["group_key"][11:-2], item["state"]) for item in items}

    dead = {("a", "one", "dead"), ("a", "two", "dead")}
    pending = {("b", "one", "pending"), ("b", "two", "pending")}
    assert await selected({}) == dead | pending
    assert await selected({"channel_id": "a"}) == await selected({"state": "dead"}) == dead
    assert await selected({"channel_id": "b"}) == await selected({"state": "pending"}) == pending
    assert await selected({"group_key": '{}:{group="one"}', "state": "dead"}) == {("a", "one", "dead")}
    assert await selected({"group_key": "one"}) == set()


async def test_since_and_until_bound_the_time_of_creation(start_relay: RelayFactory, sink: Sink) -> None:
    relay = await start_relay(deliver=False)
    await relay.channel(name="Ops", channel_type="webhook", webhook_url=sink.url)
    for group in ("first", "second"):
        await relay.webhook(webhook(group=group))
    second, first = await relay.items("/deliveries")

    at = second["created_at"]
    assert await relay.items(f"/deliveries?since={at}") == [second]
    assert await relay.items(f"/deliveries?until={at}") == [first]
    assert await relay.items(f"/deliveries?since={first['created_at']}&until={at}&state=pending") == [first]


async def test_merged_deliveries_are_found_by_the_delivery_that_includes_them(
    start_relay: RelayFactory, sink: Sink, sql: Any
) -> None:
    relay = await start_relay(deliver=False)
    await relay.channel(name="Ops", channel_type="webhook", webhook_url=sink.url)
    for group in ("first", "second", "third"):
        await relay.webhook(webhook(group=group))
    third, second, first = (item["id"] for item in await relay.items("/deliveries"))
    await sql.execute(
        "UPDATE deliveries SET state = 'merged', merged_into = $1 WHERE id = ANY ($2)", third, [first, second]
    )

    merged = await relay.items(f"/deliveries?merged_into={third}")

    assert [(delivery["id"], delivery["state"], delivery["merged_into"]) for delivery in merged] == [
        (second, "merged", third),
        (first, "merged", third),
    ]
    assert await relay.items(f"/deliveries?merged_into={first}") == []
    assert await relay.items(f"/deliveries?merged_into={third}&state=dead") == []
