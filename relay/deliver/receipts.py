"""What did the webhooks say that deliveries come from?"""

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Final

from relay.deliver.batches import Batches
from relay.domain.alertmanager import decode_webhook
from relay.domain.alerts import Group
from relay.domain.errors import InvalidWebhook
from relay.store.outbox.contents import load_bodies
from relay.store.postgres.database import HeldConnection

MAX_KEPT_BYTES: Final = 16 * 1024 * 1024
MAX_LANES_AT_ONCE: Final = 64


class Receipts:
    """Decoded webhooks, the last ones kept: many channels are told of the same one."""

    def __init__(self, connection: HeldConnection) -> None:
        """Read through `connection`."""
        self._connection = connection
        self._kept: OrderedDict[int, tuple[int, Group]] = OrderedDict()
        self._size = 0
        self._batches: Batches[frozenset[int], dict[int, Group]] = Batches(self._load, MAX_LANES_AT_ONCE)

    async def run(self) -> None:
        """Read what is asked for, until cancelled."""
        await self._batches.run()

    def offer(self, receipt_id: int, body: bytes) -> None:
        """Take a body that was read along the way."""
        if receipt_id not in self._kept:
            self._decode(receipt_id, body)

    async def groups(self, receipt_ids: Iterable[int]) -> dict[int, Group]:
        """The groups of receipts. One that can't be read any more is left out."""
        wanted = frozenset(receipt_ids)
        found = {receipt_id: self._kept[receipt_id][1] for receipt_id in wanted if receipt_id in self._kept}
        missing = wanted - found.keys()
        return found | await self._batches.ask(missing) if missing else found

    async def _load(self, asked: Sequence[frozenset[int]]) -> list[dict[int, Group]]:
        async with self._connection.use() as driver:
            bodies = await load_bodies(driver, sorted(frozenset().union(*asked)))
        found: dict[int, Group] = {}
        for receipt_id, body in bodies.items():
            if (group := self._decode(receipt_id, body)) is not None:
                found[receipt_id] = group
        return [{receipt_id: found[receipt_id] for receipt_id in ids if receipt_id in found} for ids in asked]

    def _decode(self, receipt_id: int, body: bytes) -> Group | None:
        with suppress(InvalidWebhook):  # only if a later release refuses what an earlier one took
            group = decode_webhook(body)
            self._keep(receipt_id, len(body), group)
            return group
        return None

    def _keep(self, receipt_id: int, size: int, group: Group) -> None:
        if receipt_id in self._kept:
            return
        self._kept[receipt_id] = (size, group)
        self._size += size
        while self._size > MAX_KEPT_BYTES and len(self._kept) > 1:
            _, (dropped, _) = self._kept.popitem(last=False)
            self._size -= dropped
