"""Tests of a server that is killed repeatedly: every webhook answered with 202 is delivered."""

import asyncio
import random
from collections import Counter
from collections.abc import Iterator

import aiohttp
import pytest

from relay.app import BASE_PATH
from relay.deliver.worker import MAX_IN_FLIGHT
from tests.fixtures.processes import RelayProcess, create_channel, on_database, relay_process
from tests.fixtures.relays import alert, webhook
from tests.fixtures.sink import Sink

WEBHOOKS = 300
SENDERS = 6
SEED = 20261123

pytestmark = pytest.mark.slow


async def test_every_webhook_answered_with_202_is_delivered_although_the_server_is_killed(
    database_url: str, sink: Sink
) -> None:
    rng = random.Random(SEED)
    async with relay_process(on_database(database_url)) as relay:
        await create_channel(relay.url, name="Ops", channel_type="webhook", webhook_url=sink.url)
        acknowledged: list[str] = []
        remaining = iter(range(WEBHOOKS))
        sending = asyncio.gather(*(send(relay.url, remaining, acknowledged) for _ in range(SENDERS)))
        kills = await kill_until_done(relay, sending, rng)

        assert len(acknowledged) == WEBHOOKS
        assert kills >= 2
        await wait_for_groups(sink, acknowledged)
        received = Counter(group_of(request.json) for request in sink.received)
        duplicates = sum(count - 1 for count in received.values())
        assert duplicates <= kills * MAX_IN_FLIGHT, f"{duplicates} duplicates after {kills} kills (seed {SEED})"


async def kill_until_done(relay: RelayProcess, sending: "asyncio.Future[list[None]]", rng: random.Random) -> int:
    """Kill and restart the server at random moments until everything is sent; return the number of kills."""
    kills = 0
    while not sending.done():
        await asyncio.wait([sending], timeout=rng.uniform(0.1, 0.5))
        if not sending.done():
            await relay.kill()
            kills += 1
            await relay.start()
    await sending
    return kills


async def send(url: str, remaining: Iterator[int], acknowledged: list[str]) -> None:
    """Send webhooks one after the other, each until it is answered with 202, as Alertmanager does."""
    async with aiohttp.ClientSession() as session:
        for at in remaining:
            body = webhook(alert(instance=str(at)), group=str(at))
            while not await accepted(session, url, body):
                await asyncio.sleep(0.1)
            acknowledged.append(body["groupKey"])
            await asyncio.sleep(0.02)


async def accepted(session: aiohttp.ClientSession, url: str, body: dict[str, object]) -> bool:
    """Whether the relay responds with 202."""
    try:
        async with session.post(f"{url}{BASE_PATH}/webhook", json=body) as response:
            return response.status == 202
    except (aiohttp.ClientError, ConnectionError):
        return False


async def wait_for_groups(sink: Sink, acknowledged: list[str], max_wait: float = 60.0) -> None:
    """Wait until the sink has a message of each group."""
    missing = set(acknowledged)
    try:
        async with asyncio.timeout(max_wait):
            while missing := missing - {group_of(request.json) for request in sink.received}:
                await asyncio.sleep(0.1)
    except TimeoutError:
        raise AssertionError(f"{len(missing)} of {len(acknowledged)} were lost: {sorted(missing)[:5]}") from None


def group_of(message: dict[str, str]) -> str:
    """The group of a message."""
    return message["group_key"]
