"""The health of channels, and how a repaired channel resumes."""

import asyncio
import re
from typing import Any

from tests.fixtures.relays import Relay, RelayFactory, alert, webhook
from tests.fixtures.sink import Sink

TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")
NEW: dict[str, Any] = {
    "state": "healthy",
    "disabled_reason": None,
    "success_rate_1h": None,
    "success_rate_24h": None,
    "latency_p50": None,
    "latency_p95": None,
    "consecutive_failures": 0,
    "open_since": None,
    "held_until": None,
    "last_success_at": None,
    "last_failure_at": None,
    "last_reason": None,
    "last_error": None,
    "waiting": 0,
    "oldest_waiting": None,
    "caveats": [],
}
OPEN = """
    UPDATE lanes SET failures = 7, opened_at = now() - interval '1 minute', probes = 2, next_due = held,
      held_until = held, last_failure_at = now(), last_reason = 'serverError', last_error = '500 oh'
    FROM (SELECT now() + interval '1 hour' AS held) AS later WHERE channel_id = $1
"""
PUT_OFF = "UPDATE deliveries SET next_attempt_at = now() + interval '1 hour' WHERE channel_id = $1"


async def hook(relay: Relay, sink: Sink, name: str = "ops", **fields: Any) -> dict[str, Any]:
    return await relay.channel(name=name, channel_type="webhook", webhook_url=f"{sink.url}/{name}", **fields)


async def health(relay: Relay, channel_id: str = "ops") -> dict[str, Any]:
    response = await relay.call("GET", f"/channels/{channel_id}/health")
    assert response.status == 200, response.body
    current: dict[str, Any] = response.json
    return current


async def open_breaker(relay: Relay, sql: Any, channel_id: str = "ops") -> None:
    """Open the circuit breaker of a channel for an hour, with one pending delivery."""
    await relay.webhook(webhook())
    await sql.execute(PUT_OFF, channel_id)
    await sql.execute(OPEN, channel_id)


async def lane(sql: Any) -> dict[str, Any]:
    return dict(await sql.fetchrow("SELECT *, next_due <= now() AS due FROM lanes WHERE channel_id = 'ops'"))


async def test_a_new_channel_is_healthy_in_every_response(relay: Relay, sink: Sink) -> None:
    created = await hook(relay, sink)

    assert created["health"] == NEW
    assert await health(relay) == NEW
    assert (await relay.call("GET", "/channels/ops")).json["health"] == NEW
    [listed] = await relay.items("/channels")
    assert (listed["health"], listed["disabled_reason"]) == (NEW, None)
    assert (await relay.call("PATCH", "/channels/ops", json={"name": "Ops"})).json["health"] == NEW


async def test_the_health_contains_the_caveat_of_the_type(relay: Relay) -> None:
    await relay.channel(name="phone", channel_type="apprise", apprise_url="json://127.0.0.1/x")

    caveats = (await health(relay, "phone"))["caveats"]

    assert any("delivered twice" in caveat for caveat in caveats)


async def test_the_health_of_an_unknown_channel_is_not_found(relay: Relay) -> None:
    response = await relay.call("GET", "/channels/gone/health")

    assert (response.status, "'gone'" in response.json["detail"]) == (404, True)


async def test_the_health_shows_the_lane_and_the_pending_deliveries_of_each_channel(
    start_relay: RelayFactory, sink: Sink, sql: Any
) -> None:
    relay = await start_relay(deliver=False)
    for name in ("fine", "ops"):
        await hook(relay, sink, name)
    await hook(relay, sink, "off", enabled=False)
    await open_breaker(relay, sql)
    await sql.execute("UPDATE channels SET disabled_reason = 'it is gone' WHERE id = 'off'")

    current = await health(relay)

    assert (current["state"], current["consecutive_failures"], current["waiting"]) == ("open", 7, 1)
    assert (current["last_reason"], current["last_error"]) == ("serverError", "500 oh")
    for name in ("open_since", "held_until", "last_failure_at", "oldest_waiting"):
        assert TIME.fullmatch(current[name]), name
    listed = {channel["id"]: channel for channel in await relay.items("/channels")}
    assert listed["ops"]["health"] == current
    assert listed["fine"]["health"] == NEW | {
        "waiting": 1,
        "oldest_waiting": listed["fine"]["health"]["oldest_waiting"],
    }
    assert listed["off"]["disabled_reason"] == listed["off"]["health"]["disabled_reason"] == "it is gone"
    assert listed["off"]["health"]["state"] == "disabled"


async def test_a_new_destination_or_rate_limit_sends_pending_deliveries_immediately(
    start_relay: RelayFactory, sink: Sink, sql: Any
) -> None:
    relay = await start_relay(deliver=False)
    await hook(relay, sink)

    patches: list[dict[str, Any]] = [
        {"webhook_url": f"{sink.url}/elsewhere"},
        {"custom_headers": {"X-Team": "a"}},
        {"custom_payload_template": "{{ id }}"},
        {"rate_limit": {"per_second": 2, "burst": 5}},
        {"rate_limit": None},
    ]
    for patch in patches:
        await open_breaker(relay, sql)
        enqueued = (await lane(sql))["enqueued"]
        assert (await relay.call("PATCH", "/channels/ops", json=patch)).status == 200

        after = await lane(sql)
        assert (after["failures"], after["opened_at"], after["probes"], after["held_until"]) == (0, None, 0, None)
        assert (after["due"], after["enqueued"] > enqueued, after["last_error"]) == (True, True, "500 oh")
        assert await sql.fetchval("SELECT count(*) FROM deliveries WHERE next_attempt_at > now()") == 0


async def test_a_change_of_filters_leaves_the_circuit_breaker_open(
    start_relay: RelayFactory, sink: Sink, sql: Any
) -> None:
    relay = await start_relay(deliver=False)
    created = await hook(relay, sink)
    await open_breaker(relay, sql)

    for patch in ({"severities": ["critical"]}, {"name": "Other"}, {"enabled": True}, created):
        assert (await relay.call("PATCH", "/channels/ops", json=patch)).status == 200

    assert (await health(relay))["state"] == "open"
    assert await sql.fetchval("SELECT count(*) FROM deliveries WHERE next_attempt_at > now()") == 1


async def test_enabling_a_disabled_channel_clears_its_reason_and_failures(
    start_relay: RelayFactory, sink: Sink, sql: Any
) -> None:
    relay = await start_relay(deliver=False)
    await hook(relay, sink)
    await open_breaker(relay, sql)
    await sql.execute(
        """UPDATE channels SET disabled_reason = '404 no such hook', config = config || '{"enabled": false}'"""
    )

    renamed = await relay.call("PATCH", "/channels/ops", json={"name": "Still off"})
    assert renamed.json["disabled_reason"] == renamed.json["health"]["disabled_reason"] == "404 no such hook"
    moved = await relay.call("PATCH", "/channels/ops", json={"webhook_url": f"{sink.url}/new"})
    assert (moved.json["enabled"], moved.json["disabled_reason"]) == (False, "404 no such hook")

    enabled = await relay.call("PATCH", "/channels/ops", json={"enabled": True})

    assert (enabled.json["disabled_reason"], enabled.json["health"]["disabled_reason"]) == (None, None)
    assert enabled.json["health"]["state"] == "healthy"
    assert (await lane(sql))["due"] is True


async def test_a_repaired_channel_is_sent_its_pending_deliveries(
    start_relay: RelayFactory, sink: Sink, sql: Any
) -> None:
    before = await start_relay(deliver=False)
    await hook(before, sink)
    await open_breaker(before, sql)
    await start_relay()
    assert sink.received == []

    await before.call("PATCH", "/channels/ops", json={"webhook_url": f"{sink.url}/repaired"})

    await sink.wait_for(1, "/repaired")


async def test_a_channel_that_was_read_can_be_written_back(relay: Relay, sink: Sink) -> None:
    created = await hook(relay, sink, rate_limit={"per_second": 0.5, "burst": 3})
    assert created["rate_limit"] == {"per_second": 0.5, "burst": 3}

    assert (await relay.call("PATCH", "/channels/ops", json=created)).json == created
    copied = created | {"id": "copy", "webhook_url": sink.url}
    assert (await relay.channel(**copied)) == created | {"id": "copy"}
    changed = await relay.call("PATCH", "/channels/ops", json={"rate_limit": None, "health": {"state": "open"}})
    assert (changed.json["rate_limit"], changed.json["health"]["state"]) == (None, "healthy")


async def test_an_invalid_rate_limit_is_rejected_with_the_field(relay: Relay, sink: Sink) -> None:
    await hook(relay, sink)

    limits: list[tuple[Any, str]] = [
        ({"burst": 1}, "rate_limit.per_second"),
        ({"per_second": 0}, "rate_limit.per_second"),
        ({"per_second": 1, "burst": 0}, "rate_limit.burst"),
        ({"per_second": 1, "per_minute": 2}, "rate_limit.per_minute"),
        (1, "rate_limit"),
    ]
    for limit, field in limits:
        response = await relay.call("PATCH", "/channels/ops", json={"rate_limit": limit})
        assert (response.status, [error["field"] for error in response.json["errors"]]) == (400, [field])


async def test_changes_while_deliveries_settle_never_conflict(relay: Relay, sink: Sink) -> None:
    await hook(relay, sink)
    for at in range(40):
        await relay.webhook(webhook(group=str(at)))

    patches = [{"custom_headers": {"X-Turn": str(at)}} for at in range(10)]
    responses = await asyncio.gather(*(relay.call("PATCH", "/channels/ops", json=patch) for patch in patches))

    assert [response.status for response in responses] == [200] * 10
    await relay.settled(40)


async def test_a_severity_filter_that_probably_matches_nothing_is_named(relay: Relay, sink: Sink) -> None:
    created = await hook(relay, sink, severities=["critical,warning", "gold", "Critical"])
    comma = "severities[0] is one value with a comma, 'critical,warning'; list several values one by one."
    assert created["health"]["caveats"] == [comma], "without a history any other value may be right"

    await relay.webhook(webhook(alert(severity="Silver")))
    changed = await relay.call(
        "PATCH", f"/channels/{created['id']}", json={"severities": ["gold", "silver", "info"]}
    )
    assert changed.json["health"]["caveats"] == ["severities[0]: no recent alert has the severity 'gold'."]
