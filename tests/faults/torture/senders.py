"""How do the groups' states reach the relay: as Alertmanager sends them, until they are acknowledged?"""

import asyncio
from collections.abc import Iterator, Sequence
from random import Random
from typing import Any, Final

import aiohttp

from relay.app import BASE_PATH
from tests.faults.torture.groups import State
from tests.faults.torture.records import Acknowledged

ANSWER_TIMEOUT: Final = aiohttp.ClientTimeout(total=5.0)
RETRY_EVERY: Final = 0.1


async def send_group(
    states: Iterator[State], urls: Sequence[str], gap: float, chance: Random, acknowledged: list[Acknowledged]
) -> None:
    """Send a group's states one after the other, with pauses of `gap` seconds on average.

    Each goes to either replica until one answers with 2xx, and the next one only then.
    """
    async with aiohttp.ClientSession(timeout=ANSWER_TIMEOUT) as session:
        for state in states:
            await asyncio.sleep(chance.uniform(0, 2 * gap))
            while not await taken(session, chance.choice(urls), state.body):
                await asyncio.sleep(RETRY_EVERY)
            acknowledged.append(state.record)


async def taken(session: aiohttp.ClientSession, url: str, body: dict[str, Any]) -> bool:
    """Whether a replica answered with 2xx; one that refuses for good has a fault that no retry mends."""
    try:
        async with session.post(f"{url}{BASE_PATH}/webhook", json=body) as response:
            if 400 <= response.status < 500:
                raise AssertionError(f"refused with {response.status}: {await response.text()}")
            return response.ok
    except (aiohttp.ClientError, OSError, TimeoutError):
        return False
