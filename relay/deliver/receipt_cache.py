"""A cache of the decoded webhooks that deliveries come from."""

import asyncio
from collections.abc import Iterable, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Final

from relay.decoding.bodies import decode_body
from relay.deliver.batcher import Batcher
from relay.domain.alerts import Group
from relay.domain.decoded import decode
from relay.domain.errors import InvalidWebhook, Unavailable
from relay.domain.forced_tenants import with_forced_tenant
from relay.store.outbox.contents import load_bodies
from relay.store.postgres.database import HeldConnection

MAX_CACHED_BYTES: Final = 16 * 1024 * 1024
LARGE_BODY: Final = 1024 * 1024
KEEP_LARGE: Final = 1.0
"""Seconds for which the group of a large body is cached: it takes ten times the memory of the body."""
MAX_BATCH: Final = 64


class ReceiptCache:
    """The groups of receipts, the most recent ones cached: one webhook often concerns many channels."""

    def __init__(self, connection: HeldConnection, tenant_label: str) -> None:
        """Read receipts through `connection`. `tenant_label` is the label with an alert's tenant."""
        self._connection = connection
        self._tenant_label = tenant_label
        self._cached: dict[int, tuple[int, Group]] = {}
        self._size = 0
        self._batcher: Batcher[frozenset[int], dict[int, Group]] = Batcher(self._load, MAX_BATCH)

    async def run(self) -> None:
        """Serve `groups` until canceled."""
        await self._batcher.run()

    def add(self, receipt_id: int, body: bytes, received_at: datetime, source: str) -> None:
        """Add a receipt whose small body was read by another query."""
        if receipt_id not in self._cached:
            with suppress(InvalidWebhook):
                group = with_forced_tenant(decode(body, received_at).group, source, self._tenant_label)
                self._cache(receipt_id, len(body), group)

    async def groups(self, receipt_ids: Iterable[int]) -> dict[int, Group]:
        """The groups of receipts, by id. An unreadable one is left out."""
        wanted = frozenset(receipt_ids)
        found = {receipt_id: self._cached[receipt_id][1] for receipt_id in wanted if receipt_id in self._cached}
        missing = wanted - found.keys()
        return found | await self._batcher.submit(missing) if missing else found

    async def _load(self, requests: Sequence[frozenset[int]]) -> list[dict[int, Group]]:
        wanted = frozenset[int]().union(*requests)
        found: dict[int, Group] = {}
        while wanted:
            async with self._connection.use() as driver:
                bodies = await load_bodies(driver, sorted(wanted))
            last = max(bodies, default=None)
            wanted = frozenset(receipt_id for receipt_id in wanted if last is not None and receipt_id > last)
            while bodies:  # a body is not kept longer than it takes to decode it
                receipt_id, (body, received_at, source) = bodies.popitem()
                with suppress(InvalidWebhook):  # only if this release rejects what an older one accepted
                    group = await self._decode(body, received_at)
                    found[receipt_id] = with_forced_tenant(group, source, self._tenant_label)
                    self._cache(receipt_id, len(body), found[receipt_id])
        return [{receipt_id: found[receipt_id] for receipt_id in ids if receipt_id in found} for ids in requests]

    async def _decode(self, body: bytes, received_at: datetime) -> Group:
        try:
            return (await decode_body(body, received_at)).group
        except Unavailable as error:  # tried again, as after an outage of the database
            raise ConnectionError(str(error)) from error

    def _cache(self, receipt_id: int, size: int, group: Group) -> None:
        if receipt_id in self._cached:
            return
        self._cached[receipt_id] = (size, group)
        self._size += size
        if size > LARGE_BODY:
            asyncio.get_running_loop().call_later(KEEP_LARGE, self._drop, receipt_id)
        while self._size > MAX_CACHED_BYTES and len(self._cached) > 1:
            self._drop(next(iter(self._cached)))

    def _drop(self, receipt_id: int) -> None:
        size, _ = self._cached.pop(receipt_id, (0, None))
        self._size -= size
