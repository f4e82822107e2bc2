"""Tests of migration 0012 with rows of the previous release, and of its way back."""

from sqlalchemy import text

from relay.store.postgres import migrations
from relay.store.postgres.database import Database

BEFORE = (
    """
    INSERT INTO receipts (group_hash, group_key, receiver, status, received_at, body, alert_ids)
    VALUES (1, 'g', 'relay', 'firing', now(), '{}', '{1,2}')
    """,
    """
    INSERT INTO deliveries (
      receipt_id, channel_id, group_hash, positions, rank, state, created_at, waiting_since, next_attempt_at
    )
    SELECT 1, 'ops', 1, '{1}', 0, state, now(), now(), CASE WHEN state = 'pending' THEN now() END
    FROM unnest(ARRAY['pending', 'delivered', 'merged', 'dead']) AS state
    """,
)
SUPPRESSED = (
    """
    INSERT INTO deliveries (
      receipt_id, channel_id, group_hash, rank, state, created_at, waiting_since, alert_ids, suppressed_by
    )
    VALUES (1, 'ops', 1, 0, 'suppressed', now(), now(), '{2}', '{"silence:1": [2]}')
    """,
    "INSERT INTO held_deliveries VALUES ('silence:1', 'ops', 1, 5)",
    """
    INSERT INTO deliveries (
      receipt_id, channel_id, kind, group_hash, rank, state, created_at, waiting_since, next_attempt_at, alert_ids
    )
    VALUES (1, 'ops', 'release', 1, 0, 'pending', now(), now(), now(), '{2}')
    """,
)


async def run(database: Database, *statements: str) -> None:
    async with database.begin() as connection:
        for statement in statements:
            await connection.execute(text(statement))


async def rows(database: Database, statement: str) -> list[tuple[object, ...]]:
    async with database.begin() as connection:
        return [tuple(row) for row in await connection.execute(text(statement))]


async def test_deliveries_keep_their_states_and_have_nothing_withheld(empty_database_url: str) -> None:
    database = Database(empty_database_url)
    await migrations.upgrade(database, "0011")
    await run(database, *BEFORE)

    await migrations.upgrade(database)

    found = await rows(database, "SELECT state, positions, withheld, alert_ids FROM deliveries ORDER BY id")
    states = ("pending", "delivered", "merged", "dead")
    assert found == [(state, [1], [], None) for state in states]
    assert await rows(database, "SELECT config_version FROM receipts") == [(None,)]
    await database.close()


async def test_a_downgrade_keeps_what_was_suppressed_as_dead_and_what_was_released_as_pending(
    empty_database_url: str,
) -> None:
    database = Database(empty_database_url)
    await migrations.upgrade(database, "0011")
    await run(database, *BEFORE)
    await migrations.upgrade(database)
    await run(database, *SUPPRESSED)

    await migrations.downgrade(database, "0011")

    found = await rows(database, "SELECT kind, state FROM deliveries WHERE id > 4 ORDER BY id")
    assert found == [("group", "dead"), ("group", "pending")]
    await migrations.upgrade(database)
    assert await rows(database, "SELECT count(*) FROM deliveries") == [(6,)]
    await database.close()
