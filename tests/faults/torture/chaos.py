"""What goes wrong during a run: replicas are killed, Postgres is restarted, platforms and channels go away?"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Final

import aiohttp
import asyncpg

from relay.app import BASE_PATH
from relay.deliver.worker import MAX_IN_FLIGHT
from tests.faults.torture.records import Interruption
from tests.faults.torture.sinks import Sink
from tests.fixtures.postgres import OwnPostgres
from tests.fixtures.processes import RelayProcess
from tests.fixtures.relays import ADMIN_KEY

NOWHERE: Final = "http://does-not-exist.invalid/"
RETRY_EVERY: Final = 0.2
RESTARTS: Final = ("fast", "immediate")


@dataclass
class Chaos:
    """Breaks and mends, each thing in its own time, until it is told to end; it leaves everything mended."""

    replicas: Sequence[RelayProcess]
    postgres: OwnPostgres
    sinks: Sequence[Sink]
    chance: Random
    kill_every: tuple[float, float]
    """Seconds from one kill to the next, at least and at most."""
    restarts_at: dict[str, float]
    """When Postgres is restarted, in seconds from the start, by kind."""
    least_kills: int
    """Replicas are killed so often at least, however soon the event comes."""
    interruptions: list[Interruption] = field(default_factory=list)
    kills: int = 0
    outages: int = 0

    async def run(self, end: asyncio.Event) -> None:
        """Wreak havoc until the event."""
        await asyncio.gather(self._kill(end), self._cut_off(end))

    async def _kill(self, end: asyncio.Event) -> None:
        """One after the other, for a replica starts only while Postgres is there."""
        due = sorted((at, kind) for kind, at in self.restarts_at.items())
        begun = asyncio.get_running_loop().time()
        while not await ended(end, self.chance.uniform(*self.kill_every)) or self.kills < self.least_kills:
            if due and asyncio.get_running_loop().time() - begun >= due[0][0]:
                await self._restart_postgres(due.pop(0)[1])
            else:
                await self._restart_replica()
        for _, kind in due:
            await self._restart_postgres(kind)

    async def _restart_replica(self) -> None:
        number = self.chance.randrange(len(self.replicas))
        await self.replicas[number].kill()
        self.kills += 1
        in_flight = min(await self._sending(), MAX_IN_FLIGHT)
        self.interruptions.append(Interruption(f"SIGKILL to replica {number + 1}", in_flight))
        await asyncio.sleep(self.chance.uniform(0, 1))
        await self.replicas[number].start()

    async def _restart_postgres(self, kind: str) -> None:
        """A crash may undo claims, which are not waited for on disk; a fast stop breaks connections off only."""
        in_flight = min(await self._sending(), MAX_IN_FLIGHT * len(self.replicas)) if kind == "immediate" else 0
        await asyncio.to_thread(self.postgres.crash if kind == "immediate" else self.postgres.shut_down)
        self.interruptions.append(Interruption(f"Postgres stopped ({kind})", in_flight))
        await asyncio.sleep(self.chance.uniform(0, 1))
        await asyncio.to_thread(self.postgres.start)

    async def _sending(self) -> int:
        connection = await asyncpg.connect(self.postgres.url)
        try:
            return int(await connection.fetchval("SELECT count(*) FROM deliveries WHERE state = 'sending'"))
        finally:
            await connection.close()

    async def _cut_off(self, end: asyncio.Event) -> None:
        """Now and then a platform is down for a moment, or a channel points to where it is not."""
        while not await ended(end, self.chance.uniform(*self.kill_every)):
            sink = self.chance.choice(self.sinks)
            wrong = self.chance.choice((None, NOWHERE, sink.platform.url.replace("http:", "https:")))
            self.outages += 1
            if wrong is None:
                await sink.platform.stop()
                await asyncio.sleep(self.chance.uniform(0.2, 1))
                await sink.platform.start()
            else:
                await self._point(sink, wrong)
                await asyncio.sleep(self.chance.uniform(0.2, 1))
                await self._point(sink, sink.platform.url)

    async def _point(self, sink: Sink, url: str) -> None:
        """Give a channel a URL, over whichever replica takes the change."""
        headers = {"Authorization": f"Bearer {ADMIN_KEY}"}
        timeout = aiohttp.ClientTimeout(total=5)
        async with aiohttp.ClientSession(headers=headers, timeout=timeout) as session:
            while not await self._changed(session, sink, url):
                await asyncio.sleep(RETRY_EVERY)

    async def _changed(self, session: aiohttp.ClientSession, sink: Sink, url: str) -> bool:
        replica = self.chance.choice(self.replicas)
        path = f"{replica.url}{BASE_PATH}/channels/{sink.channel}"
        try:
            async with session.patch(path, json={"webhook_url": url}) as response:
                if 400 <= response.status < 500:
                    raise AssertionError(f"refused with {response.status}: {await response.text()}")
                return response.ok
        except (aiohttp.ClientError, OSError, TimeoutError):
            return False


async def ended(end: asyncio.Event, seconds: float) -> bool:
    """Wait so long, or until the event; whether it came."""
    try:
        async with asyncio.timeout(seconds):
            await end.wait()
    except TimeoutError:
        return False
    return True
