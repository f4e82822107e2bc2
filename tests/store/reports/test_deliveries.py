"""The cost of lists and of bulk redelivery when the outbox is long."""

from collections.abc import AsyncIterator

import pytest
from sqlalchemy.ext.asyncio import AsyncConnection

from relay.domain.history import State
from relay.store.outbox import redelivery
from relay.store.outbox.redelivery import RedeliveryFilter
from relay.store.postgres.database import Database
from relay.store.postgres.statements import DriverConnection
from relay.store.reports import deliveries, history
from relay.store.reports.deliveries import DeliveryFilter
from relay.store.reports.history import HistoryFilter
from tests.store.makers import rows_read

OUTBOX = """
    INSERT INTO deliveries (
      receipt_id, channel_id, group_hash, rank, state, created_at, waiting_since, next_attempt_at, merged_into
    )
    SELECT n, channel_id, n, 0,
      CASE WHEN n % 500 = 3 THEN 'dead' WHEN n % 10 = 0 THEN 'merged' ELSE 'delivered' END, now(), now(), NULL,
      CASE WHEN n % 10 = 0 THEN n + 1 - n % 100 END
    FROM (
      SELECT n, CASE WHEN n % 1000 = 3 THEN 'ops' ELSE 'c' || n % 50 END AS channel_id
      FROM generate_series(1, 100000) AS n
    ) AS made
"""
RECEIPTS = """
    INSERT INTO receipts (group_hash, group_key, receiver, status, received_at, body, alert_ids)
    SELECT n, 'g' || n, '', 'firing', now(), '', ARRAY[n]::bigint[] FROM generate_series(1, 100000) AS n
"""
ALERTS = """
    WITH added AS (
      INSERT INTO series (id, tenant_id, source, identity, labels, reports, version)
      SELECT n, '', '', n::text::bytea, '{}', '[]', 1 FROM generate_series(1, 100000) AS n RETURNING id
    )
    INSERT INTO alerts (
      series_id, tenant_id, fingerprint, starts_at, status, alertname, annotations, generator_url,
      first_received_at, last_received_at, group_hashes
    )
    SELECT id, '', id::text, now(), 'firing', 'A', '{}', '', now(), now(), '{}' FROM added
"""
FEW = 2000
"""Rows of 100,000 that a page of 50 may read."""


@pytest.fixture
async def long(database: Database, driver: DriverConnection, ops: str) -> AsyncIterator[AsyncConnection]:
    """A connection to an outbox with 100,000 finished deliveries of many channels."""
    for statement in (OUTBOX, RECEIPTS, ALERTS, "ANALYZE"):
        await driver.execute(statement)
    async with database.engine.connect() as connection:
        yield connection


PAGES = [
    (DeliveryFilter(), 50),
    (DeliveryFilter(state=State.DEAD), 50),
    (DeliveryFilter(state=State.DELIVERED), 50),
    (DeliveryFilter(state=State.MERGED), 50),
    (DeliveryFilter(state=State.PENDING), 0),
    (DeliveryFilter(channel_id="c7"), 50),
    (DeliveryFilter(channel_id="c7", state=State.DELIVERED), 50),
    (DeliveryFilter(channel_id="c7", state=State.PENDING), 0),
    (DeliveryFilter(channel_id="ops", state=State.DEAD), 50),
    (DeliveryFilter(channel_id="nobody"), 0),
    (DeliveryFilter(merged_into=101), 10),
]


async def test_no_page_reads_the_whole_outbox(long: AsyncConnection) -> None:
    for turn in range(7):  # more often than the server makes a plan for the given values
        for wanted, count in PAGES:
            before = await rows_read(long)
            assert len(await deliveries.page(long, wanted, None, None, 50)) == count
            assert count <= await rows_read(long) - before < FEW, (turn, wanted)


async def test_the_alerts_of_a_digest_are_looked_up_by_id(long: AsyncConnection) -> None:
    before = await rows_read(long)
    found = await history.page(long, HistoryFilter(delivery_id=101), None, None, 50)

    assert sorted(item.id for item in found) == [100, 101, *range(110, 200, 10)]
    assert 0 < await rows_read(long) - before < FEW


async def test_a_bulk_redelivery_reads_only_what_it_redelivers(long: AsyncConnection) -> None:
    before = await rows_read(long)
    chunk = await redelivery.redeliver_chunk(long, RedeliveryFilter(channel_id="ops"), 0, 100_000)

    assert (chunk.redelivered, chunk.after) == (100, None)
    assert 0 < await rows_read(long) - before < FEW
