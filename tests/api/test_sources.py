"""Sources through the API: the webhook, filters, the history and the list of senders."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import structlog

from relay.store.outbox import aging
from relay.store.postgres.database import driver_connection
from tests.fixtures.relays import Relay, RelayFactory, alert, webhook
from tests.fixtures.sampling import representatives
from tests.fixtures.sink import Sink


async def test_a_channel_limited_to_a_source_gets_only_its_alerts(relay: Relay, sink: Sink) -> None:
    await relay.channel(name="eu", channel_type="webhook", webhook_url=sink.url, source="eu")
    await relay.channel(name="all", channel_type="webhook", webhook_url=sink.url)

    responses = [await relay.webhook(webhook(), **query) for query in ({"source": "eu"}, {"source": "us"}, {})]

    assert [response.json["notifications"] for response in responses] == [2, 1, 1]
    await relay.settled(4)
    sent = sorted((body["channel_id"], body["source"]) for body in (one.json for one in sink.received))
    assert sent == [("all", ""), ("all", "eu"), ("all", "us"), ("eu", "eu")]


@pytest.mark.parametrize("name", representatives(["a b", "x" * 65, "", "é"], keep=2))
async def test_a_malformed_source_of_a_channel_is_rejected(relay: Relay, sink: Sink, name: str) -> None:
    body = {"name": "a", "channel_type": "webhook", "webhook_url": sink.url, "source": name}
    response = await relay.call("POST", "/channels", json=body)
    assert (response.status, response.json["errors"][0]["field"]) == (400, "source")


async def test_a_dry_run_of_routing_takes_a_source(relay: Relay, sink: Sink) -> None:
    await relay.channel(name="eu", channel_type="webhook", webhook_url=sink.url, source="eu")

    async def verdicts(**body: Any) -> list[tuple[bool, str | None]]:
        response = await relay.call("POST", "/route", json=body)
        assert response.status == 200, response.body
        return [(one["channels"][0]["matched"], one["channels"][0]["reason"]) for one in response.json["alerts"]]

    labels = {"alertname": "Down"}
    assert await verdicts(labels=labels, source="eu") == [(True, None)]
    assert await verdicts(labels=labels) == [(False, "source: expected eu; the alert has ''")]
    assert await verdicts(**webhook(), source="us") == [(False, "source: expected eu; the alert has 'us'")]
    for source in (1, "a b"):
        response = await relay.call("POST", "/route", json={"labels": labels, "source": source})
        assert (response.status, response.json["errors"][0]["field"]) == (400, "source")


async def test_a_preview_of_a_webhook_takes_its_source(relay: Relay, sink: Sink) -> None:
    await relay.channel(name="eu", channel_type="webhook", webhook_url=sink.url, source="eu")

    body = {"channel_id": "eu", "group": webhook(), "source": "eu"}
    [request] = (await relay.call("POST", "/preview", json=body)).json["requests"]
    assert '"source":"eu"' in str(request["body"]).replace(" ", "")

    response = await relay.call("POST", "/preview", json={"channel_id": "eu", "group": webhook()})
    [unmatched] = response.json["unmatched"]
    assert unmatched["reason"] == "source: expected eu; the alert has ''"


async def test_history_and_deliveries_are_filtered_by_source(relay: Relay, sink: Sink) -> None:
    await relay.channel(name="all", channel_type="webhook", webhook_url=sink.url)
    await relay.webhook(webhook(), source="eu")
    await relay.webhook(webhook())

    for path in ("/history", "/deliveries"):
        assert [item["source"] for item in await relay.items(f"{path}?source=eu")] == ["eu"]
        assert [item["source"] for item in await relay.items(f"{path}?source=")] == [""]
        assert [item["source"] for item in await relay.items(path)] == ["", "eu"]


async def test_the_timeline_names_senders_and_counts_duplicates(relay: Relay) -> None:
    await relay.webhook(webhook(), source="eu", sender="a")
    await relay.webhook(webhook(), source="eu", sender="a")
    await relay.webhook(webhook(), source="eu", sender="b")

    [item] = await relay.items("/history")
    [receipt] = (await relay.call("GET", f"/history/{item['id']}")).json["timeline"]

    url = "http://alertmanager.example.com"
    assert (receipt["source"], receipt["sender"], receipt["external_url"]) == ("eu", "a", url)
    assert receipt["late"] is False
    repeats = [(one["sender"], one["kind"], one["count"], one["external_url"]) for one in receipt["repeats"]]
    assert repeats == [("a", "duplicate", 1, url), ("b", "duplicate", 1, url)]


async def test_the_timeline_shows_late_reports(relay: Relay) -> None:
    await relay.webhook(webhook(), sender="a")
    await relay.webhook(webhook(), sender="b")
    await relay.webhook(webhook(alert(status="resolved")), sender="a")
    late = await relay.webhook(webhook(alert(), alert("Other")), sender="b")

    assert late.json["suppressed"] == 1
    item = (await relay.items("/history?alertname=HighErrorRate"))[0]
    assert item["status"] == "resolved"
    timeline = (await relay.call("GET", f"/history/{item['id']}")).json["timeline"]
    assert [receipt["late"] for receipt in timeline] == [False, False, True]
    assert ("b", "late", 1) in [(one["sender"], one["kind"], one["count"]) for one in timeline[0]["repeats"]]


async def test_the_list_of_sources_has_their_senders_in_pages(relay: Relay) -> None:
    for source, sender in (("", "x"), ("eu", "a"), ("eu", "b"), ("us", "c")):
        await relay.webhook(webhook(), source=source, sender=sender)

    found = await relay.items("/sources")
    assert [source["name"] for source in found] == ["", "eu", "us"]
    eu = found[1]
    assert (eu["sender_count"], eu["stale_after"]) == (2, None)
    assert sorted(sender["address"] for sender in eu["senders"]) == ["a", "b"]
    assert {sender["external_url"] for sender in eu["senders"]} == {"http://alertmanager.example.com"}
    assert eu["last_seen_at"] == max(sender["last_seen_at"] for sender in eu["senders"])

    names, path = [], "/sources?limit=1"
    while path:
        page = (await relay.call("GET", path)).json
        names += [source["name"] for source in page["items"]]
        path = f"/sources?limit=1&cursor={page['next']}" if page["next"] else ""
    assert names == ["", "eu", "us"]
    assert (await relay.call("GET", "/sources?cursor=AAAA")).status == 400
    assert (await relay.call("GET", "/sources/eu")).json == eu
    assert (await relay.call("GET", "/sources/none")).status == 404


async def test_a_source_may_have_its_own_time_for_stale_alerts(relay: Relay) -> None:
    for source in ("eu", "us"):
        await relay.webhook(webhook(), source=source)
    response = await relay.call("PATCH", "/sources/eu", json={"stale_after": 3600})
    assert (response.status, response.json["stale_after"]) == (200, 3600)

    await mark_stale(relay, timedelta(hours=2))

    assert [item["source"] for item in await relay.items("/history?status=stale")] == ["eu"]
    assert [item["source"] for item in await relay.items("/history?status=firing")] == ["us"]
    response = await relay.call("PATCH", "/sources/eu", json={"stale_after": None})
    assert response.json["stale_after"] is None


@pytest.mark.parametrize("seconds", representatives([0, "1h", -1, 1e12], keep=2))
async def test_an_invalid_time_for_stale_alerts_is_rejected(relay: Relay, seconds: Any) -> None:
    response = await relay.call("PATCH", "/sources/eu", json={"stale_after": seconds})
    assert (response.status, response.json["errors"][0]["field"]) == (400, "stale_after")
    assert await relay.items("/sources") == []


async def test_a_stale_alert_that_is_reported_again_fires(start_relay: RelayFactory) -> None:
    relay = await start_relay(repeat_after=0)
    await relay.webhook(webhook())
    [item] = await relay.items("/history")
    await mark_stale(relay, timedelta(hours=26))
    [stale] = await relay.items("/history?status=stale")
    assert (stale["id"], stale["ends_at"], stale["end_reason"]) == (item["id"], None, None)

    await relay.webhook(webhook())

    [firing] = await relay.items("/history?status=firing")
    assert firing["id"] == item["id"]


async def test_the_timeline_of_an_adopted_group_is_complete(relay: Relay) -> None:
    await relay.webhook(webhook())
    await relay.webhook(webhook(alert(), alert("Other")), source="eu")

    for name, count in (("HighErrorRate", 2), ("Other", 1)):
        [item] = await relay.items(f"/history?alertname={name}")
        assert item["source"] == "eu"
        assert len((await relay.call("GET", f"/history/{item['id']}")).json["timeline"]) == count, name


async def test_alternating_senders_are_logged_and_counted_once_per_group(start_relay: RelayFactory) -> None:
    relay = await start_relay(repeat_after=0)
    with structlog.testing.capture_logs() as logs:
        for _ in range(4):
            for name in ("eu", "us"):
                body = webhook(alert(f"Alert-{name}")) | {"externalURL": f"http://{name}"}
                await relay.webhook(body, sender=name)

    [event] = [one for one in logs if one["event"] == "senders_need_sources"]
    assert "?source=NAME" in event["detail"]
    metrics = (await relay.call("GET", "metrics")).body.decode()
    assert "relay_mixed_groups_total 1.0" in metrics


async def mark_stale(relay: Relay, later: timedelta) -> None:
    """Run the job that marks stale alerts, some time from now."""
    async with relay.services.database.begin() as connection:
        driver = await driver_connection(connection)
        await aging.mark_stale(driver, datetime.now(UTC) + later, relay.services.settings.stale_after)
