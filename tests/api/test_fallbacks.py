"""Validation of fallback channels."""

import asyncio
from typing import Any

from tests.api.assertions import rejected
from tests.fixtures.relays import Relay, RelayFactory

HOOK = {"channel_type": "webhook", "webhook_url": "https://hooks.example.com/x"}


async def chain(relay: Relay, *names: str) -> None:
    """Create channels with these names; each has the next one as its fallback."""
    fallback: dict[str, Any] = {}
    for name in reversed(names):
        await relay.channel(name=name, **HOOK, **fallback)
        fallback = {"fallback_channel_id": name}


async def test_chains_are_allowed_and_shown(relay: Relay) -> None:
    await chain(relay, "a", "b", "c")

    fallbacks = {channel["id"]: channel["fallback_channel_id"] for channel in await relay.items("/channels")}
    assert fallbacks == {"a": "b", "b": "c", "c": None}

    cleared = await relay.call("PATCH", "/channels/a", json={"fallback_channel_id": None})
    assert (cleared.status, cleared.json["fallback_channel_id"]) == (200, None)


async def test_an_unknown_fallback_is_rejected(relay: Relay) -> None:
    body = {"name": "a", **HOOK, "fallback_channel_id": "gone"}
    rejected(await relay.call("POST", "/channels", json=body), "fallback_channel_id", "'gone'")
    assert await relay.items("/channels") == []

    await relay.channel(name="a", **HOOK)
    patch = {"fallback_channel_id": "gone"}
    rejected(await relay.call("PATCH", "/channels/a", json=patch), "fallback_channel_id", "'gone'")


async def test_a_cycle_is_rejected_and_shown(relay: Relay) -> None:
    await chain(relay, "a", "b", "c")

    for channel, fallback, cycle in (("c", "a", "c → a → b → c"), ("b", "a", "b → a → b")):
        response = await relay.call("PATCH", f"/channels/{channel}", json={"fallback_channel_id": fallback})
        rejected(response, "fallback_channel_id", cycle)
    rejected(await relay.call("PATCH", "/channels/c", json={"fallback_channel_id": "c"}), "fallback_channel_id")
    body = {"name": "d", **HOOK, "fallback_channel_id": "d"}
    rejected(await relay.call("POST", "/channels", json=body), "fallback_channel_id")


async def test_concurrent_requests_create_no_cycle(start_relay: RelayFactory) -> None:
    one, other = await start_relay(deliver=False), await start_relay(deliver=False)
    await chain(one, "a")
    await chain(one, "b")

    for _ in range(10):
        responses = await asyncio.gather(
            one.call("PATCH", "/channels/a", json={"fallback_channel_id": "b"}),
            other.call("PATCH", "/channels/b", json={"fallback_channel_id": "a"}),
        )
        assert sorted(response.status for response in responses) == [200, 400]
        for name in ("a", "b"):
            await one.call("PATCH", f"/channels/{name}", json={"fallback_channel_id": None})


async def test_a_concurrently_deleted_fallback_is_not_accepted(start_relay: RelayFactory) -> None:
    one, other = await start_relay(deliver=False), await start_relay(deliver=False)
    await chain(one, "a")

    for _ in range(10):
        await chain(one, "b")
        named, deleted = await asyncio.gather(
            one.call("PATCH", "/channels/a", json={"fallback_channel_id": "b"}),
            other.call("DELETE", "/channels/b"),
        )
        assert (named.status, deleted.status) in {(200, 409), (400, 204)}
        await one.call("PATCH", "/channels/a", json={"fallback_channel_id": None})
        await one.call("DELETE", "/channels/b")


async def test_concurrent_changes_and_deletions_do_not_block_each_other(start_relay: RelayFactory) -> None:
    one, other = await start_relay(deliver=False), await start_relay(deliver=False)

    for _ in range(10):
        await chain(one, "a")
        changed, deleted = await asyncio.gather(
            one.call("PATCH", "/channels/a", json={"name": "again"}), other.call("DELETE", "/channels/a")
        )
        assert changed.status in {200, 404}
        assert deleted.status == 204


async def test_a_fallback_of_another_tenant_is_rejected(relay: Relay) -> None:
    for tenant in ("acme", "globex"):
        await relay.channel(name=tenant, **HOOK, tenant_id=tenant)
    await relay.channel(name="all", **HOOK)

    def body_of(tenant: str | None, fallback: str) -> dict[str, Any]:
        return {"name": f"new for {tenant}", **HOOK, "tenant_id": tenant, "fallback_channel_id": fallback}

    for body in (body_of("globex", "acme"), body_of(None, "acme")):
        rejected(await relay.call("POST", "/channels", json=body), "fallback_channel_id", "'acme'")
    for body in (body_of("acme", "acme"), body_of("acme", "all"), body_of(None, "all")):
        created = await relay.channel(**body)
        await relay.call("DELETE", f"/channels/{created['id']}")


async def test_a_change_of_tenant_checks_fallbacks_in_both_directions(relay: Relay) -> None:
    await relay.channel(name="fallback", **HOOK, tenant_id="acme")
    await relay.channel(name="main", **HOOK, tenant_id="acme", fallback_channel_id="fallback")

    for tenant in ("globex", None):
        response = await relay.call("PATCH", "/channels/main", json={"tenant_id": tenant})
        rejected(response, "fallback_channel_id", "'fallback'", "'acme'")
    rejected(await relay.call("PATCH", "/channels/fallback", json={"tenant_id": "globex"}), "tenant_id", "'main'")

    assert (await relay.call("PATCH", "/channels/fallback", json={"tenant_id": None})).status == 200
    assert (await relay.call("PATCH", "/channels/main", json={"tenant_id": "globex"})).status == 200
    rejected(await relay.call("PATCH", "/channels/fallback", json={"tenant_id": "acme"}), "tenant_id", "'main'")


async def test_a_channel_that_is_a_fallback_can_not_be_deleted(relay: Relay) -> None:
    await chain(relay, "a", "b")
    await relay.channel(name="c", **HOOK, fallback_channel_id="b")

    response = await relay.call("DELETE", "/channels/b")

    assert (response.status, "'a', 'c'" in response.json["detail"]) == (409, True)
    assert (await relay.call("GET", "/channels/b")).status == 200
    for name in ("a", "c", "b"):
        assert (await relay.call("DELETE", f"/channels/{name}")).status == 204
