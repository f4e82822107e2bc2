"""Two processes that write webhooks into one database, each with what it knows from its own commits."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta

import pytest
from sqlalchemy import text

from relay.domain.alerts import Alert, Group
from relay.domain.identity import Sender
from relay.receive.backlog import WebhookResult
from relay.receive.writer import Writer
from relay.store.postgres.database import Database
from relay.telemetry import Metrics
from tests.receive.histories import firing, resolved


@asynccontextmanager
async def running_writer(database: Database) -> AsyncIterator[Writer]:
    writer = Writer(database, "tenant_id", timedelta(seconds=60), 1e9, Metrics(), lambda _: None)
    task = asyncio.create_task(writer.run())
    try:
        yield writer
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@pytest.fixture
async def writers(database: Database) -> AsyncIterator[tuple[Writer, Writer]]:
    async with AsyncExitStack() as stack:
        first, second = [await stack.enter_async_context(running_writer(database)) for _ in range(2)]
        for writer, name in ((first, "x"), (second, "y")):  # both know ids, so that they need not read
            await submit(writer, firing(name), group=name)
        yield first, second


async def submit(writer: Writer, alert: Alert, source: str = "", group: str = "g") -> WebhookResult:
    received = Group(
        group_key=group,
        receiver="relay",
        alerts=(alert,),
        group_labels={},
        common_labels={},
        common_annotations={},
        external_url="http://am",
        truncated=0,
    )
    return await writer.submit(b"{}", received, Sender("http://am", "10.0.0.1"), source)


async def open_alerts(database: Database) -> list[tuple[str, str]]:
    statement = "SELECT alertname, source FROM alerts WHERE end_reason IS NULL AND alertname = 'a'"
    async with database.begin() as connection:
        return [tuple(row) for row in await connection.execute(text(statement))]


async def test_a_process_ends_what_another_one_has_opened(
    database: Database, writers: tuple[Writer, Writer]
) -> None:
    first, second = writers
    await submit(first, firing("a"))

    assert not (await submit(second, resolved("a"))).duplicate
    assert await open_alerts(database) == []


async def test_a_process_adopts_what_another_one_has_opened_without_a_source(
    database: Database, writers: tuple[Writer, Writer]
) -> None:
    first, second = writers
    await submit(first, firing("a"))

    await submit(second, firing("a"), source="eu")
    assert await open_alerts(database) == [("a", "eu")]

    await submit(first, resolved("a"), source="eu")
    assert await open_alerts(database) == []


async def test_a_process_adopts_what_has_fired_again_since_it_looked(
    database: Database, writers: tuple[Writer, Writer]
) -> None:
    first, second = writers
    await submit(first, firing("a"))
    await submit(first, resolved("a"))
    await submit(second, firing("b"), source="eu")
    await submit(second, firing("a", starts="09:00"), source="us")  # looks up the ended series
    await submit(second, resolved("a", starts="09:00"), source="us")
    await submit(first, firing("a", starts="10:20"))

    await submit(second, firing("a", starts="10:20"), source="eu")
    assert await open_alerts(database) == [("a", "eu")]
