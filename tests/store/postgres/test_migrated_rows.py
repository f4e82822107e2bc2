"""Rows that exist before a migration, or before a downgrade."""

from sqlalchemy import text

from relay.store.postgres import migrations
from relay.store.postgres.database import Database

ROWS = """
INSERT INTO deliveries (
  receipt_id, channel_id, group_hash, state, attempt, created_at, next_attempt_at, last_error
)
VALUES (1, 'ops', 7, 'delivered', 1, now(), NULL, NULL), (2, 'ops', 7, 'pending', 3, now(), now(), '500 oh'),
  (3, 'ops', 8, 'dead', 1, now(), NULL, '400 no')
"""
READ = "SELECT id, receipt_id, state, attempt, last_error FROM deliveries ORDER BY id"
NEW = """
INSERT INTO deliveries (receipt_id, channel_id, group_hash, rank, state, created_at, waiting_since)
VALUES (4, 'ops', 9, 0, 'pending', now(), now()) RETURNING id
"""


async def run(database: Database, statement: str) -> list[tuple[object, ...]]:
    async with database.begin() as connection:
        found = await connection.execute(text(statement))
        return [tuple(row) for row in found] if found.returns_rows else []


async def test_deliveries_keep_their_ids_and_states_up_and_down(empty_database_url: str) -> None:
    database = Database(empty_database_url)
    await migrations.upgrade(database)
    await migrations.downgrade(database, "0001")
    await run(database, ROWS)
    before = await run(database, READ)

    await migrations.upgrade(database)

    assert await run(database, READ) == before
    waits = await run(database, "SELECT id, waiting_since = created_at FROM deliveries_waiting")
    assert waits == [(2, True)]
    assert await run(database, NEW) == [(4,)]

    await migrations.downgrade(database, "0001")
    assert (await run(database, READ))[:3] == before
    await database.close()
