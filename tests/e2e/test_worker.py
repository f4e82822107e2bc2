"""Tests of `relay worker` as a process: it delivers, and serves metrics."""

import aiohttp
import pytest

from tests.fixtures.processes import create_channel, free_port, on_database, relay_process, worker_process
from tests.fixtures.relays import webhook
from tests.fixtures.sink import Sink

pytestmark = pytest.mark.slow


async def test_a_worker_delivers_what_another_process_received_and_serves_its_metrics(
    database_url: str, sink: Sink
) -> None:
    environ, port = on_database(database_url), free_port()
    async with (
        relay_process(environ, "--no-delivery") as relay,
        worker_process(environ, "--metrics-port", str(port)),
        aiohttp.ClientSession() as session,
    ):
        await create_channel(relay.url, name="Ops", channel_type="webhook", webhook_url=sink.url)
        await session.post(f"{relay.url}/api/v1/monitoring/alerts/webhook", json=webhook())
        await sink.wait_for(1)

        async with session.get(f"http://127.0.0.1:{port}/metrics") as response:
            page = await response.text()
    assert 'relay_delivery_attempts_total{channel_type="webhook",outcome="sent",reason=""}' in page
