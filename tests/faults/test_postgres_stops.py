"""What happens to webhooks and deliveries when Postgres goes away, and comes back?"""

import asyncio
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import pytest

from relay.app import BASE_PATH
from relay.store import migrations
from relay.store.database import Database
from relay.store.embedded import EmbeddedPostgres
from tests.fixtures.postgres import short_folder
from tests.fixtures.relays import Relay, alert, running, webhook
from tests.fixtures.sink import Sink


class OwnPostgres(EmbeddedPostgres):
    """A server that this test may crash."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._pid_file = folder / "postgres" / "postmaster.pid"

    def crash(self) -> None:
        """SIGQUIT: an immediate shutdown, as after a power cut; the next start recovers from the log."""
        os.kill(self._pid(), signal.SIGQUIT)
        while self._pid_file.exists():
            time.sleep(0.02)

    def freeze(self, *, frozen: bool) -> None:
        """Stop all its processes where they stand, or let them go on."""
        main = self._pid()
        children = Path(f"/proc/{main}/task/{main}/children").read_text().split()
        for pid in (main, *map(int, children)):
            os.kill(pid, signal.SIGSTOP if frozen else signal.SIGCONT)

    def _pid(self) -> int:
        return int(self._pid_file.read_text().splitlines()[0])


@pytest.fixture
def postgres() -> Iterator[OwnPostgres]:
    """A Postgres of the test's own."""
    with short_folder() as folder:
        server = OwnPostgres(folder)
        server.start()
        yield server
        server.start()
        server.stop()


async def migrate(server: OwnPostgres) -> None:
    """Make the schema."""
    database = Database(server.url)
    await migrations.upgrade(database)
    await database.close()


async def test_webhooks_are_refused_within_a_second_and_taken_again_when_postgres_is_back(
    postgres: OwnPostgres, sink: Sink
) -> None:
    await migrate(postgres)
    async with running(postgres.url) as relay:
        await relay.channel(name="Ops", channel_type="webhook", webhook_url=sink.url)
        await relay.webhook(webhook(group="before"))
        await relay.settled(1)
        postgres.crash()

        for _ in range(3):
            started = time.monotonic()
            answer = await relay.webhook(webhook(group="during"))
            assert (answer.status, answer.json["status"]) == (503, 503)
            assert time.monotonic() - started < 1
        assert (await relay.call("GET", "-/ready")).status == 503
        assert (await relay.call("GET", "-/healthy")).status == 200
        assert (await relay.call("GET", "/channels")).status == 503

        postgres.start()
        await accepted(relay, webhook(group="after"))
        received = await sink.wait_for(2)
        assert received[1].json["group_key"] == '{}:{group="after"}'


async def test_nothing_is_lost_when_postgres_crashes_in_the_middle(postgres: OwnPostgres, sink: Sink) -> None:
    await migrate(postgres)
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

        await relay.settled(150, patience=40)
        told = {one.json["group_key"] for one in sink.received}
        assert len(told) == 150


async def test_a_frozen_postgres_is_refused_too(postgres: OwnPostgres) -> None:
    await migrate(postgres)
    async with running(postgres.url) as relay:
        await relay.webhook(webhook(group="before"))
        postgres.freeze(frozen=True)
        try:
            first = await relay.webhook(webhook(group="during"))
            started = time.monotonic()
            second = await relay.webhook(webhook(group="during"))
            assert (first.status, second.status) == (503, 503)
            assert time.monotonic() - started < 1
            assert (await relay.call("GET", "-/ready")).status == 503
        finally:
            postgres.freeze(frozen=False)
        await accepted(relay, webhook(group="after"))


async def accepted(relay: Relay, body: dict[str, object], delay: float = 0.0) -> None:
    """Send a webhook until it is taken, as Alertmanager would."""
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
