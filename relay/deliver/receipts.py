"""What did the webhook say that a delivery comes from?"""

from collections import OrderedDict
from collections.abc import Iterable
from contextlib import suppress
from typing import Final

from relay.domain.alertmanager import decode_webhook
from relay.domain.alerts import Group
from relay.domain.errors import InvalidWebhook
from relay.domain.notifications import Notification
from relay.store.database import HeldConnection
from relay.store.lanes import Claimed, load_bodies

MAX_KEPT_BYTES: Final = 16 * 1024 * 1024


class Receipts:
    """Decoded webhooks, the last ones kept: many channels are told of the same one."""

    def __init__(self, connection: HeldConnection) -> None:
        """Read through `connection`."""
        self._connection = connection
        self._kept: OrderedDict[int, tuple[int, Group]] = OrderedDict()
        self._size = 0

    async def groups(self, receipt_ids: Iterable[int]) -> dict[int, Group]:
        """The groups of receipts. One that can't be read any more is left out."""
        wanted = set(receipt_ids)
        found = {receipt_id: self._kept[receipt_id][1] for receipt_id in wanted if receipt_id in self._kept}
        missing = sorted(wanted - found.keys())
        if missing:
            async with self._connection.use() as driver:
                bodies = await load_bodies(driver, missing)
            for receipt_id, body in bodies.items():
                with suppress(InvalidWebhook):  # only if a later release refuses what an earlier one took
                    found[receipt_id] = decode_webhook(body)
                    self._keep(receipt_id, len(body), found[receipt_id])
        return found

    def _keep(self, receipt_id: int, size: int, group: Group) -> None:
        if receipt_id in self._kept:
            return  # two lanes asked for it at the same time
        self._kept[receipt_id] = (size, group)
        self._size += size
        while self._size > MAX_KEPT_BYTES and len(self._kept) > 1:
            _, (dropped, _) = self._kept.popitem(last=False)
            self._size -= dropped


def notification_of(claimed: Claimed, channel_id: str, group: Group) -> Notification:
    """What the channel is to be told."""
    alerts = group.alerts if claimed.positions is None else tuple(group.alerts[at] for at in claimed.positions)
    return Notification(id=str(claimed.id), channel_id=channel_id, group=group, alerts=alerts)
