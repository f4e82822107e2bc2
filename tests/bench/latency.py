"""The latency of an alert from webhook to platform, compared with one commit plus one HTTP exchange."""

import asyncio
import time

import aiohttp
import asyncpg
from aiohttp import web

from relay.app import BASE_PATH
from tests.bench.figures import Amount, Figure, quantile
from tests.bench.ingest import body_of
from tests.fixtures.postgres import migrated_database
from tests.fixtures.processes import create_channel, on_database, relay_process

TIMES = 1200
WARM_UP = 50
PAUSE = 0.01
"""Seconds between two alerts, so that the relay is idle when the next one arrives."""


class Arrivals:
    """A platform that records when requests arrive."""

    def __init__(self) -> None:
        self.arrived = asyncio.Event()
        self.at = 0.0

    async def answer(self, request: web.BaseRequest) -> web.Response:
        """Accept the request."""
        await request.read()
        self.at = time.perf_counter()
        self.arrived.set()
        return web.Response(text="ok")


async def measure(url: str) -> list[Figure]:
    """Both alternate, one alert at a time, to the same platform and on the same Postgres."""
    arrivals = Arrivals()
    runner = web.ServerRunner(web.Server(arrivals.answer, access_log=None))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    target = f"http://127.0.0.1:{runner.addresses[0][1]}/hook"
    bare, relayed = [], []
    async with migrated_database(url) as database_url, aiohttp.ClientSession() as session:
        database = await asyncpg.connect(database_url)
        await database.execute("CREATE TABLE bare (id bigint GENERATED ALWAYS AS IDENTITY, body bytea)")
        async with relay_process(on_database(database_url)) as relay:
            await create_channel(relay.url, name="Ops", channel_type="webhook", webhook_url=target)
            for at in range(WARM_UP + TIMES):
                bare.append(await commit_and_post(database, session, target, at))
                await asyncio.sleep(PAUSE)
                relayed.append(await through(relay.url, session, arrivals, at))
                await asyncio.sleep(PAUSE)
        await database.close()
    await runner.cleanup()
    return [
        _figure(name, share, relayed[WARM_UP:], bare[WARM_UP:]) for name, share in (("p50", 0.5), ("p99", 0.99))
    ]


def _figure(name: str, share: float, relayed: list[float], bare: list[float]) -> Figure:
    ours, baseline = quantile(relayed, share), quantile(bare, share)
    detail = f"{ours * 1000:.1f} ms, baseline {baseline * 1000:.1f} ms ({TIMES} each)"
    return Figure(
        f"webhook to platform when idle / commit and exchange, {name}",
        ours / baseline,
        detail,
        at_most=4.0,
        amounts=(Amount("ms", ours * 1000),),
    )


async def commit_and_post(
    database: asyncpg.Connection, session: aiohttp.ClientSession, target: str, at: int
) -> float:
    """Seconds for one committed row and one HTTP exchange."""
    body = body_of("bare", at, size=1)
    started = time.perf_counter()
    await database.execute("INSERT INTO bare (body) VALUES ($1)", body)
    async with session.post(target, data=body) as answer:
        await answer.read()
    return time.perf_counter() - started


async def through(url: str, session: aiohttp.ClientSession, arrivals: Arrivals, at: int) -> float:
    """Seconds from sending the webhook to the arrival at the platform."""
    arrivals.arrived.clear()
    started = time.perf_counter()
    async with session.post(f"{url}{BASE_PATH}/webhook", data=body_of("relay", at, size=1)) as answer:
        assert answer.status == 202
    await arrivals.arrived.wait()
    return arrivals.at - started
