"""Tests of a very long backlog: it delays no other lane, and takes little memory."""

import asyncio
from pathlib import Path
from typing import Any

import aiohttp
import asyncpg
import pytest
from aiohttp import web

from relay.app import BASE_PATH
from tests.fixtures.processes import create_channel, on_database, relay_process
from tests.fixtures.relays import alert, webhook
from tests.fixtures.sink import Sink

WAITING = 100_000
MAX_MEMORY = 250 * 1024
"""KiB."""
QUIET = 5

pytestmark = pytest.mark.slow

BACKLOG = """
WITH storm AS (
  INSERT INTO series (id, tenant_id, source, identity, labels, reports, version)
  SELECT n, '', '', n::text::bytea,
    jsonb_build_object('alertname', 'Storm' || n % 20, 'instance', n::text), '[]', 1
  FROM generate_series(1, $1::int) AS n
  RETURNING id, labels ->> 'alertname' AS alertname, (labels ->> 'instance')::bigint AS n
), alert AS (
  INSERT INTO alerts (
    series_id, tenant_id, fingerprint, starts_at, status, alertname, severity, annotations, generator_url,
    first_received_at, last_received_at, group_hashes
  )
  SELECT id, '', n::text, now(), 'firing', alertname, 'warning', '{}', '', now(), now(), ARRAY[n] FROM storm
  RETURNING id, fingerprint::bigint AS n
), receipt AS (
  INSERT INTO receipts (group_hash, group_key, receiver, status, received_at, body, alert_ids)
  SELECT n, n::text, 'relay', 'firing', now(), replace($2, '#', n::text)::bytea, ARRAY[id] FROM alert
  RETURNING id, group_hash
)
INSERT INTO deliveries (
  receipt_id, channel_id, group_hash, rank, state, created_at, waiting_since, next_attempt_at
)
SELECT id, 'busy', group_hash, 2, 'pending', now(), now(), now() FROM receipt
"""
BODY = """{"groupKey": "#", "alerts": [{"status": "firing", "startsAt": "2026-11-23T15:33:27Z",
 "labels": {"alertname": "Storm", "instance": "#"}}]}"""


@pytest.mark.parametrize("limit", [None, {"per_second": 1, "burst": 1}], ids=["unlimited", "limited"])
async def test_a_hundred_thousand_waiting_deliveries_delay_no_other_channel(
    limit: dict[str, float] | None, database_url: str, sink: Sink
) -> None:
    async def slowly(_: web.Request) -> web.Response:
        await asyncio.sleep(0.02)
        return web.Response()

    sink.script = slowly
    database = await asyncpg.connect(database_url)
    async with relay_process(on_database(database_url)) as relay:
        await create_channel(relay.url, name="Quiet", alert_names=["Quiet"], **webhook_channel(sink, "quiet"))
        await create_channel(
            relay.url, name="Busy", alert_names=["Storm"], rate_limit=limit, **webhook_channel(sink, "busy")
        )
        await database.execute(BACKLOG, WAITING, BODY, timeout=120)
        await database.execute("ANALYZE")
        await database.execute(
            "UPDATE lanes SET enqueued = enqueued + 1, next_due = now() WHERE channel_id = 'busy'"
        )
        for number in range(1, QUIET + 1):
            await post_and_wait(relay.url, sink, number)
        busy = len(sink.at("/busy"))
        if limit is not None:
            await sink.wait_for(1, "/busy", max_wait=180)
            assert sink.at("/busy")[0].json["digest"]["groups"] == WAITING
        memory = peak_memory(relay.pid)
    await database.close()
    assert busy < WAITING / 10, "the backlog was delivered too fast for the test"
    assert memory < MAX_MEMORY


async def post_and_wait(url: str, sink: Sink, number: int) -> None:
    """Post a webhook, and wait until it arrives at the quiet channel's platform."""
    body = webhook(alert("Quiet", number=str(number)), group=f"quiet {number}")
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{url}{BASE_PATH}/webhook", json=body) as response,
    ):
        assert response.status == 202
    await sink.wait_for(number, "/quiet")


def webhook_channel(sink: Sink, path: str) -> dict[str, Any]:
    """The fields of a webhook channel."""
    return {"channel_type": "webhook", "webhook_url": f"{sink.url}/{path}"}


def peak_memory(pid: int) -> int:
    """The peak resident memory of a process in KiB."""
    [line] = [line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmHWM")]
    return int(line.split()[1])
