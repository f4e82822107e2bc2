"""End to end: what real Alertmanagers report twice, late or again, in one process and in a pair."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp
import pytest

from relay.app import BASE_PATH
from tests.fixtures.alertmanagers import alertmanager, alertmanager_pair, needs_alertmanager
from tests.fixtures.processes import RelayProcess, create_channel, on_database, relay_process
from tests.fixtures.relays import ADMIN_KEY
from tests.fixtures.sink import Sink

GROUP_INTERVAL = 10
PAIR_INTERVAL = 2
PEER_TIMEOUT = 2
STOPPED = 6.0
"""Seconds: longer than PAIR_INTERVAL and PEER_TIMEOUT, shorter than the window of 60 s."""

pytestmark = [pytest.mark.slow, needs_alertmanager]


@pytest.fixture
async def relay(database_url: str, sink: Sink) -> AsyncIterator[RelayProcess]:
    """A relay with one channel, whose messages are not edited."""
    async with relay_process(on_database(database_url)) as process:
        await create_channel(process.url, name="Ops", channel_type="webhook", webhook_url=f"{sink.url}/ops")
        yield process


async def test_an_alert_whose_prometheus_was_away_is_sent_again_with_the_same_start(
    relay: RelayProcess, sink: Sink
) -> None:
    """Alertmanager resolves an alert that Prometheus no longer sends; Prometheus then repeats its startsAt."""
    started = datetime.now(UTC)
    async with alertmanager(webhook(relay), group_interval=GROUP_INTERVAL) as sender:
        await sender.push(alert(started, valid_for=2))
        await sink.wait_for(2, "/ops", max_wait=3 * GROUP_INTERVAL)
        await sender.push(alert(started, valid_for=300))
        await sink.wait_for(3, "/ops", max_wait=3 * GROUP_INTERVAL)

    assert statuses(sink) == ["firing", "resolved", "firing"]
    assert [item["status"] for item in await history(relay)] == ["firing", "resolved"]


@pytest.mark.parametrize("stopped", [0, 1], ids=["the-first-peer", "the-second-peer"])
async def test_a_pair_with_a_stopped_peer_sends_each_state_once(
    relay: RelayProcess, sink: Sink, stopped: int
) -> None:
    """The peer that is continued reports what the other one has reported, and that is all."""
    started = datetime.now(UTC)
    pair_of = alertmanager_pair(webhook(relay), group_interval=PAIR_INTERVAL, peer_timeout=PEER_TIMEOUT)
    async with pair_of as pair:
        for peer in pair:
            await peer.push(alert(started, valid_for=300))
        if stopped == 0:
            await sink.wait_for(1, "/ops")
        with pair[stopped].stopped():
            await sink.wait_for(1, "/ops")
            await pair[1 - stopped].push(alert(started, valid_for=0))
            await asyncio.sleep(STOPPED)
            assert statuses(sink) == ["firing", "resolved"]
        await asyncio.sleep(PEER_TIMEOUT + 1)
        await pair[stopped].push(alert(started, valid_for=0))
        await asyncio.sleep(2 * (PAIR_INTERVAL + PEER_TIMEOUT))

    assert statuses(sink) == ["firing", "resolved"]
    assert [item["status"] for item in await history(relay)] == ["resolved"]


def webhook(relay: RelayProcess) -> str:
    """The URL of the relay's webhook."""
    return f"{relay.url}{BASE_PATH}/webhook"


def alert(started: datetime, *, valid_for: float) -> dict[str, Any]:
    """An alert as Prometheus sends it, whose endsAt is `valid_for` seconds from now."""
    return {
        "startsAt": started.isoformat(),
        "endsAt": (datetime.now(UTC) + timedelta(seconds=valid_for)).isoformat(),
        "labels": {"alertname": "HighErrorRate", "severity": "critical", "tenant_id": "tenant-a"},
        "annotations": {"summary": "High error rate"},
    }


def statuses(sink: Sink) -> list[str]:
    """The status of each message."""
    return [message.json["status"] for message in sink.at("/ops")]


async def history(relay: RelayProcess) -> list[dict[str, Any]]:
    """The relay's history, latest first."""
    headers = {"Authorization": f"Bearer {ADMIN_KEY}"}
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"{relay.url}{BASE_PATH}/history", headers=headers) as response,
    ):
        items: list[dict[str, Any]] = (await response.json())["items"]
        return items
