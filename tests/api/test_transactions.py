"""Requests are retried when a delivery that they waited for moves to another partition."""

import asyncio
from typing import Any

import asyncpg

from tests.fixtures.relays import ApiResponse, Relay, RelayFactory, webhook
from tests.fixtures.sink import Sink

SOMEONE_WAITS = "SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted)"


async def call_during_settlement(relay: Relay, sql: Any, database_url: str, method: str, path: str) -> ApiResponse:
    """Call the API while the only delivery is locked, and deliver it then."""
    async with sql.transaction():
        await sql.execute("UPDATE deliveries SET state = 'delivered', delivered_at = now()")
        call = asyncio.create_task(relay.call(method, path))
        observer = await asyncpg.connect(database_url)
        async with asyncio.timeout(20):
            while not await observer.fetchval(SOMEONE_WAITS):
                await asyncio.sleep(0.02)
        await observer.close()
    return await call


async def test_a_channel_is_deleted_while_its_delivery_settles(
    start_relay: RelayFactory, sink: Sink, sql: Any, database_url: str
) -> None:
    relay = await start_relay(deliver=False)
    await relay.channel(name="Ops", channel_type="webhook", webhook_url=sink.url)
    await relay.webhook(webhook())

    assert (await call_during_settlement(relay, sql, database_url, "DELETE", "/channels/ops")).status == 204

    assert [delivery["state"] for delivery in await relay.items("/deliveries")] == ["delivered"]


async def test_a_delivery_that_settles_during_the_request_is_redelivered(
    start_relay: RelayFactory, sink: Sink, sql: Any, database_url: str
) -> None:
    relay = await start_relay(deliver=False)
    await relay.channel(name="Ops", channel_type="webhook", webhook_url=sink.url)
    await relay.webhook(webhook())
    [pending] = await relay.items("/deliveries")

    response = await call_during_settlement(
        relay, sql, database_url, "POST", f"/deliveries/{pending['id']}/redeliver"
    )

    assert (response.status, response.json["state"], response.json["delivered_at"]) == (202, "pending", None)
