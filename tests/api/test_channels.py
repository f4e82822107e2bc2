"""Channels are created, read, updated, tested and deleted."""

import asyncio

from tests.fixtures.relays import Relay, RelayFactory, alert, webhook
from tests.fixtures.sink import Sink

GUIDE = {
    "id": "slack-critical",
    "name": "Critical Alerts",
    "channel_type": "slack",
    "webhook_url": "https://hooks.slack.com/services/YOUR/WEBHOOK/URL",
    "enabled": True,
    "severities": ["critical"],
    "slack_channel": "#alerts-critical",
}


async def test_the_walkthrough_of_the_guide(relay: Relay) -> None:
    created = await relay.call("POST", "/channels", json=GUIDE)
    assert created.status == 201
    assert created.json == {
        **GUIDE,
        "webhook_url": "********",
        "version": 1,
        "tenant_id": None,
        "source": None,
        "alert_names": [],
        "alert_categories": [],
        "matchers": [],
        "send_resolved": True,
        "rate_limit": None,
        "fallback_channel_id": None,
        "template": None,
        "tls_ca": None,
        "tls_cert": None,
        "tls_key": None,
        "slack_username": None,
        "slack_icon_emoji": None,
        "max_messages": 5,
        "bot_token": None,
        "slack_api_url": "https://slack.com/api",
        "slack_mention_group": None,
        "mention_severities": ["critical"],
        "update_message": True,
        "notify_on": ["firing", "repeat"],
        "disabled_reason": None,
        "health": created.json["health"],
    }

    assert (await relay.call("GET", "/channels")).json == {"items": [created.json], "next": None}
    assert (await relay.call("GET", "/channels/slack-critical")).json == created.json

    changed = await relay.call("PATCH", "/channels/slack-critical", json={"severities": ["warning"]})
    assert (changed.status, changed.json) == (200, created.json | {"severities": ["warning"], "version": 2})
    assert (await relay.call("GET", "/channels/slack-critical")).json == changed.json

    tested = await relay.call("POST", "/test", json={"channel_id": "slack-critical", "severity": "critical"})
    assert (tested.status, tested.json["delivered"]) == (200, False)
    assert tested.json["reason"]
    assert tested.json["duration_ms"] > 0

    deleted = await relay.call("DELETE", "/channels/slack-critical")
    assert (deleted.status, deleted.body) == (204, b"")
    for method in ("GET", "DELETE", "PATCH"):
        assert (await relay.call(method, "/channels/slack-critical", json={})).status == 404
    assert await relay.items("/channels") == []


async def test_an_omitted_id_is_derived_from_the_name(relay: Relay, sink: Sink) -> None:
    channel = await relay.channel(name="Critical Älerts!", channel_type="webhook", webhook_url=sink.url)

    assert channel["id"] == "critical-alerts"


async def test_an_id_is_unique_and_free_after_deletion(relay: Relay, sink: Sink) -> None:
    ops = {"name": "Ops", "channel_type": "webhook", "webhook_url": sink.url}
    await relay.channel(**ops)

    again = await relay.call("POST", "/channels", json=ops | {"name": "ops!"})
    assert (again.status, again.json["title"]) == (409, "Conflict")
    assert "'ops'" in again.json["detail"]
    assert [channel["name"] for channel in await relay.items("/channels")] == ["Ops"]

    await relay.call("DELETE", "/channels/ops")
    assert (await relay.channel(**ops))["id"] == "ops"


async def test_null_resets_a_field(relay: Relay, sink: Sink) -> None:
    await relay.channel(
        name="Ops", channel_type="slack", webhook_url=sink.url, severities=["critical"], slack_channel="#a"
    )

    changed = await relay.call("PATCH", "/channels/ops", json={"severities": None, "slack_channel": None})

    assert (changed.json["severities"], changed.json["slack_channel"]) == ([], None)


async def test_a_channel_that_was_read_can_be_sent_as_a_patch(relay: Relay, sink: Sink) -> None:
    channel = await relay.channel(name="Ops", channel_type="webhook", webhook_url=sink.url)

    assert (await relay.call("PATCH", "/channels/ops", json=channel)).json == channel


async def test_a_changed_filter_applies_to_the_next_webhook(relay: Relay, sink: Sink) -> None:
    await relay.channel(name="Ops", channel_type="webhook", webhook_url=sink.url, severities=["critical"])
    assert (await relay.webhook(webhook(alert("A")))).json["notifications"] == 0

    await relay.call("PATCH", "/channels/ops", json={"severities": ["warning"]})

    assert (await relay.webhook(webhook(alert("B")))).json["notifications"] == 1


async def test_pending_deliveries_of_a_deleted_channel_are_dead_with_that_reason(
    start_relay: RelayFactory, sink: Sink
) -> None:
    relay = await start_relay(deliver=False)
    await relay.channel(name="Ops", channel_type="webhook", webhook_url=sink.url)
    await relay.channel(name="Other", channel_type="webhook", webhook_url=sink.url)
    await relay.webhook(webhook())

    await relay.call("DELETE", "/channels/ops")

    [dead] = await relay.items("/deliveries?channel_id=ops")
    assert (dead["state"], dead["last_reason"], dead["next_attempt_at"]) == ("dead", "channelDeleted", None)
    assert dead["last_error"] == "the channel was deleted before this delivery was sent"
    [other] = await relay.items("/deliveries?channel_id=other")
    assert other["state"] == "pending"


async def test_a_channel_can_be_deleted_while_its_deliveries_settle(relay: Relay, sink: Sink) -> None:
    for turn in range(5):
        await relay.channel(name="Ops", channel_type="webhook", webhook_url=sink.url)
        for at in range(20):
            await relay.webhook(webhook(group=f"{turn}.{at}"))

        assert (await relay.call("DELETE", "/channels/ops")).status == 204

    async with asyncio.timeout(20):
        while {delivery["state"] for delivery in await relay.items("/deliveries?limit=500")} - {
            "delivered",
            "dead",
        }:
            await asyncio.sleep(0.05)
    assert len(await relay.items("/deliveries?limit=500")) == 100


async def test_a_disabled_channel_keeps_its_pending_deliveries_until_enabled(
    start_relay: RelayFactory, sink: Sink
) -> None:
    receiver = await start_relay(deliver=False)
    await receiver.channel(name="Ops", channel_type="webhook", webhook_url=sink.url)
    await receiver.channel(name="Other", channel_type="webhook", webhook_url=f"{sink.url}/other")
    await receiver.webhook(webhook())
    await receiver.call("PATCH", "/channels/ops", json={"enabled": False})

    await start_relay()
    await sink.wait_for(1, "/other")
    assert (await receiver.webhook(webhook(group="later"))).json["notifications"] == 1
    await sink.wait_for(2, "/other")
    assert [delivery["state"] for delivery in await receiver.items("/deliveries?channel_id=ops")] == ["pending"]
    assert sink.at("/") == []

    await receiver.call("PATCH", "/channels/ops", json={"enabled": True})
    assert len(await sink.wait_for(1, "/")) == 1


async def test_the_error_for_a_value_that_is_no_choice_lists_the_choices(relay: Relay) -> None:
    channel = {"channel_type": "slack", "name": "Ops", "webhook_url": "http://127.0.0.1/", "notify_on": ["bogus"]}
    response = await relay.call("POST", "/channels", json=channel)

    assert response.status == 400
    assert "notify_on[0]" in str(response.json)
    assert "must be one of firing, repeat, resolved" in str(response.json)
