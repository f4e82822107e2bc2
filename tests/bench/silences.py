"""Ingest with very many silences compared with none, and the release of many groups when a silence ends."""

import asyncio
import json
import time
import uuid
from datetime import UTC, datetime, timedelta

import asyncpg

from tests.bench.drain import platform
from tests.bench.figures import Amount, Figure
from tests.bench.ingest import ALERTS, body_of, in_another_process
from tests.fixtures.postgres import migrated_database
from tests.fixtures.processes import create_channel, on_database, relay_process
from tests.fixtures.relays import running

CHANNELS = 1_000
SILENCES = 20_000
ROUNDS = 3
GROUPS = 1_000
ENQUEUERS = 32
MAX_RELEASE = 5.0
"""Seconds."""
NOWHERE = "http://127.0.0.1:9/"
ADD_CHANNELS = """
INSERT INTO channels (id, channel_type, config, sealed)
SELECT id || '-' || n, channel_type, config || jsonb_build_object(
  'name', n::text, 'matchers', jsonb_build_array(format('instance=~"db-%s-.*"', n))
), sealed
FROM channels, generate_series(2, $1) AS n
"""
ADD_SILENCES = """
INSERT INTO silences (id, body, starts_at, ends_at)
SELECT body ->> 'id', body - 'id', (body ->> 'starts_at')::timestamptz, (body ->> 'ends_at')::timestamptz
FROM jsonb_array_elements($1::jsonb) AS body
"""


async def measure(url: str) -> list[Figure]:
    """The two relays are loaded alternately; the best round of each counts."""
    return [await ingest(url), await release(url)]


async def ingest(url: str) -> Figure:
    """The rate of webhooks with 1,000 channels and 20,000 silences, of which none applies to them."""
    rates = [0.0, 0.0]
    async with (
        migrated_database(url) as without_url,
        migrated_database(url) as with_url,
        relay_process(on_database(without_url), "--no-delivery") as without,
        relay_process(on_database(with_url), "--no-delivery") as silenced,
    ):
        for relay, database_url in ((without, without_url), (silenced, with_url)):
            await create_channel(relay.url, name="Ops", channel_type="webhook", webhook_url=NOWHERE)
            connection = await asyncpg.connect(database_url)
            await connection.execute(ADD_CHANNELS, CHANNELS)
            if relay is silenced:
                await connection.execute(ADD_SILENCES, json.dumps([one_of_many(at) for at in range(SILENCES)]))
            await connection.close()
        for number in range(ROUNDS):
            for at, relay in enumerate((without, silenced)):
                rate, _ = await asyncio.to_thread(in_another_process, relay.port, f"{at}-{number}")
                rates[at] = max(rates[at], rate)
    detail = f"{rates[1]:,.0f} of {rates[0]:,.0f} webhooks/s ({CHANNELS:,} channels, {SILENCES:,} silences)"
    name = "ingest with many silences / with none"
    return Figure(name, rates[1] / rates[0], detail, 0.9, amounts=(Amount("webhooks/s", rates[1], is_rate=True),))


def one_of_many(at: int) -> dict[str, object]:
    """A silence as people create them: of an alert on an instance, on a group of instances, or of a namespace."""
    matchers = (
        [("alertname", "=", "HighErrorRate"), ("instance", "=", f"web-{at}:9100")],
        [("alertname", "=", f"Alert{at % 500}"), ("instance", "=~", f"db-{at}-.*")],
        [("namespace", "=", f"team-{at % 300}"), ("severity", "!=", "critical")],
    )[at % 3]
    return silence(matchers)


def silence(matchers: list[tuple[str, str, str]]) -> dict[str, object]:
    """A silence of an hour, as it is stored."""
    now = datetime.now(UTC)
    return {
        "id": str(uuid.uuid4()),
        "matchers": [{"name": name, "op": op, "value": value} for name, op, value in matchers],
        "starts_at": now.isoformat(),
        "ends_at": (now + timedelta(hours=1)).isoformat(),
        "created_by": "bench",
        "comment": "",
    }


async def release(url: str) -> Figure:
    """The time from the end of a silence until the groups that it held back are sent."""
    async with platform() as target, migrated_database(url) as database_url:
        connection = await asyncpg.connect(database_url)
        async with running(database_url, deliver=False) as relay:
            await relay.channel(name="Ops", channel_type="webhook", webhook_url=target)
            every = silence([("alertname", "=~", ".+")])
            await connection.execute(ADD_SILENCES, json.dumps([every]))
            left = iter(range(GROUPS))

            async def enqueue() -> None:
                for at in left:
                    response = await relay.webhook(body_of("release", at))
                    assert (response.status, response.json["suppressed"]) == (202, ALERTS)

            await asyncio.gather(*(enqueue() for _ in range(ENQUEUERS)))
        async with relay_process(on_database(database_url)):
            await asyncio.sleep(2)
            started = time.perf_counter()
            await connection.execute(
                "UPDATE silences SET ends_at = now(), body = body || jsonb_build_object('ends_at', now())"
            )
            count = "SELECT count(*) FROM deliveries WHERE state = 'delivered'"
            while await connection.fetchval(count) < GROUPS:
                await asyncio.sleep(0.05)
            seconds = time.perf_counter() - started
        await connection.close()
    detail = f"seconds until {GROUPS * ALERTS:,} alerts in {GROUPS:,} groups are sent after the end of a silence"
    return Figure("release of what a silence held back", seconds, detail, at_most=MAX_RELEASE)
