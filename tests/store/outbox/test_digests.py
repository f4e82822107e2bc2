"""The cost of digests, with the statistics that a storm leaves."""

from relay.store.outbox import digests
from relay.store.postgres.database import Database, driver_connection
from relay.store.postgres.statements import DriverConnection
from tests.store.makers import rows_read

GROUPS = 3000
STORM = f"""
WITH storm AS (
  INSERT INTO series (id, tenant_id, source, identity, labels, reports, version)
  SELECT n, '', '', n::text::bytea, '{{}}', '[]', 1 FROM generate_series(1, {GROUPS}) AS n
  RETURNING id, convert_from(identity, 'UTF8') AS n
), alert AS (
  INSERT INTO alerts (
    series_id, tenant_id, fingerprint, starts_at, status, alertname, annotations, generator_url,
    first_received_at, last_received_at, group_hashes
  )
  SELECT id, '', n, now(), 'firing', 'Storm', '{{}}', '', now(), now(), '{{}}' FROM storm
  RETURNING id, fingerprint::int AS n
), receipt AS (
  INSERT INTO receipts (group_hash, group_key, receiver, status, received_at, body, alert_ids)
  SELECT n, n::text, '', 'firing', now(), '', ARRAY[id] FROM alert
  RETURNING id, group_hash
), digest AS (
  INSERT INTO deliveries (channel_id, kind, group_hash, rank, state, created_at, waiting_since, next_attempt_at)
  VALUES ('ops', 'digest', 0, 0, 'pending', now(), now(), now())
  RETURNING id
), merged AS (
  INSERT INTO deliveries (
    receipt_id, channel_id, group_hash, rank, state, created_at, waiting_since, merged_into
  )
  SELECT receipt.id, 'ops', group_hash, 2, 'merged', now(), now(), digest.id FROM receipt, digest
)
SELECT id FROM digest
"""


async def test_the_cost_of_a_digest_depends_on_its_groups_even_if_nothing_else_was_ever_merged(
    database: Database, driver: DriverConnection, ops: str
) -> None:
    """The statistics after the storm suggest that every merged delivery was merged into the same one."""
    digest_id = await driver.fetchval(STORM)
    await driver.execute("ANALYZE")
    async with database.engine.connect() as connection:
        before = await rows_read(connection)
        content = await digests.content(await driver_connection(connection), digest_id)
        read = await rows_read(connection) - before

    assert content.groups == GROUPS
    assert read < 20 * GROUPS
