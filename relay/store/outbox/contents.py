"""Of what do deliveries tell that were merged, tried before, or sent in place of others?"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

import msgspec

from relay.domain.folding import MergedNotification, Resolution
from relay.domain.history import State
from relay.domain.notifications import FallbackFor
from relay.store.outbox.claims import CLAIMED_COLUMNS, Claimed, claimed_of
from relay.store.outbox.digests import TOLD


class Seen(msgspec.Struct, frozen=True):
    """A delivery as its last attempt saw it, or as its next one would if it waits; `moment` is that attempt's."""

    claimed: Claimed
    state: State
    merged_into: int | None
    moment: datetime


SEEN: Final = f"""
SELECT {CLAIMED_COLUMNS}, state, merged_into, 0 AS merged, NULL::bytea AS body, (
    SELECT m.id FROM deliveries m WHERE m.merged_into = $1 AND m.state = 'merged' LIMIT 1
  ) IS NOT NULL AS carries, coalesce(
    (SELECT max(a.started_at) FROM attempts a WHERE a.delivery_id = $1 AND d.state IN ('delivered', 'dead')), now()
  ) AS moment
FROM deliveries d WHERE d.id = $1
"""

MEMBERS: Final = f"""
WITH RECURSIVE told AS ({TOLD})
SELECT DISTINCT t.root, t.receipt_id, r.received_at, t.positions, r.alert_ids
FROM told t JOIN receipts r ON r.id = t.receipt_id ORDER BY t.root, t.receipt_id
"""

RESOLVED: Final = """
SELECT id, ends_at, first_received_at FROM alerts WHERE id = ANY ($1) AND status = 'resolved'
"""

ORIGINS: Final = f"""
WITH RECURSIVE told AS ({TOLD})
SELECT DISTINCT ON (t.root) t.root, o.channel_id, coalesce(o.last_error, o.last_reason, '') AS reason
FROM told t JOIN deliveries o ON o.id = t.fallback_of
WHERE o.fallback_of IS NULL ORDER BY t.root, o.id
"""


async def seen(driver: Any, delivery_id: int) -> Seen | None:
    """A delivery, without claiming it; None if there is none."""
    row = await driver.fetchrow(SEEN, delivery_id)
    if row is None:
        return None
    claimed, state = claimed_of(row), State(row["state"])
    if state is State.PENDING:
        claimed = msgspec.structs.replace(claimed, attempt=claimed.attempt + 1)
    return Seen(claimed, state, row["merged_into"], row["moment"])


async def members(driver: Any, delivery_ids: Sequence[int]) -> list[MergedNotification]:
    """The notifications that deliveries tell, their own included, each delivery's in the order of receipt."""
    return [
        MergedNotification(
            delivery_id=row["root"],
            receipt_id=row["receipt_id"],
            received_at=row["received_at"],
            positions=None if row["positions"] is None else tuple(row["positions"]),
            alert_ids=tuple(row["alert_ids"]),
        )
        for row in await driver.fetch(MEMBERS, delivery_ids)
    ]


async def resolved(driver: Any, alert_ids: Sequence[int]) -> dict[int, Resolution]:
    """Those of the alerts that are resolved by now."""
    return {
        row["id"]: Resolution(row["ends_at"], row["first_received_at"])
        for row in await driver.fetch(RESOLVED, alert_ids)
    }


async def origins(driver: Any, delivery_ids: Sequence[int]) -> dict[int, FallbackFor]:
    """Where deliveries, or the first of what was merged into them, were meant to go before they fell back."""
    rows = await driver.fetch(ORIGINS, delivery_ids)
    return {row["root"]: FallbackFor(channel_id=row["channel_id"], reason=row["reason"]) for row in rows}


async def load_bodies(driver: Any, receipt_ids: Sequence[int]) -> dict[int, bytes]:
    """The webhooks' bodies of receipts."""
    rows = await driver.fetch("SELECT id, body FROM receipts WHERE id = ANY ($1)", receipt_ids)
    return {row["id"]: row["body"] for row in rows}
