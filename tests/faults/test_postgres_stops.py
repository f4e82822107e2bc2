"""Tests of webhooks and deliveries while Postgres is down, and after it is back."""

import asyncio
import time
from collections.abc import Iterator

import aiohttp
import pytest

from relay.app import BASE_PATH
from tests.fixtures.postgres import OwnPostgres, migrate, short_folder
from tests.fixtures.relays import Relay, alert, running, webhook
from tests.fixtures.sink import Sink

pytestmark = pytest.mark.slow


@pytest.fixture
def postgres() -> Iterator[OwnPostgres]:
    """A separate Postgres."""
    with short_folder() as folder:
        server = OwnPostgres(folder)
        server.start()
        yield server
        server.start()
        server.stop()


async def test_webhooks_are_rejected_within_a_second_and_accepted_when_postgres_is_back(
    postgres: OwnPostgres, sink: Sink
) -> None:
    await migrate(postgres.url)
    async with running(postgres.url) as relay:
        await relay.channel(name="Ops", channel_type="webhook", webhook_url=sink.url)
        await relay.webhook(webhook(group="before"))
        await relay.settled(1)
        postgres.crash()

        for _ in range(3):
            started = time.monotonic()
            response = await relay.webhook_once(webhook(group="during"))
            assert (response.status, response.json["status"]) == (503, 503)
            assert time.monotonic() - started < 1
        assert (await relay.call("GET", "-/ready")).status == 503
        assert (await relay.call("GET", "-/healthy")).status == 200
        assert (await relay.call("GET", "/channels")).status == 503

        postgres.start()
        await accepted(relay, webhook(group="after"))
        received = await sink.wait_for(2)
        assert received[1].json["group_key"] == '{}:{group="after"}'


async def test_nothing_is_lost_when_postgres_crashes(postgres: OwnPostgres, sink: Sink) -> None:
    await migrate(postgres.url)
    async with running(postgres.url) as relay:
        await relay.channel(name="Ops", channel_type="webhook", webhook_url=sink.url)
        sending = asyncio.gather(
            *(accepted(relay, webhook(alert(instance=str(at)), group=str(at)), at * 0.01) for at in range(150))
        )
        for _ in range(2):
            await asyncio.sleep(0.4)
            postgres.crash()
            await asyncio.sleep(0.3)
            postgres.start()
        await sending

        await relay.settled(150, max_wait=40)
        assert len({request.json["group_key"] for request in sink.received}) == 150


async def test_webhooks_are_rejected_while_postgres_hangs(postgres: OwnPostgres) -> None:
    await migrate(postgres.url)
    async with running(postgres.url) as relay:
        await relay.webhook(webhook(group="before"))
        postgres.freeze(frozen=True)
        try:
            first = await relay.webhook_once(webhook(group="during"))
            started = time.monotonic()
            second = await relay.webhook_once(webhook(group="during"))
            assert (first.status, second.status) == (503, 503)
            assert time.monotonic() - started < 1
            assert (await relay.call("GET", "-/ready")).status == 503
        finally:
            postgres.freeze(frozen=False)
        await accepted(relay, webhook(group="after"))


async def accepted(relay: Relay, body: dict[str, object], delay: float = 0.0) -> None:
    """Send a webhook until it is accepted, as Alertmanager does."""
    await asyncio.sleep(delay)
    async with asyncio.timeout(30):
        while True:
            try:
                async with relay.session.post(f"{relay.url}{BASE_PATH}/webhook", json=body) as response:
                    if response.status == 202:
                        return
            except aiohttp.ClientError:
                pass
            await asyncio.sleep(0.1)
