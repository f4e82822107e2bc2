"""What Alertmanager can rely on when it posts a webhook."""

import asyncio

from tests.fixtures.relays import Relay, RelayFactory, alert, sample, webhook
from tests.fixtures.sink import Sink


async def test_a_webhook_is_answered_after_it_is_stored_and_is_delivered(relay: Relay, sink: Sink) -> None:
    await relay.channel(name="Ops", channel_type="webhook", webhook_url=sink.url)

    answer = await relay.webhook(sample("firing-two"))

    assert answer.status == 202
    assert answer.json == {"alerts": 2, "notifications": 1, "suppressed": 0, "duplicate": False}
    assert [item["status"] for item in await relay.items("/history")] == ["firing", "firing"]
    [received] = await sink.wait_for(1)
    assert [one["labels"]["instance"] for one in received.json["alerts"]] == ["api-1:8000", "api-2:8000"]


async def test_the_same_group_from_the_other_peer_is_a_duplicate(relay: Relay, sink: Sink) -> None:
    await relay.channel(name="Ops", channel_type="webhook", webhook_url=sink.url)
    first, second = webhook(), webhook() | {"externalURL": "http://the-other-peer"}

    await relay.webhook(first)
    answer = await relay.webhook(second)

    assert answer.json == {"alerts": 1, "notifications": 0, "suppressed": 0, "duplicate": True}
    await relay.settled(1)
    assert len(sink.received) == 1


async def test_the_same_group_at_the_same_time_through_two_processes_is_told_once(
    start_relay: RelayFactory, sink: Sink
) -> None:
    one, other = await start_relay(), await start_relay()
    await one.channel(name="Ops", channel_type="webhook", webhook_url=sink.url)

    groups = [webhook(group=str(at)) for at in range(20)]
    answers = await asyncio.gather(*(relay.webhook(group) for group in groups for relay in (one, other)))

    assert sorted(answer.json["duplicate"] for answer in answers) == [False] * 20 + [True] * 20
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


async def test_a_resolved_alert_never_reopens_by_a_late_firing(relay: Relay, sink: Sink) -> None:
    await relay.channel(name="Ops", channel_type="webhook", webhook_url=sink.url)
    await relay.webhook(webhook(alert(status="resolved")))

    answer = await relay.webhook(webhook(alert(status="firing")))

    assert answer.json == {"alerts": 1, "notifications": 0, "suppressed": 1, "duplicate": False}
    [item] = await relay.items("/history")
    assert (item["status"], item["ends_at"]) == ("resolved", "2026-11-23T15:40:00Z")
    await relay.settled(1)
    assert [one.json["status"] for one in sink.received] == ["resolved"]


async def test_an_alert_that_fires_again_with_the_same_start_is_told_again(
    start_relay: RelayFactory, sink: Sink
) -> None:
    relay = await start_relay(repeat_after=0.3)
    await relay.channel(name="Ops", channel_type="webhook", webhook_url=sink.url)
    for count, status in enumerate(("firing", "resolved"), start=1):
        await relay.webhook(webhook(alert(status=status)))
        await sink.wait_for(count)
    await asyncio.sleep(0.4)

    # Prometheus was cut off from Alertmanager, which took the alert for resolved; startsAt stays what it was.
    answer = await relay.webhook(webhook(alert(status="firing")))

    assert (answer.json["notifications"], answer.json["suppressed"]) == (1, 0)
    [item] = await relay.items("/history")
    assert (item["status"], item["ends_at"]) == ("firing", None)
    received = await sink.wait_for(3)
    assert [one.json["status"] for one in received] == ["firing", "resolved", "firing"]


async def test_only_the_late_alert_of_a_group_is_left_out(relay: Relay, sink: Sink) -> None:
    await relay.channel(name="Ops", channel_type="webhook", webhook_url=sink.url)
    await relay.webhook(webhook(alert(instance="a", status="resolved")))
    await relay.settled(1)

    await relay.webhook(webhook(alert(instance="a"), alert(instance="b")))

    received = await sink.wait_for(2)
    assert [one["labels"]["instance"] for one in received[1].json["alerts"]] == ["b"]


async def test_an_alert_that_fires_anew_is_another_occurrence(relay: Relay) -> None:
    await relay.webhook(webhook(alert(status="resolved")))

    await relay.webhook(webhook(alert() | {"startsAt": "2026-11-23T18:00:00Z"}))

    assert [item["status"] for item in await relay.items("/history")] == ["firing", "resolved"]


async def test_odd_text_and_times_are_stored(relay: Relay) -> None:
    odd = alert(note="nul \x00 here") | {"startsAt": "2026-11-23T15:33:27.229046123+05:30"}
    ancient = alert("Ancient") | {"startsAt": "0001-01-01T00:00:00Z"}
    body = webhook(odd, ancient)

    assert (await relay.webhook(body)).status == 202
    lone = b'{"alerts": [{"status": "firing", "startsAt": "2026-11-23T15:33:27Z", '
    lone += b'"labels": {"alertname": "a\\ud800b"}}]}'
    assert (await relay.webhook(lone)).status == 202

    names = {item["alertname"]: item for item in await relay.items("/history")}
    assert names["HighErrorRate"]["labels"]["note"] == "nul \ufffd here"
    assert names["HighErrorRate"]["starts_at"] == "2026-11-23T10:03:27.229046Z"
    assert names["Ancient"]["starts_at"] == "0001-01-01T00:00:00.000001Z"
    assert "a\ufffdb" in names


async def test_ten_thousand_alerts_in_one_group_are_stored_and_delivered(relay: Relay, sink: Sink) -> None:
    await relay.channel(name="Ops", channel_type="webhook", webhook_url=sink.url)

    answer = await relay.webhook(webhook(*(alert(instance=str(at)) for at in range(10_000))))

    assert (answer.status, answer.json["alerts"]) == (202, 10_000)
    [received] = await sink.wait_for(1)
    assert len(received.json["alerts"]) == 10_000


async def test_long_text_is_stored_whole(relay: Relay) -> None:
    long = "x" * 65_536
    body = webhook(alert(tenant_id=long, severity=long) | {"annotations": {"description": long}})
    body["groupKey"] = long

    assert (await relay.webhook(body)).status == 202

    [item] = await relay.items("/history")
    assert (item["annotations"]["description"], item["labels"]["tenant_id"]) == (long, long)


async def test_a_body_over_ten_mebibytes_is_refused(relay: Relay) -> None:
    answer = await relay.webhook(b"x" * (10 * 1024 * 1024 + 1))

    assert (answer.status, answer.json["status"]) == (413, 413)


async def test_a_body_that_is_no_webhook_is_refused_by_the_field_and_stores_nothing(relay: Relay) -> None:
    for body, field in (
        (b"{", ""),
        (b"[]", ""),
        (b"{}", "alerts"),
        (b'{"alerts": []}', "alerts"),
        (b'{"alerts": [{"labels": {}}]}', "alerts[0].status"),
    ):
        answer = await relay.webhook(body)
        assert answer.status == 400
        assert answer.headers["Content-Type"] == "application/problem+json"
        assert [error["field"] for error in answer.json.get("errors", [])] == ([field] if field else [])
    assert await relay.items("/history") == []


async def test_a_wrong_token_is_refused(start_relay: RelayFactory) -> None:
    relay = await start_relay(webhook_token="the-token")

    for headers in ({}, {"Authorization": "Bearer wrong"}):
        answer = await relay.call("POST", "/webhook", key=None, json=webhook(), headers=headers)
        assert (answer.status, answer.headers["WWW-Authenticate"]) == (401, "Bearer")
    right = await relay.call("POST", "/webhook", key="the-token", json=webhook())
    assert right.status == 202
