"""Alerts in edited messages that have not ended, and that webhooks do not report any longer."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

import msgspec

from relay.store.postgres.statements import DriverConnection, Query, Records


class ShownAlerts(msgspec.Struct, frozen=True):
    """The alerts of a delivery's message, and the webhook that the delivery sends.

    `group_hashes` are those under which its group is reported. `complete`: none of its alerts were left out by
    Alertmanager because of max_alerts.
    """

    delivery_id: int
    receipt_id: int
    group_hashes: tuple[int, ...]
    alert_ids: tuple[int, ...]
    complete: bool


class Unreported(msgspec.Struct, frozen=True):
    """An alert of a delivery's message that has not been reported since a time."""

    delivery_id: int
    alert_id: int
    since: datetime


# A sender that reported the alert in the group, and omits it now, has it silenced, inhibited or no longer; unless
# anyone has reported it since. The reports of a series are arrays, see relay/domain/series.py.
UNREPORTED: Final = Query(
    Unreported,
    """
    SELECT w.delivery_id, a.id AS alert_id, a.last_received_at AS since
    FROM :shown AS w
    JOIN receipts r ON r.id = w.receipt_id
    JOIN alerts a ON a.id = ANY (w.alert_ids::bigint[]) AND a.status <> 'resolved' AND a.id <> ALL (r.alert_ids)
    JOIN series s ON s.id = a.series_id
    WHERE a.last_received_at < r.received_at AND (
      a.status = 'stale'
      OR w.complete AND EXISTS (
        SELECT FROM json_array_elements(s.reports) AS o
        WHERE (o ->> 0)::bigint = r.sender_hash AND (o ->> 1)::bigint = ANY (w.group_hashes::bigint[])
          AND (o ->> 6)::bigint = a.id
      )
    )
    """,
    shown=Records(
        ShownAlerts,
        delivery_id="bigint",
        receipt_id="bigint",
        group_hashes="bigint[]",
        alert_ids="bigint[]",
        complete="boolean",
    ),
)


async def load(connection: DriverConnection, shown: Sequence[ShownAlerts]) -> list[Unreported]:
    """The alerts of messages that the webhooks omit, and that nobody has reported since."""
    return await UNREPORTED.fetch(connection, shown=shown)
