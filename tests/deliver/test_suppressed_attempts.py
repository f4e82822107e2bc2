"""Tests of suppression between the attempts of a delivery, and of what its attempts may have sent."""

from typing import Any

from aiohttp import web

from tests.fixtures.relays import Relay, RelayFactory, alert, webhook
from tests.fixtures.sink import Received, Sink
from tests.fixtures.suppressing import silence


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
