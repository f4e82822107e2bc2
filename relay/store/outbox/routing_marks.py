"""Storage of whether alerts matched a channel, for a webhook that is routed after its alerts are written."""

from collections.abc import Collection
from datetime import datetime
from typing import Final

from relay.store.postgres.statements import DriverConnection, Statement

MARK_ROUTED: Final = Statement("UPDATE alerts SET routed = true WHERE id = ANY (:ids) AND NOT routed")
MARK_UNROUTED: Final = Statement(
    "UPDATE alerts SET routed = false WHERE id = ANY (:ids) AND routed AND first_received_at = :added_at"
)


async def mark(
    connection: DriverConnection, routed: Collection[int], unrouted: Collection[int], added_at: datetime
) -> None:
    """Mark alerts that matched a channel, and of the others those that were first received at `added_at`."""
    await MARK_ROUTED.execute(connection, ids=list(routed))
    if unrouted:
        await MARK_UNROUTED.execute(connection, ids=list(unrouted), added_at=added_at)
