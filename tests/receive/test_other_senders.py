"""Webhooks of senders that leave out what Alertmanager sends."""

from typing import Any

from tests.fixtures.relays import Relay
from tests.fixtures.sink import Sink


def bare(status: str, **alert: Any) -> dict[str, Any]:
    """A webhook whose alert has no status and no start, with a number as the key of the group."""
    return {"status": status, "groupKey": 43434343434343434343, "alerts": [{"labels": {"port": 8080}} | alert]}


async def test_an_alert_without_status_and_start_fires_and_is_resolved_once(relay: Relay, sink: Sink) -> None:
    await relay.channel(name="Ops", channel_type="webhook", webhook_url=sink.url)

    for count, status in enumerate(("firing", "resolved"), start=1):
        assert [(await relay.webhook(bare(status))).json["duplicate"] for _ in range(2)] == [False, True]
        await sink.wait_for(count)

    [item] = await relay.items("/history")
    assert (item["status"], item["labels"], item["end_reason"]) == ("resolved", {"port": "8080"}, "resolved")
    assert [request.json["status"] for request in sink.received] == ["firing", "resolved"]
    assert {request.json["group_key"] for request in sink.received} == {"43434343434343434343"}


async def test_an_end_that_has_passed_resolves_an_alert_without_a_status(relay: Relay) -> None:
    await relay.webhook(bare("firing", endsAt="2099-01-01T00:00:00Z"))
    assert [item["status"] for item in await relay.items("/history")] == ["firing"]

    await relay.webhook(bare("firing", endsAt="2026-11-23T15:40:00Z"))
    assert [(item["status"], item["ends_at"]) for item in await relay.items("/history")] == [
        ("resolved", "2026-11-23T15:40:00Z")
    ]


async def test_an_end_in_1970_does_not_keep_an_alert_open(relay: Relay) -> None:
    await relay.webhook(bare("firing", startsAt="2026-11-23T15:33:27Z"))
    await relay.webhook(bare("resolved", startsAt="2026-11-23T15:33:27Z", endsAt="1970-01-01T00:00:00Z"))
    assert [item["status"] for item in await relay.items("/history")] == ["resolved"]
