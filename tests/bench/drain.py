"""The rate at which a backlog is delivered, compared with a bare loop that posts the same to the same sink."""

import asyncio
import statistics
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from multiprocessing import get_context
from multiprocessing.connection import Connection

import aiohttp
import asyncpg
import uvloop
from aiohttp import web

from relay.deliver.throttle import MAX_CONCURRENCY
from relay.domain.alertmanager import decode_webhook
from relay.domain.channels import parse_channel
from relay.domain.notifications import Notification
from relay.notify.registry import notifier_for
from relay.notify.requests import Request
from tests.bench.figures import Amount, Figure
from tests.bench.ingest import body_of
from tests.fixtures.postgres import migrated_database
from tests.fixtures.processes import on_database, relay_process
from tests.fixtures.relays import running

DELIVERIES = 5_000
ENQUEUERS = 32
ROUNDS = 3
DURATION = """
SELECT count(DISTINCT d.id) AS deliveries, extract(epoch FROM max(d.delivered_at) - min(a.started_at)) AS seconds
FROM deliveries d JOIN attempts a ON a.delivery_id = d.id
"""


async def measure(url: str) -> list[Figure]:
    """Each delivery is a separate group with one alert. Lane and bare loop alternate; the medians count."""
    async with platform() as target:
        alternating = [(await bare_loop(target), await drain(url, target, lanes=1)) for _ in range(ROUNDS)]
        spread = {lanes: await drain(url, target, lanes=lanes) for lanes in (10, 1000)}
    bare, drained = (statistics.median(rates) for rates in zip(*alternating, strict=True))
    detail = f"{drained:,.0f} of {bare:,.0f} deliveries/s ({DELIVERIES} to one sink, {MAX_CONCURRENCY} at a time)"
    amounts = (Amount("deliveries/s", drained, is_rate=True),)
    return [
        Figure(
            "draining a backlog of one lane / a bare aiohttp loop", drained / bare, detail, 0.4, amounts=amounts
        ),
        *(
            Figure(
                f"draining a backlog of {lanes} lanes / of one",
                rate / drained,
                f"{rate:,.0f} deliveries/s",
                amounts=(Amount("deliveries/s", rate, is_rate=True),),
            )
            for lanes, rate in spread.items()
        ),
    ]


async def bare_loop(target: str) -> float:
    """Requests per second with bodies built beforehand."""
    channel = parse_channel({"name": "Ops", "channel_type": "webhook", "webhook_url": target})
    group = decode_webhook(body_of("bare", 1, size=1))
    notification = Notification(id="1", channel_id="ops", group=group, alerts=group.alerts)
    request = notifier_for(channel).request(channel, notification)
    assert isinstance(request, Request)
    left = iter(range(DELIVERIES))

    async def post(session: aiohttp.ClientSession) -> None:
        for _ in left:
            async with session.post(target, data=request.body, headers=request.headers) as response:
                await response.read()
                assert response.status == 200

    async with aiohttp.ClientSession() as session:
        started = time.perf_counter()
        await asyncio.gather(*(post(session) for _ in range(MAX_CONCURRENCY)))
        return DELIVERIES / (time.perf_counter() - started)


async def drain(url: str, target: str, lanes: int) -> float:
    """Deliveries per second of a `relay serve` that starts with the backlog, first attempt to last settlement."""
    async with migrated_database(url) as database_url:
        async with running(database_url, deliver=False) as relay:
            for lane in range(lanes):
                matchers = [f"lane={lane}"]
                await relay.channel(
                    name=f"Lane {lane}", channel_type="webhook", webhook_url=target, matchers=matchers
                )
            left = iter(range(DELIVERIES))

            async def enqueue() -> None:
                for at in left:
                    body = body_of("drain", at, size=1)
                    body = body.replace(b'"labels": {', b'"labels": {"lane": "%d", ' % (at % lanes))
                    assert (await relay.webhook_once(body)).status == 202

            await asyncio.gather(*(enqueue() for _ in range(ENQUEUERS)))
        connection = await asyncpg.connect(database_url)
        async with relay_process(on_database(database_url)):
            while await connection.fetchval("SELECT EXISTS (SELECT FROM deliveries WHERE state <> 'delivered')"):
                await asyncio.sleep(0.1)
        duration = await connection.fetchrow(DURATION)
        await connection.close()
    assert duration["deliveries"] == DELIVERIES
    return DELIVERIES / float(duration["seconds"])


@asynccontextmanager
async def platform() -> AsyncIterator[str]:
    """The URL of a platform in a separate process that accepts everything."""
    context = get_context("spawn")
    parent, child = context.Pipe()
    process = context.Process(target=sink, args=(child,), daemon=True)
    process.start()
    try:
        yield f"http://127.0.0.1:{await asyncio.to_thread(parent.recv)}/hook"
    finally:
        process.kill()
        process.join()


def sink(pipe: Connection) -> None:
    """Accept everything; send the port through the pipe."""

    async def serve() -> None:
        async def ok(request: web.BaseRequest) -> web.Response:
            await request.read()
            return web.Response(text="ok")

        runner = web.ServerRunner(web.Server(ok, access_log=None))
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        pipe.send(runner.addresses[0][1])
        await asyncio.Event().wait()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as event_loop:
        event_loop.run(serve())
