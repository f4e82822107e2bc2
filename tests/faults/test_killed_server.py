"""Is everything delivered that was answered with 202, when the server is killed again and again?"""

import asyncio
import random
from collections import Counter
from collections.abc import Iterator

import aiohttp

from relay.app import BASE_PATH
from relay.deliver.worker import MAX_IN_FLIGHT
from tests.fixtures.processes import RelayProcess, create_channel, on_database, relay_process
from tests.fixtures.relays import alert, webhook
from tests.fixtures.sink import Sink

WEBHOOKS = 300
SENDERS = 6
SEED = 20261123


async def test_what_was_answered_with_202_is_delivered_although_the_server_is_killed(
    database_url: str, sink: Sink
) -> None:
    chance = random.Random(SEED)
    async with relay_process(on_database(database_url)) as relay:
        await create_channel(relay.url, name="Ops", channel_type="webhook", webhook_url=sink.url)
        acknowledged: list[str] = []
        left = iter(range(WEBHOOKS))
        sending = asyncio.gather(*(send(relay.url, left, acknowledged) for _ in range(SENDERS)))
        kills = await kill_until_done(relay, sending, chance)

        assert len(acknowledged) == WEBHOOKS
        assert kills >= 2
        await told_all(sink, acknowledged)
        told = Counter(group for received in sink.received for group in groups_of(received.json))
        again = sum(count - 1 for count in told.values())
        assert again <= kills * MAX_IN_FLIGHT, f"{again} told again after {kills} kills (seed {SEED})"


async def kill_until_done(
    relay: RelayProcess, sending: "asyncio.Future[list[None]]", chance: random.Random
) -> int:
    """Kill the server at random moments and start it again, until all is sent; how often."""
    kills = 0
    while not sending.done():
        await asyncio.wait([sending], timeout=chance.uniform(0.1, 0.5))
        if not sending.done():
            await relay.kill()
            kills += 1
            await relay.start()
    await sending
    return kills


async def send(url: str, left: Iterator[int], acknowledged: list[str]) -> None:
    """Send webhooks one after the other, each until it is answered with 202, as Alertmanager would."""
    async with aiohttp.ClientSession() as session:
        for at in left:
            body = webhook(alert(instance=str(at)), group=str(at))
            while not await accepted(session, url, body):
                await asyncio.sleep(0.1)
            acknowledged.append(body["groupKey"])
            await asyncio.sleep(0.02)


async def accepted(session: aiohttp.ClientSession, url: str, body: dict[str, object]) -> bool:
    """Whether the relay answered 202."""
    try:
        async with session.post(f"{url}{BASE_PATH}/webhook", json=body) as response:
            return response.status == 202
    except (aiohttp.ClientError, ConnectionError):
        return False


async def told_all(sink: Sink, acknowledged: list[str], patience: float = 60.0) -> None:
    """Return when the sink was told of each group."""
    missing = set(acknowledged)
    try:
        async with asyncio.timeout(patience):
            while missing := missing - {group for one in sink.received for group in groups_of(one.json)}:
                await asyncio.sleep(0.1)
    except TimeoutError:
        raise AssertionError(f"{len(missing)} of {len(acknowledged)} were lost: {sorted(missing)[:5]}") from None


def groups_of(message: dict[str, str]) -> list[str]:
    """The groups that a message tells of."""
    return [message["group_key"]]
