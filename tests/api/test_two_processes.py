"""A change made in one process applies to the next webhook of another process."""

from tests.fixtures.relays import Relay, RelayFactory, webhook
from tests.fixtures.sink import Sink

TURNS = 12


async def notifications(relay: Relay, at: int) -> int:
    response = await relay.webhook(webhook(group=str(at)))
    assert response.status == 202
    count: int = response.json["notifications"]
    return count


async def test_a_created_channel_gets_alerts(start_relay: RelayFactory, sink: Sink) -> None:
    one, other = await start_relay(deliver=False), await start_relay(deliver=False)

    for at in range(TURNS):
        await one.channel(name=f"Channel {at}", channel_type="webhook", webhook_url=sink.url)
        assert await notifications(other, at) == at + 1
        one, other = other, one


async def test_a_deleted_channel_gets_no_alerts(start_relay: RelayFactory, sink: Sink) -> None:
    one, other = await start_relay(deliver=False), await start_relay(deliver=False)

    for at in range(TURNS):
        await one.channel(name="Ops", channel_type="webhook", webhook_url=sink.url)
        await other.change("DELETE", "/channels/ops")
        assert await notifications(one, at) == 0
        one, other = other, one


async def test_a_changed_filter_applies(start_relay: RelayFactory, sink: Sink) -> None:
    one, other = await start_relay(deliver=False), await start_relay(deliver=False)
    await one.channel(name="Ops", channel_type="webhook", webhook_url=sink.url)

    for at in range(TURNS):
        wanted = "warning" if at % 2 else "critical"
        await one.change("PATCH", "/channels/ops", json={"severities": [wanted]})
        assert await notifications(other, at) == at % 2
        one, other = other, one


async def test_a_disabled_channel_gets_no_alerts_until_it_is_enabled(
    start_relay: RelayFactory, sink: Sink
) -> None:
    one, other = await start_relay(deliver=False), await start_relay(deliver=False)
    await one.channel(name="Ops", channel_type="webhook", webhook_url=sink.url)

    for at in range(TURNS):
        await one.change("PATCH", "/channels/ops", json={"enabled": at % 2 == 1})
        assert await notifications(other, at) == at % 2
        one, other = other, one
