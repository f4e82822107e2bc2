"""Tests of fallback channels, which get what another channel cannot deliver."""

from typing import Any

from aiohttp import web

from relay.deliver import maintenance
from tests.fixtures.relays import Relay, RelayFactory, alert, webhook
from tests.fixtures.sink import Sink


def failing(*paths: str, status: int = 400) -> Any:
    """A script that responds with an error on some paths."""
    return lambda request: web.Response(status=status if request.path in paths else 200, text="failed")


async def channels(relay: Relay, sink: Sink, *names: str) -> None:
    """Create channels; only the first matches alerts, and each has the next as its fallback."""
    for name, fallback in reversed(list(zip(names, [*names[1:], None], strict=True))):
        filters = {} if name == names[0] else {"alert_names": ["nothing"]}
        await relay.channel(
            id=name,
            name=name,
            channel_type="webhook",
            webhook_url=f"{sink.url}/{name}",
            fallback_channel_id=fallback,
            **filters,
        )


async def test_a_dead_delivery_goes_to_the_fallback_with_the_reason(relay: Relay, sink: Sink) -> None:
    sink.script = failing("/first")
    await channels(relay, sink, "first", "second")

    await relay.webhook(webhook(alert("DiskFull")))

    [received] = await sink.wait_for(1, "/second")
    assert received.json["fallback_for"] == {"channel_id": "first", "reason": "400 failed"}
    assert [alert["alertname"] for alert in received.json["alerts"]] == ["DiskFull"]
    [dead] = await relay.settled(1, state="dead")
    [sent] = await relay.settled(1)
    assert (sent["channel_id"], sent["fallback_of"], dead["channel_id"]) == ("second", dead["id"], "first")


async def test_a_redelivered_dead_delivery_is_delivered_and_keeps_its_attempts(relay: Relay, sink: Sink) -> None:
    sink.script = failing("/first")
    await channels(relay, sink, "first", "second")
    await relay.webhook(webhook(alert("DiskFull")))
    [dead] = await relay.settled(1, state="dead")
    sink.script = None

    response = await relay.call("POST", f"/deliveries/{dead['id']}/redeliver")

    assert response.status == 202
    await relay.settled(2)
    delivery = (await relay.call("GET", f"/deliveries/{dead['id']}")).json
    assert (delivery["state"], delivery["attempt_count"]) == ("delivered", 2)
    attempts = [
        (attempt["number"], attempt["outcome"], attempt["status_code"]) for attempt in delivery["attempts"]
    ]
    assert attempts == [(1, "rejected", 400), (2, "sent", 200)]
    assert [alert["alertname"] for alert in sink.at("/first")[-1].json["alerts"]] == ["DiskFull"]


async def test_fallbacks_are_chained_and_name_the_first_channel(relay: Relay, sink: Sink) -> None:
    sink.script = failing("/first", "/second")
    await channels(relay, sink, "first", "second", "third")

    await relay.webhook(webhook())

    [received] = await sink.wait_for(1, "/third")
    assert received.json["fallback_for"]["channel_id"] == "first"


async def test_a_redelivery_shows_the_current_state_of_its_alerts(relay: Relay, sink: Sink) -> None:
    sink.script = failing("/first")
    await channels(relay, sink, "first")
    await relay.webhook(webhook(alert("DiskFull")))
    [dead] = await relay.settled(1, state="dead")
    await relay.webhook(webhook(alert("DiskFull", status="resolved")))
    await relay.settled(2, state="dead")
    sink.script = None

    await relay.call("POST", f"/deliveries/{dead['id']}/redeliver")

    await relay.settled(1)
    [alert_body] = sink.received[-1].json["alerts"]
    assert (alert_body["status"], alert_body["untold_firing"]) == ("resolved", True)


async def test_deliveries_behind_an_open_breaker_go_to_the_fallback_after_a_delay(
    start_relay: RelayFactory, sink: Sink
) -> None:
    relay = await start_relay(fallback_after=0.5)
    sink.script = failing("/first", status=503)
    await channels(relay, sink, "first", "second")

    for at in range(8):
        await relay.webhook(webhook(alert("DiskFull", instance=str(at)), group=str(at)))

    received = await sink.wait_for(8, "/second", max_wait=maintenance.INTERVAL * 6)
    assert {request.json["alerts"][0]["labels"]["instance"] for request in received} == {
        str(at) for at in range(8)
    }
    assert all(
        "circuit breaker has been open since" in request.json["fallback_for"]["reason"] for request in received
    )
    merged = await relay.settled(8, state="merged")
    assert {delivery["last_reason"] for delivery in merged} == {"circuitOpen"}
    into = [(await relay.call("GET", f"/deliveries/{delivery['merged_into']}")).json for delivery in merged]
    assert {(one["channel_id"], one["fallback_of"]) for one in into} == {
        ("second", delivery["id"]) for delivery in merged
    }


async def test_a_gone_destination_disables_its_channel_and_its_deliveries_go_to_the_fallback(
    start_relay: RelayFactory, sink: Sink
) -> None:
    relay = await start_relay(fallback_after=3600)
    sink.script = failing("/first", status=410)
    await channels(relay, sink, "first", "second")

    await relay.webhook(webhook(alert("DiskFull")))

    [received] = await sink.wait_for(1, "/second", max_wait=maintenance.INTERVAL * 6)
    assert received.json["fallback_for"] == {
        "channel_id": "first",
        "reason": "the destination is gone: 410 failed",
    }
    first = (await relay.call("GET", "/channels/first")).json
    assert (first["enabled"], first["disabled_reason"]) == (False, "the destination is gone: 410 failed")
    assert len(sink.at("/first")) == 1

    # Later alerts go there, too, until a user disables the channel.
    await relay.webhook(webhook(alert("DiskFuller"), group="later"))
    await sink.wait_for(2, "/second", max_wait=maintenance.INTERVAL * 6)
    await relay.call("PATCH", "/channels/first", json={"enabled": False})
    assert (await relay.call("GET", "/channels/first")).json["disabled_reason"] is None
    assert (await relay.webhook(webhook(group="last"))).json["notifications"] == 0


async def test_an_expired_delivery_is_dead_and_goes_to_the_fallback(start_relay: RelayFactory, sink: Sink) -> None:
    relay = await start_relay(give_up_after=1.0)
    sink.script = failing("/first", status=500)
    await channels(relay, sink, "first", "second")

    await relay.webhook(webhook())

    [received] = await sink.wait_for(1, "/second")
    assert received.json["fallback_for"]["reason"].endswith("; last error: 500 failed")
    [dead] = await relay.settled(1, state="dead")
    assert dead["last_reason"] == "expired"


async def test_a_delivery_resolved_before_its_firing_was_sent_expires_sooner(
    start_relay: RelayFactory, sink: Sink
) -> None:
    relay = await start_relay(give_up_resolved_after=0.5)
    sink.script = failing("/ops", status=500)
    await relay.channel(name="Ops", channel_type="webhook", webhook_url=f"{sink.url}/ops")
    await relay.webhook(webhook(alert("Fires"), group="fires"))
    await relay.webhook(webhook(alert("Was"), group="was"))
    await sink.wait_for(2)
    await relay.webhook(webhook(alert("Was", status="resolved"), group="was"))

    [dead] = await relay.settled(1, state="dead", max_wait=30)
    assert (dead["group_key"], dead["last_reason"]) == ('{}:{group="was"}', "expired")
    assert [delivery["group_key"] for delivery in await relay.items("/deliveries?state=pending")] == [
        '{}:{group="fires"}'
    ]


async def test_deliveries_of_a_deleted_fallback_return_to_their_original_channel(
    start_relay: RelayFactory, sink: Sink
) -> None:
    relay = await start_relay(fallback_after=0.5)
    sink.script = failing("/first", "/second", status=503)
    await channels(relay, sink, "first", "second")
    for at in range(6):
        await relay.webhook(webhook(alert("DiskFull", instance=str(at)), group=str(at)))
    await relay.settled(6, state="merged", max_wait=maintenance.INTERVAL * 6)

    await relay.call("PATCH", "/channels/first", json={"fallback_channel_id": None})
    assert (await relay.call("DELETE", "/channels/second")).status == 204

    sink.script = None
    delivered = await relay.settled(6, max_wait=60)
    assert {(delivery["channel_id"], delivery["merged_into"]) for delivery in delivered} == {("first", None)}


async def test_a_digest_at_a_fallback_names_the_original_channel(start_relay: RelayFactory, sink: Sink) -> None:
    relay = await start_relay(fallback_after=0.5)
    sink.script = failing("/first", status=503)
    await channels(relay, sink, "first", "second")
    await relay.call("PATCH", "/channels/second", json={"rate_limit": {"per_second": 0.1, "burst": 1}})

    for at in range(20):
        await relay.webhook(webhook(alert("DiskFull", instance=str(at)), group=str(at)))

    [received, *_] = (await sink.wait_for(1, "/second", max_wait=maintenance.INTERVAL * 6))[:1]
    assert received.json["kind"] == "digest"
    assert received.json["fallback_for"]["channel_id"] == "first"
