"""Tests of statements that Postgres cancels, as an administrator or a time-out may do."""

import asyncio

import asyncpg
import pytest

from tests.fixtures.relays import Relay, alert, webhook
from tests.fixtures.sink import Sink

WEBHOOKS = 60

pytestmark = pytest.mark.slow

CANCEL = """
SELECT count(pg_cancel_backend(pid)) FROM pg_stat_activity
WHERE datname = current_database() AND application_name = 'alert-relay' AND state = 'active'
"""


async def test_canceled_statements_lose_nothing_and_stop_no_task(
    relay: Relay, sink: Sink, database_url: str
) -> None:
    await relay.channel(name="Ops", channel_type="webhook", webhook_url=sink.url)
    administrator = await asyncpg.connect(database_url)
    locking = await asyncpg.connect(database_url)
    sending = asyncio.gather(*(accepted(relay, at) for at in range(WEBHOOKS)))
    for _ in range(6):
        # Statements that wait for these locks are certainly active when they are canceled.
        async with locking.transaction():
            await locking.execute("LOCK TABLE lanes IN EXCLUSIVE MODE")
            await asyncio.sleep(0.1)
            await administrator.execute(CANCEL)
        await asyncio.sleep(0.1)
    await sending
    await locking.close()
    await administrator.close()

    await relay.settled(WEBHOOKS, max_wait=40)
    assert len({request.json["group_key"] for request in sink.received}) == WEBHOOKS


async def accepted(relay: Relay, at: int) -> None:
    """Send a webhook until it is accepted."""
    await asyncio.sleep(at * 0.02)
    async with asyncio.timeout(30):
        while (await relay.webhook(webhook(alert(instance=str(at)), group=str(at)))).status != 202:
            await asyncio.sleep(0.1)
