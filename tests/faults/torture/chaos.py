"""The faults of a run: killed replicas, restarts of Postgres, and outages of platforms and channels."""

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
    """Causes faults and ends them, until it is stopped; at the end everything works."""

    replicas: Sequence[RelayProcess]
    postgres: OwnPostgres
    sinks: Sequence[Sink]
    rng: Random
    kill_every: tuple[float, float]
    """The minimum and maximum of seconds between kills."""
    restarts_at: dict[str, float]
    """When Postgres is restarted, in seconds from the start, by kind."""
    min_kills: int
    """The minimum number of kills, even if the run ends sooner."""
    interruptions: list[Interruption] = field(default_factory=list)
    kills: int = 0
    outages: int = 0

    async def run(self, end: asyncio.Event) -> None:
        """Cause faults until the event."""
        await asyncio.gather(self._kill(end), self._cut_off(end))

    async def _kill(self, end: asyncio.Event) -> None:
        """One after the other, because a replica starts only while Postgres runs."""
        due = sorted((at, kind) for kind, at in self.restarts_at.items())
        started = asyncio.get_running_loop().time()
        while not await ended(end, self.rng.uniform(*self.kill_every)) or self.kills < self.min_kills:
            if due and asyncio.get_running_loop().time() - started >= due[0][0]:
                await self._restart_postgres(due.pop(0)[1])
            else:
                await self._restart_replica()
        for _, kind in due:
            await self._restart_postgres(kind)

    async def _restart_replica(self) -> None:
        number = self.rng.randrange(len(self.replicas))
        await self.replicas[number].kill()
        self.kills += 1
        in_flight = min(await self._sending(), MAX_IN_FLIGHT)
        self.interruptions.append(Interruption(f"SIGKILL to replica {number + 1}", in_flight))
        await asyncio.sleep(self.rng.uniform(0, 1))
        await self.replicas[number].start()

    async def _restart_postgres(self, kind: str) -> None:
        """A crash may undo claims, which do not wait for the disk; a fast stop only closes connections."""
        in_flight = min(await self._sending(), MAX_IN_FLIGHT * len(self.replicas)) if kind == "immediate" else 0
        await asyncio.to_thread(self.postgres.crash if kind == "immediate" else self.postgres.shut_down)
        self.interruptions.append(Interruption(f"Postgres stopped ({kind})", in_flight))
        await asyncio.sleep(self.rng.uniform(0, 1))
        await asyncio.to_thread(self.postgres.start)

    async def _sending(self) -> int:
        connection = await asyncpg.connect(self.postgres.url)
        try:
            return int(await connection.fetchval("SELECT count(*) FROM deliveries WHERE state = 'sending'"))
        finally:
            await connection.close()

    async def _cut_off(self, end: asyncio.Event) -> None:
        """Stop a platform for a moment, or give its channel a wrong URL."""
        while not await ended(end, self.rng.uniform(*self.kill_every)):
            sink = self.rng.choice(self.sinks)
            wrong = self.rng.choice((None, NOWHERE, sink.platform.url.replace("http:", "https:")))
            self.outages += 1
            if wrong is None:
                await sink.platform.stop()
                await asyncio.sleep(self.rng.uniform(0.2, 1))
                await sink.platform.start()
            else:
                await self._point(sink, wrong)
                await asyncio.sleep(self.rng.uniform(0.2, 1))
                await self._point(sink, sink.platform.url)

    async def _point(self, sink: Sink, url: str) -> None:
        """Set a channel's URL through any replica that accepts the change."""
        headers = {"Authorization": f"Bearer {ADMIN_KEY}"}
        timeout = aiohttp.ClientTimeout(total=5)
        async with aiohttp.ClientSession(headers=headers, timeout=timeout) as session:
            while not await self._changed(session, sink, url):
                await asyncio.sleep(RETRY_EVERY)

    async def _changed(self, session: aiohttp.ClientSession, sink: Sink, url: str) -> bool:
        replica = self.rng.choice(self.replicas)
        path = f"{replica.url}{BASE_PATH}/channels/{sink.channel}"
        try:
            async with session.patch(path, json={"webhook_url": url}) as response:
                if 400 <= response.status < 500:
                    raise AssertionError(f"rejected with {response.status}: {await response.text()}")
                return response.ok
        except (aiohttp.ClientError, OSError, TimeoutError):
            return False


async def ended(end: asyncio.Event, seconds: float) -> bool:
    """Wait for the event or a number of seconds; return whether the event is set."""
    try:
        async with asyncio.timeout(seconds):
            await end.wait()
    except TimeoutError:
        return False
    return True
