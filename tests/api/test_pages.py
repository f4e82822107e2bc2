"""Pagination of lists that change meanwhile."""

from typing import Any

from tests.fixtures.relays import Relay, RelayFactory, alert, webhook
from tests.fixtures.sink import Sink


async def first_page(relay: Relay, path: str) -> tuple[list[Any], str]:
    response = await relay.call("GET", f"{path}?limit=2")
    assert len(response.json["items"]) == 2
    return [item["id"] for item in response.json["items"]], response.json["next"]


async def rest(relay: Relay, path: str, cursor: str | None) -> list[Any]:
    found = []
    while cursor is not None:
        response = await relay.call("GET", path, params={"limit": "2", "cursor": cursor})
        assert 1 <= len(response.json["items"]) <= 2
        found += [item["id"] for item in response.json["items"]]
        cursor = response.json["next"]
    return found


async def test_channels_created_meanwhile_do_not_shift_pages(relay: Relay, sink: Sink) -> None:
    for at in range(7):
        await relay.channel(id=f"c-{at}", name="C", channel_type="webhook", webhook_url=sink.url)

    seen, cursor = await first_page(relay, "/channels")
    await relay.channel(id="a-new-one", name="A", channel_type="webhook", webhook_url=sink.url)
    await relay.call("DELETE", "/channels/c-1")

    assert seen + await rest(relay, "/channels", cursor) == [f"c-{at}" for at in range(7)]


async def test_alerts_received_meanwhile_do_not_shift_pages(relay: Relay) -> None:
    await relay.webhook(webhook(*(alert(instance=str(at)) for at in range(7))))
    expected = [item["id"] for item in await relay.items("/history")]

    seen, cursor = await first_page(relay, "/history")
    await relay.webhook(webhook(*(alert("New", instance=str(at)) for at in range(3)), group="new"))

    assert seen + await rest(relay, "/history", cursor) == expected
    assert sorted(expected, reverse=True) == expected


async def test_deliveries_created_meanwhile_do_not_shift_pages(start_relay: RelayFactory, sink: Sink) -> None:
    relay = await start_relay(deliver=False)
    await relay.channel(name="Ops", channel_type="webhook", webhook_url=sink.url)
    for at in range(7):
        await relay.webhook(webhook(group=str(at)))
    expected = [item["id"] for item in await relay.items("/deliveries")]

    seen, cursor = await first_page(relay, "/deliveries")
    await relay.webhook(webhook(group="new"))

    assert seen + await rest(relay, "/deliveries", cursor) == expected


async def test_a_page_with_the_remaining_items_is_the_last(relay: Relay) -> None:
    await relay.webhook(webhook(*(alert(instance=str(at)) for at in range(4))))

    for limit, more in ((3, True), (4, False), (500, False)):
        response = await relay.call("GET", f"/history?limit={limit}")
        assert len(response.json["items"]) == min(limit, 4)
        assert (response.json["next"] is not None) == more
    assert (await relay.call("GET", "/deliveries")).json == {"items": [], "next": None}
