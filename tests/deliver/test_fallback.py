"""Who is told what a channel can't be told, and does it say so?"""

from typing import Any

from aiohttp import web

from relay.deliver import maintenance
from tests.fixtures.relays import Relay, RelayFactory, alert, webhook
from tests.fixtures.sink import Sink


def refuse(*paths: str, status: int = 400) -> Any:
    """A platform that refuses what comes to some paths."""
    return lambda request: web.Response(status=status if request.path in paths else 200, text="so it is")


async def channels(relay: Relay, sink: Sink, *names: str) -> None:
    """Channels of which only the first wants alerts; each has the next for its fallback."""
    for name, fallback in reversed(list(zip(names, [*names[1:], None], strict=True))):
        wants = {} if name == names[0] else {"alert_names": ["nothing"]}
        await relay.channel(
            id=name,
            name=name,
            channel_type="webhook",
            webhook_url=f"{sink.url}/{name}",
            fallback_channel_id=fallback,
            **wants,
        )


async def test_a_dead_delivery_goes_to_its_fallback_which_says_so(relay: Relay, sink: Sink) -> None:
    sink.script = refuse("/first")
    await channels(relay, sink, "first", "second")

    await relay.webhook(webhook(alert("DiskFull")))

    [told] = await sink.wait_for(1, "/second")
    assert told.json["fallback_for"] == {"channel_id": "first", "reason": "400 so it is"}
    assert [one["alertname"] for one in told.json["alerts"]] == ["DiskFull"]
    [dead] = await relay.settled(1, state="dead")
    [sent] = await relay.settled(1)
    assert (sent["channel_id"], sent["fallback_of"], dead["channel_id"]) == ("second", dead["id"], "first")


async def test_a_dead_delivery_that_is_sent_again_arrives_and_keeps_its_history(relay: Relay, sink: Sink) -> None:
    sink.script = refuse("/first")
    await channels(relay, sink, "first", "second")
    await relay.webhook(webhook(alert("DiskFull")))
    [dead] = await relay.settled(1, state="dead")
    sink.script = None

    answer = await relay.call("POST", f"/deliveries/{dead['id']}/redeliver")

    assert answer.status == 202
    await relay.settled(2)
    shown = (await relay.call("GET", f"/deliveries/{dead['id']}")).json
    assert (shown["state"], shown["attempt_count"]) == ("delivered", 2)
    attempts = [(one["number"], one["outcome"], one["status_code"]) for one in shown["attempts"]]
    assert attempts == [(1, "rejected", 400), (2, "sent", 200)]
    assert [one["alertname"] for one in sink.at("/first")[-1].json["alerts"]] == ["DiskFull"]


async def test_fallbacks_go_on_along_the_chain_and_name_the_first(relay: Relay, sink: Sink) -> None:
    sink.script = refuse("/first", "/second")
    await channels(relay, sink, "first", "second", "third")

    await relay.webhook(webhook())

    [told] = await sink.wait_for(1, "/third")
    assert told.json["fallback_for"]["channel_id"] == "first"


async def test_what_is_sent_again_tells_its_alerts_as_they_are_by_now(relay: Relay, sink: Sink) -> None:
    sink.script = refuse("/first")
    await channels(relay, sink, "first")
    await relay.webhook(webhook(alert("DiskFull")))
    [dead] = await relay.settled(1, state="dead")
    await relay.webhook(webhook(alert("DiskFull", status="resolved")))
    await relay.settled(2, state="dead")
    sink.script = None

    await relay.call("POST", f"/deliveries/{dead['id']}/redeliver")

    await relay.settled(1)
    [told] = sink.received[-1].json["alerts"]
    assert (told["status"], told["untold_firing"]) == ("resolved", True)


async def test_what_waits_behind_an_open_breaker_goes_to_the_fallback_after_a_while(
    start_relay: RelayFactory, sink: Sink
) -> None:
    relay = await start_relay(fallback_after=0.5)
    sink.script = refuse("/first", status=503)
    await channels(relay, sink, "first", "second")

    for at in range(8):
        await relay.webhook(webhook(alert("DiskFull", instance=str(at)), group=str(at)))

    received = await sink.wait_for(8, "/second", max_wait=maintenance.INTERVAL * 6)
    assert {one.json["alerts"][0]["labels"]["instance"] for one in received} == {str(at) for at in range(8)}
    assert all("circuit breaker is open since" in one.json["fallback_for"]["reason"] for one in received)
    merged = await relay.settled(8, state="merged")
    assert {one["last_reason"] for one in merged} == {"circuitOpen"}
    into = [(await relay.call("GET", f"/deliveries/{one['merged_into']}")).json for one in merged]
    assert {(one["channel_id"], one["fallback_of"]) for one in into} == {("second", one["id"]) for one in merged}


async def test_a_destination_that_is_gone_disables_its_channel_and_what_waits_goes_to_the_fallback(
    start_relay: RelayFactory, sink: Sink
) -> None:
    relay = await start_relay(fallback_after=0.5)
    sink.script = refuse("/first", status=410)
    await channels(relay, sink, "first", "second")

    await relay.webhook(webhook(alert("DiskFull")))

    [told] = await sink.wait_for(1, "/second", max_wait=maintenance.INTERVAL * 6)
    assert told.json["fallback_for"] == {
        "channel_id": "first",
        "reason": "the destination is gone: 410 so it is",
    }
    first = (await relay.call("GET", "/channels/first")).json
    assert (first["enabled"], first["disabled_reason"]) == (False, "the destination is gone: 410 so it is")
    assert len(sink.at("/first")) == 1

    # It is told of what comes later, too, as long as nobody has decided otherwise.
    await relay.webhook(webhook(alert("DiskFuller"), group="later"))
    await sink.wait_for(2, "/second", max_wait=maintenance.INTERVAL * 6)
    await relay.call("PATCH", "/channels/first", json={"enabled": False})
    assert (await relay.call("GET", "/channels/first")).json["disabled_reason"] is None
    assert (await relay.webhook(webhook(group="not any more"))).json["notifications"] == 0


async def test_what_is_tried_for_too_long_is_dead_and_goes_to_the_fallback(
    start_relay: RelayFactory, sink: Sink
) -> None:
    relay = await start_relay(give_up_after=1.0)
    sink.script = refuse("/first", status=500)
    await channels(relay, sink, "first", "second")

    await relay.webhook(webhook())

    [told] = await sink.wait_for(1, "/second")
    assert told.json["fallback_for"]["reason"].endswith("; last error: 500 so it is")
    [dead] = await relay.settled(1, state="dead")
    assert dead["last_reason"] == "expired"


async def test_what_came_and_went_before_it_could_be_told_is_given_up_sooner(
    start_relay: RelayFactory, sink: Sink
) -> None:
    relay = await start_relay(give_up_resolved_after=0.5)
    sink.script = refuse("/ops", status=500)
    await relay.channel(name="Ops", channel_type="webhook", webhook_url=f"{sink.url}/ops")
    await relay.webhook(webhook(alert("Fires"), group="fires"))
    await relay.webhook(webhook(alert("Was"), group="was"))
    await sink.wait_for(2)
    await relay.webhook(webhook(alert("Was", status="resolved"), group="was"))

    [dead] = await relay.settled(1, state="dead", max_wait=30)
    assert (dead["group_key"], dead["last_reason"]) == ('{}:{group="was"}', "expired")
    assert [one["group_key"] for one in await relay.items("/deliveries?state=pending")] == ['{}:{group="fires"}']


async def test_what_waits_at_a_fallback_that_is_deleted_goes_back_to_where_it_was_meant_for(
    start_relay: RelayFactory, sink: Sink
) -> None:
    relay = await start_relay(fallback_after=0.5)
    sink.script = refuse("/first", "/second", status=503)
    await channels(relay, sink, "first", "second")
    for at in range(6):
        await relay.webhook(webhook(alert("DiskFull", instance=str(at)), group=str(at)))
    await relay.settled(6, state="merged", max_wait=maintenance.INTERVAL * 6)

    await relay.call("PATCH", "/channels/first", json={"fallback_channel_id": None})
    assert (await relay.call("DELETE", "/channels/second")).status == 204

    sink.script = None
    delivered = await relay.settled(6, max_wait=60)
    assert {(one["channel_id"], one["merged_into"]) for one in delivered} == {("first", None)}


async def test_a_digest_says_that_it_tells_what_was_meant_for_another(
    start_relay: RelayFactory, sink: Sink
) -> None:
    relay = await start_relay(fallback_after=0.5)
    sink.script = refuse("/first", status=503)
    await channels(relay, sink, "first", "second")
    await relay.call("PATCH", "/channels/second", json={"rate_limit": {"per_second": 0.1, "burst": 1}})

    for at in range(20):
        await relay.webhook(webhook(alert("DiskFull", instance=str(at)), group=str(at)))

    [told] = (await sink.wait_for(1, "/second", max_wait=maintenance.INTERVAL * 6))[:1]
    assert told.json["kind"] == "digest"
    assert told.json["fallback_for"]["channel_id"] == "first"
