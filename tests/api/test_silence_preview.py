"""Previews of silences: what they would silence now, and would have silenced in the last 7 days."""

from datetime import UTC, datetime, timedelta
from typing import Any

from tests.fixtures.relays import Relay, alert, webhook
from tests.fixtures.silencing import body, silence

START = datetime.now(UTC).replace(microsecond=0) - timedelta(days=2)


def ended(name: str, lasting: timedelta = timedelta(minutes=10), **labels: str) -> dict[str, Any]:
    """An alert that fired two days ago."""
    times = {"startsAt": START.isoformat(), "endsAt": (START + lasting).isoformat()}
    return alert(name, "resolved", **labels) | times


async def preview(relay: Relay, **fields: Any) -> dict[str, Any]:
    response = await relay.call("POST", "/silences/preview", json=body(**fields))
    assert response.status == 200, response.body
    found: dict[str, Any] = response.json
    return found


def names(part: dict[str, Any]) -> list[str]:
    assert (part["count"], part["truncated"]) == (len(part["alerts"]), False)
    return [one["alertname"] for one in part["alerts"]]


async def test_what_fires_and_what_fired_is_shown_with_its_channels(relay: Relay) -> None:
    hook = {"channel_type": "webhook", "webhook_url": "http://127.0.0.1:9/x", "enabled": True}
    await relay.channel(id="all", name="all", **hook)
    await relay.channel(id="web", name="web", matchers=['team="web"'], **hook)
    sent = webhook(alert("A", team="db"), alert("B", team="web"), ended("C", team="db"))
    assert (await relay.webhook(sent)).status == 202
    found = await preview(relay, matchers=['team=~"db|web"'])
    assert names(found["now"]) == ["B", "A"]
    assert [one["channels"] for one in found["now"]["alerts"]] == [["all", "web"], ["all"]]
    assert names(found["last_7_days"]) == ["B", "A", "C"]
    limited = await preview(relay, matchers=['team=~"db|web"'], channels=["web"])
    assert [one["channels"] for one in limited["now"]["alerts"]] == [["web"], []]
    stored = await silence(relay)
    response = await relay.call("POST", "/silences/preview", json={"id": stored["id"]})
    assert names(response.json["now"]) == ["A"]
    assert (await relay.call("POST", "/silences/preview", json={"id": "x"})).status == 404
    assert (await relay.call("POST", "/silences/preview", json={"id": 1})).status == 400


async def test_a_recurring_silence_counts_within_its_windows(relay: Relay) -> None:
    assert (await relay.webhook(webhook(ended("A", team="db")))).status == 202
    series = {"rrule": "FREQ=DAILY;COUNT=1", "duration": "1h", "ends_at": None}
    for hours, expected in ((0.0, ["A"]), (-0.5, ["A"]), (0.1, ["A"]), (2, []), (-2, [])):
        starts_at = (START + timedelta(days=30, hours=hours)).isoformat()
        found = await preview(relay, starts_at=starts_at, **series)
        assert names(found["last_7_days"]) == expected, hours


async def test_more_than_fifty_are_counted(relay: Relay) -> None:
    many = [alert("A", team="db", instance=str(number)) for number in range(60)]
    assert (await relay.webhook(webhook(*many))).status == 202
    found = (await preview(relay))["now"]
    assert (found["count"], len(found["alerts"])) == (60, 50)
