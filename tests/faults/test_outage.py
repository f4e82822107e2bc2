"""What arrives of groups that went on changing while their platform was down?"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest

from tests.fixtures.behaviors import answers
from tests.fixtures.platforms import Arrival, Platform
from tests.fixtures.relays import Relay, alert, webhook

GROUPS = 24
NO_LIMIT = {"per_second": 1000, "burst": 1000}
PATIENCE = 60.0
"""Seconds; the circuit breaker looks after a platform that was down in growing intervals."""


def states(group: str) -> list[dict[str, Any]]:
    """The webhooks of a group: A fires, B fires as well, A is resolved, all is resolved.

    What is resolved is left out of the next one, as Alertmanager does once it has been told of.
    """
    a, b = (f"{group}-a", f"{group}-b")
    return [
        webhook(alert(a), group=group),
        webhook(alert(a), alert(b), group=group),
        webhook(alert(a, status="resolved"), alert(b), group=group),
        webhook(alert(b, status="resolved"), group=group),
    ]


Facts = dict[str, tuple[str, bool]]
"""By alert name: its status, and whether the message tells its firing as well."""


def facts(arrival: Arrival) -> Facts:
    """What a message tells of its alerts."""
    return {
        one["alertname"].rpartition("-")[2]: (one["status"], one["untold_firing"])
        for one in arrival.json["alerts"]
    }


@asynccontextmanager
async def outage(platform: Platform, kind: str) -> AsyncIterator[None]:
    """The platform is down for a block, and what it got before and meanwhile is forgotten at the end."""
    platform.received.clear()
    if kind == "refused":
        await platform.stop()
    else:
        platform.always(answers(503))
    yield
    platform.received.clear()
    if kind == "refused":
        await platform.start()
    else:
        platform.always(answers(200, "ok"))


def told(platform: Platform, group: str) -> list[Facts]:
    """The messages of a group, in the order in which they arrived."""
    key = webhook(group=group)["groupKey"]
    return [facts(arrival) for arrival in platform.received if arrival.json["group_key"] == key]


async def post(relay: Relay, bodies: Sequence[dict[str, Any]]) -> None:
    """Post webhooks, each of which must be taken as news."""
    for body in bodies:
        answer = await relay.webhook(body)
        assert (answer.status, answer.json["duplicate"]) == (202, False)


async def all_settled(relay: Relay, count: int) -> list[dict[str, Any]]:
    """All deliveries, once as many as expected were delivered or merged; none may be dead."""
    ended: list[dict[str, Any]] = []
    try:
        async with asyncio.timeout(PATIENCE):
            while len(ended) < count:
                await asyncio.sleep(0.1)
                ended = [
                    delivery
                    for state in ("delivered", "merged")
                    for delivery in await relay.items(f"/deliveries?state={state}&limit=500")
                ]
    except TimeoutError:
        raise AssertionError(f"{len(ended)} of {count} deliveries were delivered or merged") from None
    assert len(await relay.items("/deliveries?limit=500")) == count
    return ended


@pytest.fixture
async def groups(relay: Relay, platform: Platform) -> list[str]:
    """The groups, and a channel for them."""
    await relay.channel(name="Ops", channel_type="webhook", webhook_url=platform.url, rate_limit=NO_LIMIT)
    return [f"g{number:02}" for number in range(GROUPS)]


@pytest.mark.parametrize("kind", ["refused", "503"])
async def test_a_group_that_came_and_went_in_an_outage_is_told_once_as_both(
    kind: str, relay: Relay, platform: Platform, groups: list[str]
) -> None:
    async with outage(platform, kind):
        for step in range(4):
            await post(relay, [states(group)[step] for group in groups])

    deliveries = await all_settled(relay, 4 * GROUPS)
    both = ("resolved", True)
    assert {group: told(platform, group) for group in groups} == {
        group: [{"a": both, "b": both}] for group in groups
    }
    every_delivery_is_told(deliveries)


async def test_what_was_told_before_an_outage_is_not_told_again_after_it(
    relay: Relay, platform: Platform, groups: list[str]
) -> None:
    await post(relay, [states(group)[0] for group in groups])
    await relay.settled(GROUPS)
    await post(relay, [states(group)[1] for group in groups[: GROUPS // 2]])
    await relay.settled(GROUPS + GROUPS // 2)
    async with outage(platform, "refused"):
        await post(relay, [states(group)[1] for group in groups[GROUPS // 2 :]])
        for step in (2, 3):
            await post(relay, [states(group)[step] for group in groups])

    deliveries = await all_settled(relay, 4 * GROUPS)
    resolved = ("resolved", False)
    for group in groups[: GROUPS // 2]:
        assert told(platform, group) == [{"a": resolved, "b": resolved}]
    for group in groups[GROUPS // 2 :]:
        assert told(platform, group) == [{"a": resolved, "b": ("resolved", True)}]
    every_delivery_is_told(deliveries)


async def test_what_still_fires_after_an_outage_is_told_as_firing_and_then_as_resolved(
    relay: Relay, platform: Platform, groups: list[str]
) -> None:
    async with outage(platform, "refused"):
        for step in range(3):
            await post(relay, [states(group)[step] for group in groups])
    await relay.settled(GROUPS, max_wait=PATIENCE)

    await post(relay, [states(group)[3] for group in groups])

    deliveries = await all_settled(relay, 4 * GROUPS)
    for group in groups:
        assert told(platform, group) == [
            {"a": ("resolved", True), "b": ("firing", False)},
            {"b": ("resolved", False)},
        ]
    every_delivery_is_told(deliveries)


def every_delivery_is_told(deliveries: list[dict[str, Any]]) -> None:
    """Each was delivered, or says into which one it was merged, down to one that was delivered."""
    by_id = {delivery["id"]: delivery for delivery in deliveries}
    for delivery in deliveries:
        into = delivery
        while into["state"] == "merged":
            assert into["merged_into"] is not None
            into = by_id[into["merged_into"]]
        assert into["state"] == "delivered"
