"""Senders of the groups' states, which retry until they are acknowledged, as Alertmanager does."""

import asyncio
from collections.abc import Iterator, Sequence
from random import Random
from typing import Any, Final

import aiohttp

from relay.app import BASE_PATH
from tests.faults.torture.groups import State
from tests.faults.torture.records import Acknowledged

RESPONSE_TIMEOUT: Final = aiohttp.ClientTimeout(total=5.0)
RETRY_EVERY: Final = 0.1


async def send_group(
    states: Iterator[State], urls: Sequence[str], gap: float, rng: Random, acknowledged: list[Acknowledged]
) -> None:
    """Send a group's states one after the other, with pauses of `gap` seconds on average.

    Each is sent to random replicas until one responds with 2xx; only then the next one is sent.
    """
    async with aiohttp.ClientSession(timeout=RESPONSE_TIMEOUT) as session:
        for state in states:
            await asyncio.sleep(rng.uniform(0, 2 * gap))
            while not await accepted(session, rng.choice(urls), state.body):
                await asyncio.sleep(RETRY_EVERY)
            acknowledged.append(state.record)


async def accepted(session: aiohttp.ClientSession, url: str, body: dict[str, Any]) -> bool:
    """Whether a replica responds with 2xx. A 4xx fails the run, because no retry would help."""
    try:
        async with session.post(f"{url}{BASE_PATH}/webhook", json=body) as response:
            if 400 <= response.status < 500:
                raise AssertionError(f"rejected with {response.status}: {await response.text()}")
            return response.ok
    except (aiohttp.ClientError, OSError, TimeoutError):
        return False
