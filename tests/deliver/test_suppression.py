"""Tests of what silences and acknowledgements hold back, and of what is sent when they end."""

import asyncio
from typing import Any

from aiohttp import web

from relay.store.outbox import releases
from relay.store.postgres.database import driver_connection
from tests.fixtures.relays import Relay, RelayFactory, alert, webhook
from tests.fixtures.sink import Received, Sink
from tests.fixtures.suppressing import acknowledge, expire, silence, withdraw

QUIET = 2.5
"""Seconds in which nothing must arrive: more than two looks for suppressions that have ended."""


async def channel(relay: Relay, sink: Sink, name: str = "ops", **fields: Any) -> None:
    await relay.channel(id=name, name=name, channel_type="webhook", webhook_url=f"{sink.url}/{name}", **fields)


def names(received: Received) -> list[tuple[str, str]]:
    return sorted((one["alertname"], one["status"]) for one in received.json["alerts"])


async def fire(relay: Relay, *alertnames: str, group: str = "g", status: str = "firing") -> dict[str, Any]:
    response = await relay.webhook(webhook(*[alert(name, status=status) for name in alertnames], group=group))
    assert response.status == 202, response.body
    result: dict[str, Any] = response.json
    return result


async def test_a_silenced_alert_is_stored_and_sent_when_the_silence_ends(relay: Relay, sink: Sink) -> None:
    await channel(relay, sink)
    silence_id = await silence(relay, 'alertname="DiskFull"')

    result = await fire(relay, "DiskFull", "CpuHigh")

    assert (result["notifications"], result["suppressed"]) == (1, 1)
    [received] = await sink.wait_for(1)
    assert names(received) == [("CpuHigh", "firing")]
    [suppressed] = await relay.settled(1, state="suppressed")
    [disk] = await relay.items("/history?alertname=DiskFull")
    assert suppressed["suppressed_by"] == {f"silence:{silence_id}": [disk["id"]]}
    assert suppressed["config_version"] > 0

    await expire(relay, silence_id)

    _, released = await sink.wait_for(2)
    assert names(released) == [("DiskFull", "firing")]
    [one] = released.json["alerts"]
    assert one["was_suppressed"]["acknowledged"] is False
    [merged] = await relay.settled(1, state="merged")
    delivered = await relay.settled(2)
    assert merged["id"] == suppressed["id"]
    assert merged["merged_into"] in {one["id"] for one in delivered if one["kind"] == "release"}
    await asyncio.sleep(QUIET)
    assert len(sink.received) == 2


async def test_what_waits_when_a_silence_begins_is_suppressed(start_relay: RelayFactory, sink: Sink) -> None:
    relay = await start_relay()
    sink.script = lambda request: web.Response(status=503, text="later")
    await channel(relay, sink)
    await fire(relay, "DiskFull", "CpuHigh")
    await sink.wait_for(1)
    silence_id = await silence(relay, 'alertname="DiskFull"')
    sink.script = None
    seen = len(sink.received)

    await relay.settled(1)

    [received] = sink.received[seen:]
    assert names(received) == [("CpuHigh", "firing")]
    await relay.settled(1, state="suppressed")
    await expire(relay, silence_id)
    await relay.settled(2)
    assert names(sink.received[-1]) == [("DiskFull", "firing")]


async def test_the_end_of_an_alert_is_sent_to_whom_its_firing_was_sent(relay: Relay, sink: Sink) -> None:
    await channel(relay, sink)
    await fire(relay, "DiskFull")
    await sink.wait_for(1)
    silence_id = await silence(relay, 'alertname=~".+"')
    await fire(relay, "CpuHigh", group="other")

    await fire(relay, "DiskFull", status="resolved")
    await fire(relay, "CpuHigh", group="other", status="resolved")

    _, received = await sink.wait_for(2)
    assert names(received) == [("DiskFull", "resolved")]
    await relay.settled(2, state="suppressed")
    await expire(relay, silence_id)
    await asyncio.sleep(QUIET)
    assert len(sink.received) == 2


async def test_a_silence_may_hold_back_ends_too(relay: Relay, sink: Sink) -> None:
    await channel(relay, sink)
    await fire(relay, "DiskFull")
    await sink.wait_for(1)
    await silence(relay, 'alertname="DiskFull"', send_resolved=False)

    await fire(relay, "DiskFull", status="resolved")

    await relay.settled(1, state="suppressed")
    assert len(sink.received) == 1


def busy_once(seconds: int) -> Any:
    """A script that refuses the first request clearly, for so many seconds."""
    requests = iter([web.Response(status=429, headers={"Retry-After": str(seconds)})])
    return lambda request: next(requests, web.Response(text="ok"))


async def test_what_ends_after_its_release_and_before_it_is_sent_is_not_sent_at_all(
    relay: Relay, sink: Sink
) -> None:
    await channel(relay, sink)
    silence_id = await silence(relay, 'alertname="DiskFull"')
    await fire(relay, "DiskFull")
    sink.script = busy_once(3)
    await expire(relay, silence_id)
    await sink.wait_for(1)

    await fire(relay, "DiskFull", status="resolved")

    await relay.settled(1, state="suppressed")
    await asyncio.sleep(QUIET)
    assert len(sink.received) == 1


async def test_a_digest_neither_counts_nor_names_what_is_suppressed(start_relay: RelayFactory, sink: Sink) -> None:
    relay = await start_relay(digest_after=1)
    await channel(relay, sink, rate_limit={"per_second": 0.3, "burst": 1})
    await fire(relay, "First", group="first")
    await sink.wait_for(1)
    for at in range(8):
        await fire(relay, "DiskFull" if at % 2 else "CpuHigh", group=str(at))
    silence_id = await silence(relay, 'alertname="DiskFull"')

    _, digest = await sink.wait_for(2, max_wait=30)

    assert digest.json["kind"] == "digest"
    assert (digest.json["digest"]["groups"], digest.json["digest"]["firing"]) == (4, 1)
    assert {one["alertname"] for one in digest.json["alerts"]} == {"CpuHigh"}
    suppressed = await relay.settled(4, state="suppressed")
    assert {one["kind"] for one in suppressed} == {"group"}
    await expire(relay, silence_id)
    _, _, released = await sink.wait_for(3, max_wait=30)
    assert {one["alertname"] for one in released.json["alerts"]} == {"DiskFull"}
    assert len(sink.received) == 3


async def test_a_redelivery_sends_nothing_else_that_is_suppressed(relay: Relay, sink: Sink) -> None:
    await channel(relay, sink)
    sink.script = busy_once(3)
    await fire(relay, "DiskFull")
    await sink.wait_for(1)
    await fire(relay, "CpuHigh")
    [newest, _] = await relay.settled(2, state="pending")
    await relay.change("POST", f"/deliveries/{newest['id']}/redeliver")
    await silence(relay, 'alertname="DiskFull"')

    _, sent = await sink.wait_for(2)

    assert names(sent) == [("CpuHigh", "firing")]


async def test_all_that_is_suppressed_can_be_sent_in_bulk(relay: Relay, sink: Sink) -> None:
    await channel(relay, sink)
    await silence(relay, 'alertname=~".+"')
    for at in range(3):
        await fire(relay, "DiskFull", group=str(at))
    await relay.settled(3, state="suppressed")

    response = await relay.change("POST", "/deliveries/redeliver", json={"state": "suppressed"})

    assert response.json["redelivered"] == 3
    await sink.wait_for(3)
    await relay.settled(3)


async def test_what_is_released_needs_no_webhook(relay: Relay, sink: Sink) -> None:
    await channel(relay, sink)
    silence_id = await silence(relay, 'alertname="DiskFull"')
    await fire(relay, "DiskFull")
    async with relay.services.database.begin() as connection:
        await connection.exec_driver_sql("UPDATE receipts SET body = ''")

    await expire(relay, silence_id)

    [released] = await sink.wait_for(1)
    assert names(released) == [("DiskFull", "firing")]
    assert released.json["group_key"] == '{}:{group="g"}'


async def test_a_stale_alert_is_released_and_shown_as_stale(relay: Relay, sink: Sink) -> None:
    await channel(relay, sink)
    silence_id = await silence(relay, 'alertname="DiskFull"')
    await fire(relay, "DiskFull")
    async with relay.services.database.begin() as connection:
        await connection.exec_driver_sql("UPDATE alerts SET status = 'stale'")

    await expire(relay, silence_id)

    [released] = await sink.wait_for(1)
    [one] = released.json["alerts"]
    assert one["status"] == "firing"
    assert one["unreported_since"] is not None


async def test_a_fallback_is_suppressed_by_the_silences_of_either_channel(relay: Relay, sink: Sink) -> None:
    sink.script = lambda request: web.Response(status=400 if request.path == "/ops" else 200, text="no")
    await channel(relay, sink, "second", alert_names=["nothing"])
    await channel(relay, sink, "ops", fallback_channel_id="second")
    silence_id = await silence(relay, 'alertname="DiskFull"', channels=("second",))

    await fire(relay, "DiskFull")

    await relay.settled(1, state="dead")
    [suppressed] = await relay.settled(1, state="suppressed")
    assert suppressed["channel_id"] == "second"
    sink.script = None
    await expire(relay, silence_id)
    await sink.wait_for(2, "/ops")
    assert sink.at("/second") == []


async def test_a_suppressed_delivery_can_be_redelivered_at_once(relay: Relay, sink: Sink) -> None:
    await channel(relay, sink)
    silence_id = await silence(relay, 'alertname="DiskFull"')
    await fire(relay, "DiskFull")
    [suppressed] = await relay.settled(1, state="suppressed")

    await relay.change("POST", f"/deliveries/{suppressed['id']}/redeliver")

    [received] = await sink.wait_for(1)
    assert names(received) == [("DiskFull", "firing")]
    await expire(relay, silence_id)
    await fire(relay, "DiskFull", status="resolved")
    _, resolved = await sink.wait_for(2)
    assert names(resolved) == [("DiskFull", "resolved")]
    await asyncio.sleep(QUIET)
    assert len(sink.received) == 2


async def test_an_acknowledged_alert_is_not_repeated_until_it_is_withdrawn(
    start_relay: RelayFactory, sink: Sink
) -> None:
    relay = await start_relay(repeat_after=0.1)
    await channel(relay, sink)
    await fire(relay, "DiskFull")
    await sink.wait_for(1)
    [disk] = await relay.items("/history")
    await acknowledge(relay, disk["id"])
    await asyncio.sleep(0.2)

    await fire(relay, "DiskFull")

    [suppressed] = await relay.settled(1, state="suppressed")
    assert suppressed["suppressed_by"] == {f"acknowledged:{disk['id']}": [disk["id"]]}
    await withdraw(relay, disk["id"])
    _, released = await sink.wait_for(2)
    assert released.json["alerts"][0]["was_suppressed"]["acknowledged"] is True


async def test_an_acknowledgement_ends_with_its_alert(relay: Relay, sink: Sink) -> None:
    await channel(relay, sink)
    await fire(relay, "DiskFull")
    await sink.wait_for(1)
    [disk] = await relay.items("/history")
    await acknowledge(relay, disk["id"])
    await fire(relay, "DiskFull", status="resolved")
    await sink.wait_for(2)

    async with relay.services.database.begin() as connection:
        await releases.close_acknowledgements(await driver_connection(connection))

    detail = (await relay.call("GET", f"/history/{disk['id']}")).json
    [one] = detail["acknowledgements"]
    assert one["ended_at"] is not None
    assert one["ended_by"] is None


async def test_a_deleted_channel_ends_its_suppressed_deliveries(relay: Relay, sink: Sink) -> None:
    await channel(relay, sink)
    silence_id = await silence(relay, 'alertname="DiskFull"')
    await fire(relay, "DiskFull")
    await relay.change("DELETE", "/channels/ops")
    await channel(relay, sink)

    await expire(relay, silence_id)

    await asyncio.sleep(QUIET)
    assert sink.received == []
    await relay.settled(1, state="suppressed")
