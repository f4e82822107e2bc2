"""Tests of groups that change while their platform is down."""

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
MAX_WAIT = 60.0
"""Seconds; the circuit breaker probes a platform that was down at growing intervals."""

pytestmark = pytest.mark.slow


def states(group: str) -> list[dict[str, Any]]:
    """The webhooks of a group: A fires, B fires as well, A is resolved, all is resolved.

    A resolved alert is missing in the next webhook, as from Alertmanager after it sent the resolution.
    """
    a, b = (f"{group}-a", f"{group}-b")
    return [
        webhook(alert(a), group=group),
        webhook(alert(a), alert(b), group=group),
        webhook(alert(a, status="resolved"), alert(b), group=group),
        webhook(alert(b, status="resolved"), group=group),
    ]


AlertStates = dict[str, tuple[str, bool]]
"""By alert name: its status, and whether its firing was not sent before."""


def alert_states(arrival: Arrival) -> AlertStates:
    """The alerts of a message."""
    return {
        alert["alertname"].rpartition("-")[2]: (alert["status"], alert["untold_firing"])
        for alert in arrival.json["alerts"]
    }


@asynccontextmanager
async def outage(platform: Platform, failure: str) -> AsyncIterator[None]:
    """The platform is down for a block; what it received before the end is discarded."""
    platform.received.clear()
    if failure == "refused":
        await platform.stop()
    else:
        platform.always(answers(503))
    yield
    platform.received.clear()
    if failure == "refused":
        await platform.start()
    else:
        platform.always(answers(200, "ok"))


def messages_of(platform: Platform, group: str) -> list[AlertStates]:
    """The messages of a group in the order of arrival."""
    key = webhook(group=group)["groupKey"]
    return [alert_states(arrival) for arrival in platform.received if arrival.json["group_key"] == key]


async def post(relay: Relay, bodies: Sequence[dict[str, Any]]) -> None:
    """Post webhooks, none of which may be a duplicate."""
    for body in bodies:
        response = await relay.webhook(body)
        assert (response.status, response.json["duplicate"]) == (202, False)


async def all_settled(relay: Relay, count: int) -> list[dict[str, Any]]:
    """All deliveries, once as many as expected were delivered or merged; none may be dead."""
    settled: list[dict[str, Any]] = []
    try:
        async with asyncio.timeout(MAX_WAIT):
            while len(settled) < count:
                await asyncio.sleep(0.1)
                settled = [
                    delivery
                    for state in ("delivered", "merged")
                    for delivery in await relay.items(f"/deliveries?state={state}&limit=500")
                ]
    except TimeoutError:
        raise AssertionError(f"{len(settled)} of {count} deliveries were delivered or merged") from None
    assert len(await relay.items("/deliveries?limit=500")) == count
    return settled


@pytest.fixture
async def groups(relay: Relay, platform: Platform) -> list[str]:
    """The groups, and a channel for them."""
    await relay.channel(name="Ops", channel_type="webhook", webhook_url=platform.url, rate_limit=NO_LIMIT)
    return [f"g{number:02}" for number in range(GROUPS)]


@pytest.mark.parametrize("failure", ["refused", "503"])
async def test_a_group_that_fires_and_resolves_during_an_outage_is_sent_once_as_both(
    failure: str, relay: Relay, platform: Platform, groups: list[str]
) -> None:
    async with outage(platform, failure):
        for step in range(4):
            await post(relay, [states(group)[step] for group in groups])

    deliveries = await all_settled(relay, 4 * GROUPS)
    both = ("resolved", True)
    assert {group: messages_of(platform, group) for group in groups} == {
        group: [{"a": both, "b": both}] for group in groups
    }
    check_deliveries(deliveries)


async def test_alerts_sent_before_an_outage_are_not_sent_as_firing_again(
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
        assert messages_of(platform, group) == [{"a": resolved, "b": resolved}]
    for group in groups[GROUPS // 2 :]:
        assert messages_of(platform, group) == [{"a": resolved, "b": ("resolved", True)}]
    check_deliveries(deliveries)


async def test_an_alert_that_fires_after_an_outage_is_sent_as_firing_and_later_as_resolved(
    relay: Relay, platform: Platform, groups: list[str]
) -> None:
    async with outage(platform, "refused"):
        for step in range(3):
            await post(relay, [states(group)[step] for group in groups])
    await relay.settled(GROUPS, max_wait=MAX_WAIT)

    await post(relay, [states(group)[3] for group in groups])

    deliveries = await all_settled(relay, 4 * GROUPS)
    for group in groups:
        assert messages_of(platform, group) == [
            {"a": ("resolved", True), "b": ("firing", False)},
            {"b": ("resolved", False)},
        ]
    check_deliveries(deliveries)


def check_deliveries(deliveries: list[dict[str, Any]]) -> None:
    """Each delivery was delivered, or merged into one that was delivered."""
    by_id = {delivery["id"]: delivery for delivery in deliveries}
    for delivery in deliveries:
        into = delivery
        while into["state"] == "merged":
            assert into["merged_into"] is not None
            into = by_id[into["merged_into"]]
        assert into["state"] == "delivered"
