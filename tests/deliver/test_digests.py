"""Tests of digests, which replace messages when more wait than the channel's rate limit allows."""

import asyncio
from typing import Any

from aiohttp import web

from tests.fixtures.relays import Relay, RelayFactory, alert, webhook
from tests.fixtures.sink import Sink

GROUPS = 30
ONE_PER_SECOND = {"per_second": 1, "burst": 1}


async def outbox_drained(relay: Relay) -> None:
    async with asyncio.timeout(60):
        while await relay.items("/deliveries?state=pending") or await relay.items("/deliveries?state=sending"):
            await asyncio.sleep(0.1)


async def names_in_history(relay: Relay, delivery_id: str) -> set[str]:
    """The names of all alerts of a delivery, as its history URL lists them."""
    response = await relay.call("GET", f"/history?delivery_id={delivery_id}&limit=500")
    return {item["alertname"] for item in response.json["items"]}


async def test_a_storm_becomes_a_digest_that_lists_critical_alerts_first_and_links_to_all(
    relay: Relay, sink: Sink
) -> None:
    await relay.channel(name="Ops", channel_type="webhook", webhook_url=sink.url, rate_limit=ONE_PER_SECOND)
    names = [f"Alert{at:02}" for at in range(GROUPS)]
    severities = ["critical" if at % 10 == 0 else "warning" for at in range(GROUPS)]

    await asyncio.gather(
        *(
            relay.webhook(webhook(alert(name, severity=severity), group=name))
            for name, severity in zip(names, severities, strict=True)
        )
    )
    await outbox_drained(relay)

    messages = [request.json for request in sink.received]
    assert len(messages) < GROUPS / 2
    digests = [message for message in messages if message["kind"] == "digest"]
    assert digests
    assert {name for message in messages for name in _names(message)} == set(names)
    for digest in digests:
        counts = digest["digest"]["counts"]
        ranks = [("critical", "warning").index(count["severity"]) for count in counts]
        assert ranks == sorted(ranks)
        assert {alert["alertname"] for alert in digest["alerts"]} >= _critical(counts)
        assert await names_in_history(relay, digest["id"]) == {count["alertname"] for count in counts}
        assert digest["digest"]["history_url"].endswith(f"/history?delivery_id={digest['id']}")
    for merged in await relay.items("/deliveries?state=merged&limit=500"):
        into = (await relay.call("GET", f"/deliveries/{merged['merged_into']}")).json
        assert (into["kind"], into["state"]) == ("digest", "delivered")


async def test_a_digest_shows_the_current_state_of_its_alerts(start_relay: RelayFactory, sink: Sink) -> None:
    relay = await start_relay(digest_after=1)
    failing = True
    sink.script = lambda _: web.Response(status=503 if failing else 200)
    await relay.channel(name="Ops", channel_type="webhook", webhook_url=sink.url, rate_limit=ONE_PER_SECOND)
    for at in range(GROUPS):
        await relay.webhook(webhook(alert("Transient", at=str(at)), group=str(at)))
    await sink.wait_for(1)
    for at in range(GROUPS):
        await relay.webhook(webhook(alert("Transient", status="resolved", at=str(at)), group=str(at)))
    sink.received.clear()
    failing = False

    await outbox_drained(relay)

    digests = [request.json for request in sink.received if request.json["kind"] == "digest"]
    assert {(one["status"], one["digest"]["firing"]) for one in digests} == {("resolved", 0)}
    assert sum(one["digest"]["resolved"] for one in digests) >= GROUPS - 2
    assert all(alert["untold_firing"] for one in digests for alert in one["alerts"])


async def test_a_channel_without_a_rate_limit_gets_one_message_per_group(relay: Relay, sink: Sink) -> None:
    await relay.channel(name="Ops", channel_type="webhook", webhook_url=sink.url)

    await asyncio.gather(*(relay.webhook(webhook(group=str(at))) for at in range(GROUPS)))

    await relay.settled(GROUPS)
    assert {request.json["kind"] for request in sink.received} == {"group"}


def _names(message: dict[str, Any]) -> set[str]:
    named = message["digest"]["counts"] if message["digest"] else message["alerts"]
    return {one["alertname"] for one in named}


def _critical(counts: list[dict[str, Any]]) -> set[str]:
    return {count["alertname"] for count in counts if count["severity"] == "critical"}
