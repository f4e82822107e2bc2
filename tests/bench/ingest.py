"""The rate of durable ingest over HTTP, compared with the rate of the bare SQL statement."""

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
from relay.domain.identity import Sender
from relay.receive.batch import decide
from relay.receive.incoming import Webhook, derive, series_keys
from relay.receive.known import Known
from relay.route.configuration import Configuration
from relay.route.silences import SilenceTable
from relay.route.table import RoutingTable
from relay.store.outbox import ingest
from relay.store.outbox.ingest_rows import FreshIds
from relay.store.postgres.statements import read
from tests.bench.figures import Amount, Figure, quantile
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
    """Both alternate for several rounds on one database; the best round of each counts."""
    bare, http, latencies = 0.0, 0.0, [0.0]
    async with (
        migrated_database(url) as database_url,
        relay_process(on_database(database_url), "--no-delivery") as relay,
    ):
        await create_channel(relay.url, name="Ops", channel_type="webhook", webhook_url=NOWHERE)
        connection = await asyncpg.connect(database_url)
        await connection.execute("SET enable_seqscan = off")
        for number in range(ROUNDS):
            bare = max(bare, await bare_rate(connection, f"bare-{number}"))
            rate, found = await asyncio.to_thread(in_another_process, relay.port, f"http-{number}")
            http, latencies = max((http, latencies), (rate, found))
        await connection.close()
    p50, p99 = quantile(latencies, 0.5) * 1000, quantile(latencies, 0.99) * 1000
    detail = (
        f"{http:,.0f} of {bare:,.0f} webhooks/s ({ALERTS} alerts each, {CONNECTIONS} connections); "
        f"p50 {p50:.1f} ms, p99 {p99:.1f} ms"
    )
    amounts = (
        Amount("webhooks/s over HTTP", http, is_rate=True),
        Amount("webhooks/s of the bare statement", bare, is_rate=True),
    )
    return [Figure("durable ingest over HTTP / the bare statement", http / bare, detail, 0.5, amounts=amounts)]


async def bare_rate(connection: Any, prefix: str) -> float:
    """Webhooks per second of the bare statements that one process runs, in batches as large as over HTTP."""
    sender = Sender("http://alertmanager.example.com", "127.0.0.1")
    version = await connection.fetchval("SELECT version FROM config_version")
    routes = Configuration(RoutingTable(version, {"ops": Filters()}, "tenant_id"), SilenceTable(version, {}))
    now, known = datetime.now(UTC), Known()
    bodies = (body_of(prefix, at) for at in itertools.count())
    done, elapsed = 0, 0.0
    while elapsed < SECONDS:
        webhooks = [
            derive(Webhook(body=body, group=decode_webhook(body), sender=sender, received_at=now), "tenant_id")
            for body in itertools.islice(bodies, CONNECTIONS)
        ]
        keys, groups = series_keys(webhooks), [webhook.group_hash for webhook in webhooks]
        started = time.perf_counter()
        stored = known.state(groups, keys, len(keys), len(webhooks))
        if stored is None:
            stored = await ingest.load(connection, groups, keys, len(keys), len(webhooks))
        elapsed += time.perf_counter() - started
        batch = decide(webhooks, stored, routes, timedelta(seconds=60))
        values = {name: getattr(batch.rows, name) for name in batch.rows.__struct_fields__}
        alerts, receipts = known.ids_to_draw(len(keys), len(webhooks))
        numbers = {"version": version, "next_alerts": alerts, "next_receipts": receipts}
        arguments = ingest.INGEST.arguments(numbers | values)
        started = time.perf_counter()
        rows = await connection.fetch(ingest.INGEST.sql, *arguments)
        elapsed += time.perf_counter() - started
        known.committed(stored, batch.rows, read(rows[0], FreshIds))
        done += CONNECTIONS
    return done / elapsed


def in_another_process(port: int, prefix: str) -> tuple[float, list[float]]:
    """Generate the load in a separate process, which does not share the event loop of this one."""
    context = get_context("spawn")
    parent, child = context.Pipe()
    process = context.Process(target=load, args=(child, port, prefix))
    process.start()
    rate, latencies = parent.recv()
    process.join()
    return rate, latencies


def load(pipe: Connection, port: int, prefix: str) -> None:
    """Send for some seconds over all connections; send the rate and the latencies (seconds) through the pipe."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        pipe.send(runner.run(send_all(port, prefix)))


async def send_all(port: int, prefix: str) -> tuple[float, list[float]]:
    """Webhooks per second, and the latency of each in seconds."""
    numbers = itertools.count()
    latencies: list[float] = []
    started = time.perf_counter()
    await asyncio.gather(*(send_one(port, prefix, numbers, latencies, started) for _ in range(CONNECTIONS)))
    return len(latencies) / (time.perf_counter() - started), latencies


async def send_one(
    port: int, prefix: str, numbers: "itertools.count[int]", latencies: list[float], started: float
) -> None:
    """One connection: one webhook after the other."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    head = f"POST {BASE_PATH}/webhook HTTP/1.1\r\nHost: relay\r\nContent-Type: application/json\r\n"
    while time.perf_counter() - started < SECONDS:
        body = body_of(prefix, next(numbers))
        sent = time.perf_counter()
        writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        response = await reader.readuntil(b"\r\n\r\n")
        assert response.startswith(b"HTTP/1.1 202"), response
        length = next(
            int(line[15:]) for line in response.lower().split(b"\r\n") if line.startswith(b"content-length:")
        )
        await reader.readexactly(length)
        latencies.append(time.perf_counter() - sent)
    writer.close()


def template(size: int) -> tuple[bytes, ...]:
    """The body of a webhook with `size` alerts, split where its number is inserted."""
    alerts = [
        _alert | {"fingerprint": f"{at:02d}@@", "labels": _alert["labels"] | {"instance": f"api-{at}-@@:8000"}}
        for at in range(size)
    ]
    body = json.loads(sample("firing-two")) | {"alerts": alerts, "groupKey": '{}:{n="@@"}'}
    return tuple(json.dumps(body).encode().split(b"@@"))


_templates = {size: template(size) for size in (1, ALERTS)}


def body_of(prefix: str, at: int, size: int = ALERTS) -> bytes:
    """The body of a new webhook."""
    return f"{prefix}-{at}".encode().join(_templates[size])
