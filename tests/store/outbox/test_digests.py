"""Is what a storm left behind still told, whatever the server then thinks of its rows?"""

from typing import Any

from relay.store.outbox import digests
from relay.store.postgres.database import Database
from tests.store.makers import rows_read

GROUPS = 3000
STORM = f"""
WITH alert AS (
  INSERT INTO alerts (
    tenant_id, fingerprint, starts_at, status, alertname, labels, annotations, generator_url, first_received_at,
    last_received_at, group_hashes
  )
  SELECT '', n::text, now(), 'firing', 'Storm', '{{}}', '{{}}', '', now(), now(), '{{}}'
  FROM generate_series(1, {GROUPS}) AS n
  RETURNING id, fingerprint::int AS n
), receipt AS (
  INSERT INTO receipts (state_hash, group_hash, group_key, receiver, status, received_at, body, alert_ids)
  SELECT '', n, n::text, '', 'firing', now(), '', ARRAY[id] FROM alert
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


async def test_a_digest_reads_its_groups_once_also_when_nothing_else_was_ever_merged(
    database: Database, driver: Any, ops: str
) -> None:
    """The statistics that the storm leaves say that whatever is merged into anything is all there is."""
    digest_id = await driver.fetchval(STORM)
    await driver.execute("ANALYZE")
    async with database.engine.connect() as connection:
        before = await rows_read(connection)
        raw: Any = (await connection.get_raw_connection()).driver_connection
        content = await digests.content(raw, digest_id)
        read = await rows_read(connection) - before

    assert content.groups == GROUPS
    assert read < 20 * GROUPS
