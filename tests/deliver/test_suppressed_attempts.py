"""Tests of suppression between the attempts of a delivery, and of what its attempts may have sent."""

from typing import Any

from aiohttp import web

from tests.fixtures.relays import Relay, RelayFactory, alert, webhook
from tests.fixtures.sink import Received, Sink
from tests.fixtures.suppressing import acknowledge, expire, silence, withdraw


async def channel(relay: Relay, sink: Sink, name: str = "ops", **fields: Any) -> None:
    await relay.channel(id=name, name=name, channel_type="webhook", webhook_url=f"{sink.url}/{name}", **fields)


async def report(relay: Relay, **statuses: str) -> None:
    response = await relay.webhook(webhook(*[alert(name, status=status) for name, status in statuses.items()]))
    assert response.status == 202, response.body


def names(received: Received) -> list[tuple[str, str]]:
    return sorted((one["alertname"], one["status"]) for one in received.json["alerts"])


async def test_a_firing_that_may_have_arrived_before_it_was_silenced_gets_its_resolve(
    start_relay: RelayFactory, sink: Sink
) -> None:
    relay = await start_relay()
    sink.script = lambda request: web.Response(status=500, text="perhaps")
    await channel(relay, sink)
    await report(relay, DiskFull="firing")
    await sink.wait_for(1)
    await silence(relay, 'alertname="DiskFull"')
    await relay.settled(1, state="suppressed")
    sink.script = None

    await report(relay, DiskFull="resolved")

    await relay.settled(1)
    assert names(sink.received[-1]) == [("DiskFull", "resolved")]


async def test_a_firing_that_was_held_back_of_a_later_attempt_gets_its_resolve(
    start_relay: RelayFactory, sink: Sink
) -> None:
    relay = await start_relay()
    sink.script = lambda request: web.Response(status=500, text="perhaps")
    await channel(relay, sink)
    await report(relay, DiskFull="firing", CpuHigh="firing")
    await sink.wait_for(1)
    await silence(relay, 'alertname="DiskFull"')
    await relay.settled(1, state="suppressed")
    sink.script = None
    await relay.settled(1)

    await report(relay, DiskFull="resolved", CpuHigh="firing")

    await relay.settled(2)
    assert names(sink.received[-1]) == [("CpuHigh", "firing"), ("DiskFull", "resolved")]


async def test_a_firing_that_was_refused_before_it_was_silenced_gets_no_resolve(
    start_relay: RelayFactory, sink: Sink
) -> None:
    relay = await start_relay()
    sink.script = lambda request: web.Response(status=429, text="no", headers={"Retry-After": "1"})
    await channel(relay, sink)
    await report(relay, DiskFull="firing", CpuHigh="firing")
    await sink.wait_for(1)
    await silence(relay, 'alertname="DiskFull"')
    await relay.settled(1, state="suppressed")
    sink.script = None
    await relay.settled(1)

    await report(relay, DiskFull="resolved", CpuHigh="firing")

    await relay.settled(2)
    assert names(sink.received[-1]) == [("CpuHigh", "firing")]


async def test_what_is_held_back_of_a_fallback_is_sent_without_the_rest(
    start_relay: RelayFactory, sink: Sink
) -> None:
    relay = await start_relay()
    sink.script = lambda request: web.Response(status=400 if request.path == "/ops" else 503, text="no")
    await channel(relay, sink, "second", alert_names=["nothing"])
    await channel(relay, sink, fallback_channel_id="second")
    silence_id = await silence(relay, 'alertname="DiskFull"', channels=("second",))
    await report(relay, DiskFull="firing", CpuHigh="firing")
    await relay.settled(1, state="suppressed")
    await sink.wait_for(1, "/second")
    seen = len(sink.at("/ops"))

    await expire(relay, silence_id)

    released = (await sink.wait_for(seen + 1, "/ops"))[seen]
    assert names(released) == [("DiskFull", "firing")]


async def test_what_was_held_back_of_a_fallback_is_redelivered_without_the_rest(relay: Relay, sink: Sink) -> None:
    sink.script = lambda request: web.Response(status=400 if request.path == "/ops" else 200, text="no")
    await channel(relay, sink, "second", alert_names=["nothing"])
    await channel(relay, sink, fallback_channel_id="second")
    await silence(relay, 'alertname="DiskFull"', channels=("second",))
    await report(relay, DiskFull="firing", CpuHigh="firing")
    [suppressed] = await relay.settled(1, state="suppressed")
    await sink.wait_for(1, "/second")

    await relay.change("POST", f"/deliveries/{suppressed['id']}/redeliver")

    _, redelivered = await sink.wait_for(2, "/second")
    assert names(redelivered) == [("DiskFull", "firing")]
    assert redelivered.json["fallback_for"]["channel_id"] == "ops"


async def test_a_released_alert_that_a_channel_refuses_is_marked_in_its_fallback_too(
    relay: Relay, sink: Sink
) -> None:
    sink.script = lambda request: web.Response(status=400 if request.path == "/ops" else 200, text="no")
    await channel(relay, sink, "second", alert_names=["nothing"])
    await channel(relay, sink, fallback_channel_id="second")
    await report(relay, DiskFull="firing")
    await sink.wait_for(1, "/second")
    [disk] = await relay.items("/history")
    await acknowledge(relay, disk["id"])
    await report(relay, DiskFull="firing", CpuHigh="firing")
    await relay.settled(1, state="suppressed")

    await withdraw(relay, disk["id"])

    await relay.settled(1, state="merged")
    released = (await sink.wait_for(3, "/second"))[-1]
    [one] = released.json["alerts"]
    assert one["was_suppressed"]["acknowledged"] is True
