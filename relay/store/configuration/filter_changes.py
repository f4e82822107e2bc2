"""Storage of the changes of channels' filters, which `versions` records: a routing table loads only these."""

from typing import Final

import msgspec

from relay.domain.channel_types import Filters
from relay.domain.versions import ObjectKind
from relay.store.configuration.channels import ROUTED_CONFIG
from relay.store.postgres.statements import DriverConnection, Statement

MAX_CHANGES: Final = 1_000
"""Recorded changes that are loaded one by one; after more of them all filters are loaded."""


def recorded_changes(kind: ObjectKind) -> str:
    """Return the queries `current`, of the version, and `changed`, of the ids that changed after `:since`.

    Each statement that changes what routing depends on increments the version, and what it has changed is known if
    a row records that version. The limit makes Postgres use the index also when it expects most rows to be newer.
    """
    return f"""
      recorded AS MATERIALIZED (
        SELECT config_version, kind, object_id FROM versions WHERE config_version > :since
        ORDER BY config_version LIMIT {MAX_CHANGES}
      ),
      current AS MATERIALIZED (
        SELECT version,
          version - :since::bigint = (SELECT count(DISTINCT config_version) FROM recorded) AS is_complete
        FROM config_version
      ),
      changed AS (SELECT DISTINCT object_id AS id FROM recorded WHERE kind = '{kind}')
    """


# One snapshot. If no channel changed, the one row has no id.
LOAD_CHANGES: Final = Statement(
    f"""
    WITH {recorded_changes(ObjectKind.CHANNEL)}
    SELECT v.version, v.is_complete, changed.id, c.config
    FROM current v
    LEFT JOIN changed ON v.is_complete
    LEFT JOIN LATERAL (
      SELECT {ROUTED_CONFIG} AS config FROM channels c WHERE c.id = changed.id LIMIT 1
    ) AS c ON true
    """
)
LOCK_VERSION: Final = Statement("SELECT FROM config_version FOR SHARE")


async def load_changes(connection: DriverConnection, since: int) -> tuple[int, dict[str, Filters | None]] | None:
    """Return the configuration version, and the filters of the channels that changed after the version `since`.

    The filters of a deleted channel are None. The result is None if not all changes are recorded, or too many;
    then all filters have to be loaded.
    """
    rows = await LOAD_CHANGES.rows(connection, since=since)
    if not rows[0]["is_complete"]:
        return None
    changed = [(row["id"], row["config"]) for row in rows if row["id"] is not None]
    return rows[0]["version"], {
        channel_id: None if config is None else msgspec.convert(config, Filters) for channel_id, config in changed
    }


async def lock_version(connection: DriverConnection) -> None:
    """Wait for a running change of the configuration, and let no other be made until the transaction ends."""
    await LOCK_VERSION.rows(connection)
