"""Histories that users of other bridges reported as failures, played into a relay."""

import asyncio
from typing import Any

from aiohttp import web

from tests.fixtures.editing import EditingPlatforms, editing_channel
from tests.fixtures.relays import Relay, RelayFactory, alert, webhook
from tests.fixtures.sink import Response, Sink


def at(start: str, body: dict[str, Any], end: str = "0001-01-01T00:00:00Z") -> dict[str, Any]:
    return body | {"startsAt": f"2026-11-23T{start}Z", "endsAt": end}


def firing(start: str = "10:00:00", **labels: str) -> dict[str, Any]:
    return at(start, alert("A", **labels))


def resolved(start: str = "10:00:00", end: str = "10:10:00", **labels: str) -> dict[str, Any]:
    return at(start, alert("A", "resolved", **labels), f"2026-11-23T{end}Z")


PAGERDUTY = {"name": "Pager", "channel_type": "pagerduty", "routing_key": "0" * 32}


async def test_grafanas_resolve_during_an_outage_leaves_nothing_firing(relay: Relay, sink: Sink) -> None:
    platforms, outage = EditingPlatforms(), asyncio.Event()
    outage.set()

    async def respond(request: web.Request) -> Response:
        return web.Response(status=503) if outage.is_set() else await platforms(request)

    sink.script = respond
    await relay.channel(**editing_channel("slack", sink.url))

    await relay.webhook(webhook(firing("10:00:00")))
    await sink.wait_for(1)
    await relay.webhook(webhook(resolved("10:10:00", "10:10:00")))
    outage.clear()

    await relay.settled(1)
    [message] = platforms.platforms["slack"].messages
    assert (message.text.count("🔥 "), message.text.count("✅ ")) == (0, 1)
    [item] = await relay.items("/history")
    assert (item["status"], item["starts_at"]) == ("resolved", "2026-11-23T10:00:00Z")


async def test_two_replicas_of_prometheus_make_one_alert(relay: Relay) -> None:
    await relay.webhook(webhook(firing("10:00:04")))
    await relay.webhook(webhook(firing("10:00:01"), firing(instance="b")))

    items = await relay.items("/history?alertname=A")
    assert [item["starts_at"] for item in items] == ["2026-11-23T10:00:00Z", "2026-11-23T10:00:01Z"]


async def test_an_alert_that_fires_again_within_the_window_is_sent(relay: Relay, sink: Sink) -> None:
    await relay.channel(name="Ops", channel_type="webhook", webhook_url=sink.url)

    for count, body in enumerate((firing(), resolved(), firing()), start=1):
        assert (await relay.webhook(webhook(body))).json["duplicate"] is False
        await sink.wait_for(count)

    assert [one.json["status"] for one in sink.received] == ["firing", "resolved", "firing"]


async def test_one_group_key_of_two_sources_is_two_messages(relay: Relay, sink: Sink) -> None:
    sink.script = platforms = EditingPlatforms()
    await relay.channel(**editing_channel("slack", sink.url))

    await relay.webhook(webhook(firing(cluster="eu")), source="eu")
    await relay.webhook(webhook(firing(cluster="us")), source="us")
    await relay.settled(2)
    await relay.webhook(webhook(resolved(cluster="us")), source="us")
    await relay.settled(3)

    first, second = platforms.platforms["slack"].messages
    assert [("🔥 " in one.text, "✅ " in one.text) for one in (first, second)] == [(True, False), (False, True)]


async def test_one_fingerprint_with_other_labels_is_sent(relay: Relay, sink: Sink) -> None:
    await relay.channel(name="Ops", channel_type="webhook", webhook_url=sink.url)

    for instance in "ab":
        response = await relay.webhook(webhook(firing(instance=instance) | {"fingerprint": "same"}))
        assert response.json["notifications"] == 1

    assert len(await relay.items("/history")) == 2


async def test_a_source_that_is_added_leaves_no_incident_and_no_message_open(relay: Relay, sink: Sink) -> None:
    sink.script = platforms = EditingPlatforms()
    await relay.channel(**editing_channel("slack", sink.url))

    await relay.webhook(webhook(firing()))
    await relay.settled(1)
    await relay.webhook(webhook(resolved()), source="eu")
    await relay.settled(2)

    [message] = platforms.platforms["slack"].messages
    assert ("🔥 " in message.text, "✅ " in message.text) == (False, True)


async def test_the_keys_of_pagerduty_differ_between_sources_and_stay_for_what_is_adopted(
    relay: Relay, sink: Sink
) -> None:
    sink.script = lambda _: web.json_response({"status": "success"}, status=202)
    await relay.channel(**PAGERDUTY, pagerduty_url=sink.url)

    sent = [
        (firing(), {}),
        (resolved(), {"source": "eu"}),
        (firing("10:20:00"), {"source": "eu"}),
        (firing("10:20:00"), {"source": "us"}),
    ]
    for count, (body, query) in enumerate(sent, start=1):
        await relay.webhook(webhook(body), **query)
        await sink.wait_for(count)

    keys = [one.json["dedup_key"] for one in sink.received]
    assert keys[0] == keys[1]
    assert len(set(keys)) == 3


async def test_a_reserved_or_malformed_source_is_rejected(relay: Relay) -> None:
    for query in ({"source": "relay"}, {"source": "a b"}, {"sender": "ü"}):
        response = await relay.webhook(webhook(), **query)
        assert (response.status, response.json["errors"][0]["field"]) == (400, next(iter(query)))


async def test_the_forwarded_address_names_the_sender_behind_a_trusted_proxy(start_relay: RelayFactory) -> None:
    relay = await start_relay(trusted_proxies="127.0.0.0/8")

    async def post(address: str, body: dict[str, Any]) -> Any:
        headers = {"X-Forwarded-For": address}
        return (await relay.call("POST", "/webhook", key=None, json=webhook(body), headers=headers)).json

    await post("192.0.2.1", firing())
    await post("192.0.2.1", resolved())
    late = await post("192.0.2.2", firing())
    again = await post("192.0.2.1", firing())

    assert (late["suppressed"], again["suppressed"]) == (1, 0)
