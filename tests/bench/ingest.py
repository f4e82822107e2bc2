"""How much of the bare statement's rate does durable ingest through HTTP reach?"""

import asyncio
import itertools
import json
import time
from datetime import UTC, datetime, timedelta
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import Any

import asyncpg
import uvloop

from relay.app import BASE_PATH
from relay.domain.alertmanager import decode_webhook
from relay.domain.channel_types import Filters
from relay.receive.batch import Webhook, build
from relay.route.table import Table
from relay.store.outbox.ingest import INGEST, arguments
from tests.bench.figures import Figure, quantile
from tests.fixtures.postgres import migrated_database
from tests.fixtures.processes import create_channel, on_database, relay_process
from tests.fixtures.relays import sample

CONNECTIONS = 32
ALERTS = 10
SECONDS = 5.0
ROUNDS = 3
NOWHERE = "http://127.0.0.1:9/"

_alert = json.loads(sample("firing-two"))["alerts"][0]


async def measure(url: str) -> list[Figure]:
    """Both in turn, several rounds, on one database; the best round of each counts."""
    bare, http, latencies = 0.0, 0.0, [0.0]
    async with (
        migrated_database(url) as database_url,
        relay_process(on_database(database_url), "--no-delivery") as relay,
    ):
        await create_channel(relay.url, name="Ops", channel_type="webhook", webhook_url=NOWHERE)
        connection = await asyncpg.connect(database_url)
        for turn in range(ROUNDS):
            bare = max(bare, await bare_rate(connection, f"bare-{turn}"))
            rate, found = await asyncio.to_thread(in_another_process, relay.port, f"http-{turn}")
            http, latencies = max((http, latencies), (rate, found))
        await connection.close()
    p50, p99 = quantile(latencies, 0.5) * 1000, quantile(latencies, 0.99) * 1000
    behind = (
        f"{http:,.0f} of {bare:,.0f} webhooks/s ({ALERTS} alerts each, {CONNECTIONS} connections); "
        f"p50 {p50:.1f} ms, p99 {p99:.1f} ms"
    )
    return [Figure("durable ingest over HTTP / the bare statement", http / bare, behind, at_least=0.5)]


async def bare_rate(connection: Any, prefix: str) -> float:
    """Webhooks a second by the bare statement, the arguments made beforehand, in batches as large as HTTP's."""
    version = await connection.fetchval("SELECT version FROM config_version")
    routes = Table(version, {"ops": Filters()}, "tenant_id")
    now = datetime.now(UTC)
    bodies = (body_of(prefix, at) for at in itertools.count())
    done, spent = 0, 0.0
    while spent < SECONDS:
        webhooks = [Webhook(body, decode_webhook(body)) for body in itertools.islice(bodies, CONNECTIONS)]
        batch = build(webhooks, routes, now)
        values = arguments(batch.alerts, batch.webhooks)
        started = time.perf_counter()
        rows = await connection.fetch(INGEST, version, now, timedelta(seconds=60), *values)
        spent += time.perf_counter() - started
        assert len(rows) == CONNECTIONS
        done += CONNECTIONS
    return done / spent


def in_another_process(port: int, prefix: str) -> tuple[float, list[float]]:
    """Load from a process of its own, so that it does not share the measuring one's loop."""
    context = get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=load, args=(theirs, port, prefix))
    process.start()
    rate, latencies = ours.recv()
    process.join()
    return rate, latencies


def load(answer: Connection, port: int, prefix: str) -> None:
    """Send for some seconds over all connections; answer the rate and the latencies in seconds."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        answer.send(runner.run(send_all(port, prefix)))


async def send_all(port: int, prefix: str) -> tuple[float, list[float]]:
    """Webhooks a second, and how long each took."""
    numbers = itertools.count()
    latencies: list[float] = []
    started = time.perf_counter()
    await asyncio.gather(*(send_one(port, prefix, numbers, latencies, started) for _ in range(CONNECTIONS)))
    return len(latencies) / (time.perf_counter() - started), latencies


async def send_one(
    port: int, prefix: str, numbers: "itertools.count[int]", latencies: list[float], started: float
) -> None:
    """One connection: a webhook after the other."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    head = f"POST {BASE_PATH}/webhook HTTP/1.1\r\nHost: relay\r\nContent-Type: application/json\r\n"
    while time.perf_counter() - started < SECONDS:
        body = body_of(prefix, next(numbers))
        sent = time.perf_counter()
        writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        answered = await reader.readuntil(b"\r\n\r\n")
        assert answered.startswith(b"HTTP/1.1 202"), answered
        length = next(
            int(line[15:]) for line in answered.lower().split(b"\r\n") if line.startswith(b"content-length:")
        )
        await reader.readexactly(length)
        latencies.append(time.perf_counter() - sent)
    writer.close()


def template(size: int) -> tuple[bytes, ...]:
    """A webhook's body with so many alerts, cut where its number goes."""
    alerts = [
        _alert | {"fingerprint": f"{at:02d}@@", "labels": _alert["labels"] | {"instance": f"api-{at}-@@:8000"}}
        for at in range(size)
    ]
    body = json.loads(sample("firing-two")) | {"alerts": alerts, "groupKey": '{}:{n="@@"}'}
    return tuple(json.dumps(body).encode().split(b"@@"))


_templates = {size: template(size) for size in (1, ALERTS)}


def body_of(prefix: str, at: int, size: int = ALERTS) -> bytes:
    """The body of a webhook that nobody has sent before."""
    return f"{prefix}-{at}".encode().join(_templates[size])
