"""Rows that exist before a migration, or before a downgrade."""

import msgspec
from sqlalchemy import text

from relay.domain.history import Kind
from relay.store.outbox import claims, digests, lanes, message_edits
from relay.store.outbox.claims import Claimed, ClaimRequest
from relay.store.outbox.lanes import Lease
from relay.store.outbox.message_edits import EditableMessage, EditableMessageUpdate
from relay.store.outbox.settle import settle
from relay.store.postgres import migrations
from relay.store.postgres.database import Database, driver_connection
from relay.store.postgres.statements import DriverConnection
from tests.fixtures.editing import EditingPlatforms, editing_channel
from tests.fixtures.relays import alert, running, webhook
from tests.fixtures.sink import Sink
from tests.store.makers import SEAL, ended, states

ROWS_OF_0001 = """
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

CHANNEL_OF_0006 = """
INSERT INTO channels (id, channel_type, config, sealed) VALUES ('ops', 'slack', '{"enabled": true}', '')
"""
LANE_OF_0006 = "INSERT INTO lanes (channel_id, enqueued, next_due) VALUES ('ops', 1, now())"
CONTENT_OF_0006 = """
WITH alert AS (
  INSERT INTO alerts (
    tenant_id, fingerprint, starts_at, status, alertname, labels, annotations, generator_url, first_received_at,
    last_received_at, group_hashes
  )
  VALUES ('', 'f', now(), 'firing', 'DiskFull', '{}', '{}', '', now(), now(), '{7}')
  RETURNING id
)
INSERT INTO receipts (state_hash, group_hash, group_key, receiver, status, received_at, body, alert_ids)
SELECT '', 7, 'seven', '', 'firing', now(), '', ARRAY[id] FROM alert
"""
# By id: delivered, dead, two pending ones of a group, one that is merged into a digest, a refresh, one in flight.
DELIVERIES_OF_0006 = """
INSERT INTO deliveries (
  receipt_id, channel_id, group_hash, rank, state, attempt, created_at, waiting_since, next_attempt_at, merged_into
)
VALUES
  (1, 'ops', 7, 1, 'delivered', 1, now(), now(), NULL, NULL),
  (1, 'ops', 7, 1, 'dead', 2, now(), now(), NULL, NULL),
  (1, 'ops', 7, 1, 'pending', 0, now(), now(), now(), NULL),
  (1, 'ops', 7, 1, 'pending', 0, now(), now(), now(), NULL),
  (1, 'ops', 7, 1, 'merged', 0, now(), now(), NULL, 6),
  (NULL, 'ops', 0, 0, 'pending', 0, now(), now(), now(), NULL),
  (1, 'ops', 9, 100, 'pending', 0, now(), now(), now(), NULL),
  (1, 'ops', 8, 1, 'sending', 1, now(), now(), NULL, NULL)
"""
MESSAGE_OF_0006 = """
INSERT INTO living_messages (channel_id, group_hash, place, posted, alert_ids, let_go, ended, updated_at)
VALUES ('ops', 9, 'place', '["ref"]', '{1}', 2, false, now())
"""
EDIT_OF_0006 = f"""
{MESSAGE_OF_0006} ON CONFLICT (channel_id, group_hash) DO UPDATE SET
  place = excluded.place, posted = excluded.posted, alert_ids = excluded.alert_ids, let_go = excluded.let_go + 1,
  ended = excluded.ended, updated_at = excluded.updated_at
"""
KINDS = "SELECT kind FROM deliveries ORDER BY id"
KINDS_OF_0006 = [*[("group",)] * 5, ("digest",), ("refresh",), ("group",)]
DISCRIMINATORS_OF_0006 = "SELECT id, receipt_id IS NULL, rank FROM deliveries WHERE id IN (4, 6, 7) ORDER BY id"
READ_MESSAGE_OF_0006 = "SELECT group_hash, place, posted, alert_ids, let_go, ended FROM living_messages"


async def run(database: Database, statement: str) -> list[tuple[object, ...]]:
    async with database.begin() as connection:
        found = await connection.execute(text(statement))
        return [tuple(row) for row in found] if found.returns_rows else []


async def test_deliveries_keep_their_ids_and_states_up_and_down(empty_database_url: str) -> None:
    database = Database(empty_database_url)
    await migrations.upgrade(database)
    await migrations.downgrade(database, "0001")
    await run(database, ROWS_OF_0001)
    before = await run(database, READ)

    await migrations.upgrade(database)

    assert await run(database, READ) == before
    pending = await run(database, "SELECT id, waiting_since = created_at FROM deliveries_waiting")
    assert pending == [(2, True)]
    assert await run(database, NEW) == [(4,)]

    await migrations.downgrade(database, "0001")
    assert (await run(database, READ))[:3] == before
    await database.close()


async def test_an_outbox_of_schema_0006_continues_after_the_upgrade(empty_database_url: str) -> None:
    database = Database(empty_database_url)
    await migrations.upgrade(database, "0006")
    for rows in (CHANNEL_OF_0006, LANE_OF_0006, CONTENT_OF_0006, DELIVERIES_OF_0006, MESSAGE_OF_0006):
        await run(database, rows)

    await migrations.upgrade(database)

    assert await run(database, KINDS) == KINDS_OF_0006
    async with database.engine.connect() as connection:
        driver = await driver_connection(connection)
        [lease] = await lanes.claim_lanes(driver, "one", SEAL, 10, held=[])
        await deliver_the_digest(driver, lease)
        first, *others = await claim(driver, lease)
        assert (first.id, first.merged) == (4, 1)
        assert [(one.id, one.kind, one.attempt) for one in others] == [(7, Kind.REFRESH, 1), (8, Kind.GROUP, 2)]
        await edit_the_message(driver, lease)
        await settle(driver, [ended(one) for one in (first, *others)])
        merged, done = "merged", "delivered"
        assert await states(driver) == [done, "dead", merged, done, merged, done, done, done]

    await migrations.downgrade(database, "0006")

    assert await run(database, DISCRIMINATORS_OF_0006) == [(4, False, 1), (6, True, 0), (7, False, 100)]
    assert await run(database, READ_MESSAGE_OF_0006) == [(9, b"place", ["edited"], [1], 3, True)]
    await database.close()


async def test_statements_of_the_previous_release_work_after_the_upgrade(empty_database_url: str) -> None:
    database = Database(empty_database_url)
    # Schema 0008 stores alerts in another way; the other tables still accept the statements.
    await migrations.upgrade(database, "0007")
    for rows in (CHANNEL_OF_0006, LANE_OF_0006, CONTENT_OF_0006):
        await run(database, rows)
    await migrations.upgrade(database)

    for rows in (DELIVERIES_OF_0006, MESSAGE_OF_0006, EDIT_OF_0006):
        await run(database, rows)

    assert await run(database, KINDS) == KINDS_OF_0006
    assert await run(database, READ_MESSAGE_OF_0006) == [(9, b"place", ["ref"], [1], 3, False)]
    message = "SELECT destination_hash, message_refs, omitted, all_resolved FROM edited_messages"
    assert await run(database, message) == [(b"place", ["ref"], 3, False)]
    assert await run(database, "DELETE FROM living_messages RETURNING 1") == [(1,)]
    await database.close()


async def claim(driver: DriverConnection, lease: Lease) -> tuple[Claimed, ...]:
    request = ClaimRequest(lease.channel_id, lease.epoch, lease.config_version, 10, None, None)
    return (await claims.claim(driver, "one", [request], 10.0))["ops"].claimed


async def deliver_the_digest(driver: DriverConnection, lease: Lease) -> None:
    """Deliver the digest, before which nothing else is claimed."""
    assert await claim(driver, lease) == ()
    digest, _ = await digests.claim_digest(driver, "one", "ops", lease.epoch, None, None)
    assert digest is not None
    assert (digest.id, digest.kind, digest.carries) == (6, Kind.DIGEST, True)
    assert [count.alertname for count in (await digests.content(driver, digest.id)).counts] == ["DiskFull"]
    await settle(driver, [ended(digest)])


async def edit_the_message(driver: DriverConnection, lease: Lease) -> None:
    """Write an edit of the message that the old schema had."""
    message = (await message_edits.load(driver, "ops", b"place", [9]))[9]
    assert message == EditableMessage(9, ("ref",), (1,), 2, all_resolved=False)
    edited = msgspec.structs.replace(message, message_refs=("edited",), omitted=3, all_resolved=True)
    await message_edits.write(driver, "one", [EditableMessageUpdate("ops", lease.epoch, b"place", edited)])


async def test_a_message_is_still_edited_after_a_downgrade_and_an_upgrade(database_url: str, sink: Sink) -> None:
    sink.script = script = EditingPlatforms()
    async with running(database_url) as relay:
        await relay.channel(**editing_channel("slack", sink.url))
        await relay.webhook(webhook(alert("DiskFull")))
        await relay.settled(1)
    database = Database(database_url)
    await migrations.downgrade(database, "0006")
    await migrations.upgrade(database)
    await database.close()

    async with running(database_url) as relay:
        await relay.webhook(webhook(alert("DiskFull", "resolved")))
        await relay.settled(2)

    [message] = script.platforms["slack"].messages
    assert [("🔥 " in version, "✅ " in version) for version in message.versions] == [(True, False), (False, True)]
