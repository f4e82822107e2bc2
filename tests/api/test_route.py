"""The dry run of routing."""

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from relay.domain.matchers import Matcher, Op
from relay.domain.silences import Silence
from tests.access.objects import key_for
from tests.fixtures.relays import ADMIN_KEY, Relay, alert, webhook
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


LABELS = {"alertname": "Down", "severity": "warning", "team": "db"}
NOW = datetime.now(UTC).replace(microsecond=0)


async def route(relay: Relay, *, key: str = ADMIN_KEY, **body: Any) -> dict[str, Any]:
    """The verdicts of the channels for the labels."""
    response = await relay.call("POST", "/route", key=key, json={"labels": LABELS} | body)
    assert response.status == 200, response.body
    return {one["channel_id"]: one for one in response.json["alerts"][0]["channels"]}


def suppressors(verdicts: dict[str, Any]) -> dict[str, list[str]]:
    return {name: [one["id"] for one in verdict["suppressed_by"]] for name, verdict in verdicts.items()}


async def silence(sql: Any, silence_id: str, **fields: Any) -> None:
    """Store a silence of the team, active now unless it says otherwise."""
    given: dict[str, Any] = {
        "matchers": (Matcher("team", Op.EQUAL, "db"),),
        "starts_at": NOW - timedelta(hours=1),
        "ends_at": NOW + timedelta(hours=1),
        "created_by": "Ann",
        "comment": "maintenance",
    } | fields
    body = msgspec.json.encode(Silence(id=silence_id, **given)).decode()
    await sql.execute(
        "INSERT INTO silences (id, body, tenant_id, starts_at, ends_at) VALUES ($1, $2::jsonb - 'id', $3, $4, $5)",
        *(silence_id, body, given.get("tenant_id"), given["starts_at"], given["ends_at"]),
    )


async def test_silences_that_are_active_at_the_time_suppress_matching_channels(
    relay: Relay, sql: Any, sink: Sink
) -> None:
    for name in ("one", "two"):
        await relay.channel(name=name, channel_type="webhook", webhook_url=sink.url)
    await relay.channel(name="other", channel_type="webhook", webhook_url=sink.url, severities=["critical"])
    await silence(sql, "all")
    await silence(sql, "only-two", channels=("two",), ends_at=NOW + timedelta(days=1))
    await silence(sql, "past", starts_at=NOW - timedelta(days=3), ends_at=NOW - timedelta(days=2))
    await silence(sql, "other-team", matchers=(Matcher("team", Op.EQUAL, "web"),))
    daily = {"rrule": "FREQ=DAILY", "duration": "1h", "time_zone": "UTC", "ends_at": None}
    await silence(sql, "daily", starts_at=NOW - timedelta(days=9, hours=2), **daily)

    found = await route(relay)

    assert suppressors(found) == {"one": ["all"], "two": ["all", "only-two"], "other": []}
    assert found["one"]["matched"]
    assert found["one"]["suppressed_by"][0] == {
        "kind": "silence",
        "id": "all",
        "comment": "maintenance",
        "created_by": "Ann",
        "since": f"{NOW - timedelta(hours=1):%Y-%m-%dT%H:%M:%SZ}",
    }
    for hours, one in ((6, []), (-60, ["past"]), (23, []), (22.5, ["daily"])):
        at = (NOW + timedelta(hours=hours)).isoformat()
        assert suppressors(await route(relay, at=at))["one"] == one, hours


async def test_drafts_are_added_for_one_request(relay: Relay, sql: Any, sink: Sink) -> None:
    await relay.channel(name="ops", channel_type="webhook", webhook_url=sink.url)
    await silence(sql, "all")
    saved = (await relay.call("GET", "/channels/ops")).json
    ends_at = (NOW + timedelta(hours=2)).isoformat()

    found = await route(
        relay,
        channels=[
            {"name": "Draft", "channel_type": "slack", "matchers": ["team=db"]},
            saved | {"severities": ["critical"]},
        ],
        silences=[
            {"matchers": ["team=web"], "ends_at": ends_at, "id": "all"},
            {"matchers": 'severity=~"warn.*"', "ends_at": ends_at, "channels": ["draft"]},
        ],
    )

    assert {name: one["reason"] for name, one in found.items()} == {
        "draft": None,
        "ops": "severities: expected critical; the alert has 'warning'",
    }
    assert suppressors(found) == {"draft": ["silences[1]"], "ops": []}
    assert found["draft"]["suppressed_by"][0]["created_by"]
    assert suppressors(await route(relay)) == {"ops": ["all"]}
    assert [one["id"] for one in await relay.items("/channels")] == ["ops"]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"at": "yesterday"}, "at"),
        ({"at": "2026-11-23T15:33:27"}, "at"),
        ({"channels": {}}, "channels"),
        ({"channels": [1]}, "channels[0]"),
        ({"channels": [{"name": "x"}]}, "channels[0].channel_type"),
        ({"channels": [{"name": "x", "channel_type": "slack", "severities": [1]}]}, "channels[0].severities[0]"),
        (
            {"channels": [{"name": "x", "channel_type": "webhook", "webhook_url": "http://10.0.0.1"}]},
            "channels[0].webhook_url",
        ),
        ({"channels": [{"name": "x", "channel_type": "slack"}] * 2}, "channels[1].id"),
        ({"channels": [{"name": "x", "channel_type": "slack", "max_messages": 99}]}, "channels[0].max_messages"),
        ({"silences": "a=b"}, "silences"),
        ({"silences": [{"matchers": 'a=~"("', "ends_at": "2999-01-01T00:00:00Z"}]}, "silences[0].matchers"),
        ({"silences": [{"matchers": ["a=b"]}]}, "silences[0].ends_at"),
        ({"silences": [{"matchers": ["a=b"], "id": 1}]}, "silences[0].id"),
        (
            {"silences": [{"matchers": ["a=b"], "ends_at": "2999-01-01T00:00:00Z", "channels": ["x"]}]},
            "silences[0].channels[0]",
        ),
    ],
)
async def test_an_invalid_draft_is_rejected_with_its_field(relay: Relay, body: dict[str, Any], field: str) -> None:
    response = await relay.call("POST", "/route", json={"labels": LABELS} | body)
    assert (response.status, response.json["errors"][0]["field"]) == (400, field)


async def test_a_tenant_sees_that_a_silence_of_no_tenant_applies(relay: Relay, sql: Any, sink: Sink) -> None:
    await relay.channel(name="acme", channel_type="webhook", webhook_url=sink.url, tenant_id="acme")
    await silence(sql, "acme-only", tenant_id="acme")
    await silence(sql, "globex-only", tenant_id="globex")
    await silence(sql, "shared")
    key = await key_for(relay, "acme")
    labels = LABELS | {"tenant_id": "acme"}

    found = (await route(relay, key=key, labels=labels))["acme"]["suppressed_by"]

    assert [(one["id"], one["comment"]) for one in found] == [("acme-only", "maintenance"), ("shared", None)]
    response = await relay.call(
        "POST", "/route", key=key, json={"labels": labels, "silences": [{"id": "shared", "matchers": "a=b"}]}
    )
    assert response.json["errors"][0]["field"] == "silences[0].id"
    drafts = [{"name": "Mine", "channel_type": "slack"}]
    assert set(await route(relay, key=key, labels=labels, channels=drafts)) == {"acme", "mine"}
