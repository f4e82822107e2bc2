"""The dry run of routing."""

from typing import Any

from tests.fixtures.relays import Relay, alert, webhook
from tests.fixtures.sink import Sink


async def test_each_channel_has_a_verdict_and_a_reason(relay: Relay, sink: Sink) -> None:
    channels: dict[str, dict[str, Any]] = {
        "all": {},
        "critical": {"severities": ["critical"]},
        "db": {"matchers": ['team=~"db|infra"']},
        "off": {"enabled": False},
        "other": {"tenant_id": "t2"},
    }
    for name, filters in channels.items():
        await relay.channel(name=name, channel_type="webhook", webhook_url=sink.url, **filters)

    labels = {"alertname": "Down", "severity": "warning", "team": "web", "tenant_id": "t1"}
    response = await relay.call("POST", "/route", json={"labels": labels})

    assert response.status == 200
    [verdict] = response.json["alerts"]
    assert verdict["labels"] == labels
    assert {one["channel_id"]: one["reason"] for one in verdict["channels"]} == {
        "all": None,
        "critical": "severities: expected critical; the alert has 'warning'",
        "db": "matchers: team=~\"db|infra\" does not match 'web'",
        "off": "the channel is disabled",
        "other": "tenant_id: expected t2; the alert has 't1'",
    }
    assert [one["channel_id"] for one in verdict["channels"] if one["matched"]] == ["all"]


async def test_a_webhook_is_explained_per_alert_and_not_stored(relay: Relay, sink: Sink) -> None:
    await relay.channel(name="ops", channel_type="webhook", webhook_url=sink.url, send_resolved=False)

    response = await relay.call("POST", "/route", json=webhook(alert(), alert("Down", status="resolved")))

    reasons = [alert["channels"][0]["reason"] for alert in response.json["alerts"]]
    assert reasons == [None, "send_resolved: the channel does not get resolved alerts"]
    assert await relay.items("/history") == []
    assert sink.received == []


async def test_an_invalid_request_is_rejected_with_the_field(relay: Relay) -> None:
    for body, field in (({}, "labels"), ({"labels": "x"}, "labels"), ({"alerts": []}, "alerts")):
        response = await relay.call("POST", "/route", json=body)
        assert (response.status, response.json["errors"][0]["field"]) == (400, field)
