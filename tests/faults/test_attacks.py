"""One sender attacks, and another one is served: its event loop, its memory and its time are bounded."""

import asyncio
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import pytest

from relay.app import BASE_PATH
from tests.faults.attacks import ATTACKS, PREPARATIONS
from tests.fixtures.processes import RelayProcess, create_channel, on_database
from tests.fixtures.relays import alert, webhook
from tests.fixtures.sink import Sink

MAX_LAG = 0.1
"""Seconds that the event loop may be late."""
MAX_MEMORY = 440
"""Megabytes."""
MAX_WAIT = 1.0
"""Seconds until the other sender has its 202."""

pytestmark = pytest.mark.slow


class MeasuredRelay(RelayProcess):
    """`relay serve`, which writes how late its event loop is."""

    module = "tests.faults.lag"


@dataclass
class Waits:
    """How long the other sender waited for each response, and responses that were not 202.

    `late` is how late its own process ran at most, which says how busy the machine is with other work.
    """

    seconds: list[float] = field(default_factory=list)
    refused: list[int] = field(default_factory=list)
    late: float = 0.0


@asynccontextmanager
async def other_sender(url: str) -> AsyncIterator[Waits]:
    """Sends a small webhook every 50 ms during a block."""
    waits = Waits()

    async def send() -> None:
        async with aiohttp.ClientSession() as session:
            for number in range(100_000):
                started = time.monotonic()
                body = webhook(alert(instance=str(number)), group=f"well-behaved {number}")
                async with session.post(f"{url}{BASE_PATH}/webhook", json=body) as response:
                    waits.seconds.append(time.monotonic() - started)
                    await response.read()
                    if response.status != 202:
                        waits.refused.append(response.status)
                paused = time.monotonic()
                await asyncio.sleep(0.05)
                waits.late = max(waits.late, time.monotonic() - paused - 0.05)

    task = asyncio.create_task(send())
    while not waits.seconds:
        await asyncio.sleep(0.01)
    try:
        yield waits
    finally:
        await asyncio.sleep(0.2)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@pytest.mark.parametrize("name", ATTACKS)
async def test_an_attack_does_not_stop_another_sender(
    database_url: str, sink: Sink, tmp_path: Path, name: str
) -> None:
    attack, expected = ATTACKS[name]
    lags = tmp_path / "lags"
    relay = MeasuredRelay(on_database(database_url) | {"RELAY_LAG_FILE": str(lags)})
    try:
        await relay.start()
        await create_channel(relay.url, name="Ops", channel_type="webhook", webhook_url=sink.url)
        if (prepare := PREPARATIONS.get(name)) is not None:
            await prepare(relay.url)
        lags.write_text("")  # not those of the start
        async with other_sender(relay.url) as waits:
            started = time.monotonic()
            statuses = await attack(relay.url)
            seconds = time.monotonic() - started
        memory = peak_memory(relay.pid)
        lag = max(map(float, lags.read_text().split()), default=0.0)
        seen = f"{name}: {statuses} in {seconds:.1f} s, lag {lag:.3f} s, {memory} MB, {max(waits.seconds):.2f} s"
        sys.stderr.write(f"{seen}\n")
        assert statuses <= expected
        assert not waits.refused
        assert lag <= MAX_LAG + waits.late
        assert memory <= MAX_MEMORY
        assert max(waits.seconds) <= MAX_WAIT + 3 * waits.late
        assert "Traceback" not in relay.output
    finally:
        await relay.kill()


def peak_memory(pid: int) -> int:
    """The most memory that a process had, in megabytes."""
    status = Path(f"/proc/{pid}/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")) // 1024
