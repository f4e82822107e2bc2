"""Webhooks with so many alerts that they are committed in parts."""

import asyncio

import pytest

from relay.receive.parts import parts_of
from relay.store.outbox.ingest_rows import SeriesKey
from tests.fixtures.relays import Relay, RelayFactory, alert, webhook
from tests.fixtures.sink import Sink

MANY = 3_000


def many(status: str = "firing", count: int = MANY) -> dict[str, object]:
    severities = ("critical", "warning", "info")
    return webhook(
        *(alert(status=status, number=str(at), severity=severities[at % 3]) for at in range(count)), group="many"
    )


async def test_a_large_webhook_is_routed_repeated_and_resolved(relay: Relay, sink: Sink) -> None:
    for name, severities in (("All", []), ("Critical", ["critical"]), ("None", ["page"])):
        await relay.channel(
            name=name, channel_type="webhook", webhook_url=f"{sink.url}/{name}", severities=severities
        )

    assert (await relay.webhook(many())).json == {
        "alerts": MANY, "notifications": 2, "suppressed": 0, "duplicate": False
    }  # fmt: skip
    assert (await relay.webhook(many())).json["duplicate"]
    assert (await relay.webhook(many("resolved"))).json["notifications"] == 2
    await relay.settled(4)

    received = {(request.path, request.json["status"]): len(request.json["alerts"]) for request in sink.received}
    third = MANY // 3
    assert received == {
        ("/All", "firing"): MANY, ("/All", "resolved"): MANY,
        ("/Critical", "firing"): third, ("/Critical", "resolved"): third,
    }  # fmt: skip


async def test_alerts_of_a_large_webhook_that_match_no_channel_are_marked(relay: Relay, sink: Sink) -> None:
    await relay.channel(
        name="Critical", channel_type="webhook", webhook_url=sink.url, severities=["critical"], send_resolved=False
    )
    await relay.webhook(many())

    unrouted = await relay.items("/history?routed=false&limit=500")
    assert {item["severity"] for item in unrouted} == {"warning", "info"}
    assert {item["severity"] for item in await relay.items("/history?routed=true&limit=500")} == {"critical"}

    await relay.change("PATCH", "/channels/critical", json={"severities": ["info"]})
    await relay.webhook(many(count=MANY + 3))
    unrouted = await relay.items("/history?routed=false&limit=500")
    assert [item["labels"]["number"] for item in unrouted if item["severity"] != "warning"] == [str(MANY)]


async def test_channels_change_while_a_large_webhook_is_committed(relay: Relay, sink: Sink) -> None:
    await relay.channel(name="Ops", channel_type="webhook", webhook_url=sink.url)
    posting = asyncio.create_task(relay.webhook(many(count=6_000)))
    changes = 0
    while not posting.done():
        changes += 1
        changed = await relay.call("PATCH", "/channels/ops", json={"name": f"Ops {changes}"})
        assert changed.status == 200

    assert (await posting).json["notifications"] == 1
    assert changes > 1


async def test_two_relays_commit_the_same_large_webhook_once(start_relay: RelayFactory, sink: Sink) -> None:
    first, second = await start_relay(deliver=False), await start_relay(deliver=False)
    await first.channel(name="Ops", channel_type="webhook", webhook_url=sink.url)

    results = await asyncio.gather(first.webhook(many()), second.webhook(many()))

    assert [result.status for result in results] == [202, 202]
    assert sorted(result.json["duplicate"] for result in results) == [False, True]
    assert len(await first.items("/deliveries")) == 1


@pytest.mark.parametrize("series", [1, 7, 100_000])
def test_parts_contain_each_alert_once_those_of_a_series_in_order(series: int) -> None:
    keys = [SeriesKey("", "", (at % series * 7919 % 65_536).to_bytes(2)) for at in range(20_000)]
    parts = parts_of(keys)

    positions = [position for part in parts for position in part]
    assert sorted(positions) == list(range(len(keys)))
    assert max(map(len, parts)) <= 4_000
    by_series: dict[bytes, list[int]] = {}
    for position in positions:
        by_series.setdefault(keys[position].identity, []).append(position)
    assert all(found == sorted(found) for found in by_series.values())
