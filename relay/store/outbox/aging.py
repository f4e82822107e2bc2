"""What becomes of alerts that no report mentions, and of the states of their groups."""

from datetime import datetime, timedelta
from typing import Final

from relay.domain.identity import FORCED
from relay.store.outbox.fragments import FIRING, STALE
from relay.store.postgres.statements import DriverConnection, Statement

PURGE_GROUP_STATES: Final = Statement(
    "DELETE FROM group_states WHERE updated_at < :now::timestamptz - :older_than::interval"
)

MARK_STALE: Final = Statement(
    f"""
    UPDATE alerts a SET status = {STALE}
    WHERE a.status = {FIRING} AND a.last_received_at < :now::timestamptz - make_interval(secs => coalesce(
      (
        SELECT s.stale_after FROM sources s
        WHERE s.name IN (a.source, split_part(a.source, '{FORCED}', 1)) AND s.stale_after IS NOT NULL
        ORDER BY length(s.name) DESC LIMIT 1
      ), :after::float8
    ))
    """
)


async def purge_group_states(connection: DriverConnection, now: datetime, older_than: timedelta) -> None:
    """Delete states of groups that are too old for anything to repeat them."""
    await PURGE_GROUP_STATES.execute(connection, now=now, older_than=older_than)


async def mark_stale(connection: DriverConnection, now: datetime, after: float) -> int:
    """Mark alerts that no report mentions for `after` seconds, or those that their source has, as stale."""
    return await MARK_STALE.execute(connection, now=now, after=after)
