"""The webhook endpoint."""

import asyncio

from tests.fixtures.relays import Relay, RelayFactory, alert, sample, webhook
from tests.fixtures.sink import Sink


async def test_a_webhook_is_stored_and_delivered(relay: Relay, sink: Sink) -> None:
    await relay.channel(name="Ops", channel_type="webhook", webhook_url=sink.url)

    response = await relay.webhook(sample("firing-two"))

    assert response.status == 202
    assert response.json == {"alerts": 2, "notifications": 1, "suppressed": 0, "duplicate": False}
    assert [item["status"] for item in await relay.items("/history")] == ["firing", "firing"]
    [received] = await sink.wait_for(1)
    assert [alert["labels"]["instance"] for alert in received.json["alerts"]] == ["api-1:8000", "api-2:8000"]


async def test_the_same_group_from_another_peer_is_a_duplicate(relay: Relay, sink: Sink) -> None:
    await relay.channel(name="Ops", channel_type="webhook", webhook_url=sink.url)
    first, second = webhook(), webhook() | {"externalURL": "http://the-other-peer"}

    await relay.webhook(first)
    response = await relay.webhook(second)

    assert response.json == {"alerts": 1, "notifications": 0, "suppressed": 0, "duplicate": True}
    await relay.settled(1)
    assert len(sink.received) == 1


async def test_the_same_group_through_two_processes_is_delivered_once(
    start_relay: RelayFactory, sink: Sink
) -> None:
    one, other = await start_relay(), await start_relay()
    await one.channel(name="Ops", channel_type="webhook", webhook_url=sink.url)

    groups = [webhook(group=str(at)) for at in range(20)]
    responses = await asyncio.gather(*(relay.webhook(group) for group in groups for relay in (one, other)))

    assert sorted(response.json["duplicate"] for response in responses) == [False] * 20 + [True] * 20
    await one.settled(20)
    assert len(sink.received) == 20


async def test_a_deliberate_repeat_is_delivered_again(start_relay: RelayFactory, sink: Sink) -> None:
    relay = await start_relay(repeat_after=0.3)
    await relay.channel(name="Ops", channel_type="webhook", webhook_url=sink.url)

    await relay.webhook(webhook())
    assert (await relay.webhook(webhook())).json["duplicate"] is True
    await asyncio.sleep(0.4)

    assert (await relay.webhook(webhook())).json == {
        "alerts": 1,
        "notifications": 1,
        "suppressed": 0,
        "duplicate": False,
    }
    await sink.wait_for(2)


async def test_a_late_firing_does_not_reopen_a_resolved_alert(relay: Relay, sink: Sink) -> None:
    await relay.channel(name="Ops", channel_type="webhook", webhook_url=sink.url)
    await relay.webhook(webhook(alert(status="resolved")))

    response = await relay.webhook(webhook(alert(status="firing")), sender="lagging-peer")

    assert response.json == {"alerts": 1, "notifications": 0, "suppressed": 1, "duplicate": False}
    [item] = await relay.items("/history")
    assert (item["status"], item["ends_at"]) == ("resolved", "2026-11-23T15:40:00Z")
    await relay.settled(1)
    assert [request.json["status"] for request in sink.received] == ["resolved"]


async def test_an_alert_that_fires_again_with_the_same_start_is_delivered_again(
    start_relay: RelayFactory, sink: Sink
) -> None:
    relay = await start_relay(repeat_after=0.3)
    await relay.channel(name="Ops", channel_type="webhook", webhook_url=sink.url)
    for count, status in enumerate(("firing", "resolved"), start=1):
        await relay.webhook(webhook(alert(status=status)))
        await sink.wait_for(count)
    await asyncio.sleep(0.4)

    # Alertmanager resolved the alert while Prometheus could not reach it; startsAt is unchanged.
    response = await relay.webhook(webhook(alert(status="firing")))

    assert (response.json["notifications"], response.json["suppressed"]) == (1, 0)
    item, ended = await relay.items("/history")
    assert (item["status"], item["ends_at"], item["starts_at"]) == ("firing", None, ended["ends_at"])
    received = await sink.wait_for(3)
    assert [request.json["status"] for request in received] == ["firing", "resolved", "firing"]


async def test_only_the_late_alert_of_a_group_is_suppressed(relay: Relay, sink: Sink) -> None:
    await relay.channel(name="Ops", channel_type="webhook", webhook_url=sink.url)
    await relay.webhook(webhook(alert(instance="a", status="resolved")))
    await relay.settled(1)

    await relay.webhook(webhook(alert(instance="a"), alert(instance="b")), sender="lagging-peer")

    received = await sink.wait_for(2)
    assert [alert["labels"]["instance"] for alert in received[1].json["alerts"]] == ["b"]


async def test_an_alert_that_fires_with_a_new_start_is_another_occurrence(relay: Relay) -> None:
    await relay.webhook(webhook(alert(status="resolved")))

    await relay.webhook(webhook(alert() | {"startsAt": "2026-11-23T18:00:00Z"}))

    assert [item["status"] for item in await relay.items("/history")] == ["firing", "resolved"]


async def test_unusual_text_and_times_are_stored(relay: Relay) -> None:
    unusual = alert(note="nul \x00 here") | {"startsAt": "2026-11-23T15:33:27.229046123+05:30"}
    ancient = alert("Ancient") | {"startsAt": "0001-01-01T00:00:00Z"}
    body = webhook(unusual, ancient)

    assert (await relay.webhook(body)).status == 202
    lone_surrogate = b'{"alerts": [{"status": "firing", "startsAt": "2026-11-23T15:33:27Z", '
    lone_surrogate += b'"labels": {"alertname": "a\\ud800b"}}]}'
    assert (await relay.webhook(lone_surrogate)).status == 202

    names = {item["alertname"]: item for item in await relay.items("/history")}
    assert names["HighErrorRate"]["labels"]["note"] == "nul \ufffd here"
    assert names["HighErrorRate"]["starts_at"] == "2026-11-23T10:03:27.229046Z"
    assert names["Ancient"]["starts_at"] == "0001-01-01T00:00:00.000001Z"
    assert "a\ufffdb" in names


async def test_ten_thousand_alerts_in_one_group_are_stored_and_delivered(relay: Relay, sink: Sink) -> None:
    await relay.channel(name="Ops", channel_type="webhook", webhook_url=sink.url)

    response = await relay.webhook(webhook(*(alert(instance=str(at)) for at in range(10_000))))

    assert (response.status, response.json["alerts"]) == (202, 10_000)
    [received] = await sink.wait_for(1)
    assert len(received.json["alerts"]) == 10_000


async def test_long_labels_and_annotations_are_shown_cut_with_a_mark(relay: Relay) -> None:
    long = "x" * 100_000
    body = webhook(alert(tenant_id=long, severity=long) | {"annotations": {"description": long}})
    body["groupKey"] = long

    assert (await relay.webhook(body)).status == 202

    [item] = await relay.items("/history")
    description, severity = item["annotations"]["description"], item["labels"]["severity"]
    assert (len(description), len(severity)) == (65_536, 4_096)
    assert description.endswith("x… [100000 characters]")
    assert severity.endswith("x… [100000 characters]")


async def test_alerts_that_differ_only_in_what_is_cut_are_different(relay: Relay) -> None:
    await relay.webhook(webhook(alert(id="x" * 5_000 + "1"), alert(id="x" * 5_000 + "2")))

    assert len(await relay.items("/history")) == 2


async def test_a_body_over_ten_mebibytes_is_rejected(relay: Relay) -> None:
    response = await relay.webhook(b"x" * (10 * 1024 * 1024 + 1))

    assert (response.status, response.json["status"]) == (413, 413)


async def test_an_invalid_body_is_rejected_with_the_field_and_not_stored(relay: Relay) -> None:
    for body, field in (
        (b"{", ""),
        (b"[]", ""),
        (b"{}", "alerts"),
        (b'{"alerts": []}', "alerts"),
        (b'{"alerts": [{"labels": {}}]}', "alerts[0].startsAt"),
    ):
        response = await relay.webhook(body)
        assert response.status == 400
        assert response.headers["Content-Type"] == "application/problem+json"
        assert [error["field"] for error in response.json.get("errors", [])] == ([field] if field else [])
    assert await relay.items("/history") == []


async def test_a_wrong_token_is_rejected(start_relay: RelayFactory) -> None:
    relay = await start_relay(webhook_token="the-token")

    for headers in ({}, {"Authorization": "Bearer wrong"}):
        response = await relay.call("POST", "/webhook", key=None, json=webhook(), headers=headers)
        assert (response.status, response.headers["WWW-Authenticate"]) == (401, "Bearer")
    right = await relay.call("POST", "/webhook", key="the-token", json=webhook())
    assert right.status == 202
