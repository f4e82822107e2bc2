"""How is one lane worked off: claim what is due, tell a digest when too much is, give it back when nothing is?"""

import asyncio
import time
from datetime import UTC, datetime
from typing import Final

import msgspec

from relay.deliver.attempt import AttemptContext, channel_type_of
from relay.deliver.batches import Batches
from relay.deliver.message_edits import PreparedMessage, destination_hash_of
from relay.deliver.messages import Contents
from relay.deliver.outgoing import Outgoing
from relay.deliver.settler import Settler
from relay.deliver.throttle import Pacer
from relay.domain.channel_types import RateLimit
from relay.notify.registry import effective_rate_limit
from relay.store.configuration.seal import Seal
from relay.store.outbox import digests, lanes
from relay.store.outbox.claims import Claimed, ClaimRequest, ClaimResult
from relay.store.outbox.lanes import Lease, Release
from relay.store.postgres.database import HeldConnection
from relay.telemetry import Metrics

AHEAD: Final = 4
"""Deliveries that are claimed for each that is on its way, so that no place stands empty during a claim."""
MAX_UNSETTLED: Final = 256
"""Deliveries that are claimed and not yet settled: the bound while Postgres is slow or away."""
LOOK_EVERY: Final = 1.0
"""Seconds; while a digest is not due, something critical may come."""
KEEP_FOR: Final = 2.0
"""Seconds; a lane that is held for longer is given back meanwhile."""


class LaneContext(msgspec.Struct, frozen=True):
    """What all lanes of a worker share. `slots` bounds the attempts under way in the process."""

    worker: str
    connection: HeldConnection
    claims: Batches[ClaimRequest, ClaimResult]
    releases: Batches[Release, tuple[bool, float | None]]
    contents: Contents
    means: AttemptContext
    settler: Settler
    seal: Seal
    metrics: Metrics
    slots: asyncio.Semaphore


class Lane:
    """One lane that this process holds the lease of."""

    def __init__(self, lease: Lease, tools: LaneContext) -> None:
        """Nothing happens before `run`."""
        self._lease = lease
        self._tools = tools
        self._out = Outgoing(lease, tools.means, tools.settler, tools.slots, self._settled)
        self._changed = asyncio.Event()
        self._stopping = False
        self._enqueued = -1
        self._look = True
        """Whether something may be due that was not seen yet."""
        self._look_at = 0.0
        self._overlooked = False
        """Whether the last look may have passed over what waits behind something under way."""
        self._woken = False
        self._digest_due = False

    @property
    def channel_id(self) -> str:
        """Whose lane it is."""
        return self._lease.channel_id

    @property
    def epoch(self) -> int:
        """Which lease of it this is."""
        return self._lease.epoch

    def wake(self) -> None:
        """Something was queued, or may be due by now."""
        self._look = self._woken = True
        self._changed.set()

    def stop(self) -> None:
        """Claim and begin nothing more; what is under way goes on."""
        self._stopping = True
        self._out.stop()
        self._changed.set()

    def cancel(self) -> None:
        """Break off what is under way; it goes back into the outbox."""
        self._out.cancel()

    async def drain(self) -> None:
        """Put back what was not begun, and return when all that was under way is settled."""
        await self._out.drain()

    async def run(self) -> float | None:
        """Work the lane off.

        Returns:
            Seconds until something in it is due again, or None when nothing waits, or the lane was lost.
        """
        while not self._stopping:
            self._changed.clear()
            self._out.begin()
            now = time.monotonic()
            if (room := self._room(now)) > 0:
                if not await self._claim(room):
                    return None
            elif self._digest_due and not self._out.unsettled and self._rest(now) == 0:
                await self._claim_digest()
            elif self._out.unsettled or self._keeps(now):
                await self._wait_for_change(now)
            else:
                released, due_in = await self._tools.releases.ask(
                    Release(self.channel_id, self.epoch, self._enqueued, self._rest(now))
                )
                if released:
                    # A wake-up that came during the release found the lane still held, and must not be lost.
                    return 0.0 if self._woken else due_in
                # Something was queued or changed since the last claim. While the channel is held there is no other
                # claim, and without knowing of it the lane could not be given back: ask for none.
                if not await self._claim(0):
                    return None
                self._look = True
        return None

    def _rest(self, now: float) -> float:
        """Seconds in which nothing is to be claimed."""
        return max(self._out.flow.held_for(now), self._look_at - now, 0.0)

    def _keeps(self, now: float) -> bool:
        """Whether something goes on so soon that giving the lane back meanwhile is not worth it."""
        return (self._look or self._digest_due) and 0 < self._rest(now) <= KEEP_FOR

    def _room(self, now: float) -> int:
        """How many deliveries to claim now."""
        out = self._out
        if not self._look or self._digest_due or self._rest(now) > 0:
            return 0
        if out.flow.is_open:
            return 0 if out.unsettled else 1
        ahead = AHEAD * out.flow.width
        free = min(ahead - out.unanswered, MAX_UNSETTLED - out.unsettled)
        return free if free >= ahead // 2 or not out.waiting else 0

    async def _claim(self, room: int) -> bool:
        """Claim what is due; whether the lane is still ours."""
        self._look = self._woken = False
        self._overlooked = self._out.unsettled > 0
        limit = self._limit
        ask = ClaimRequest(
            channel_id=self.channel_id,
            epoch=self.epoch,
            config_version=self._lease.config_version,
            room=room,
            per_second=None if limit is None else limit.per_second,
            burst=None if limit is None else limit.burst,
        )
        answer = await self._tools.claims.ask(ask)
        if answer.held and not answer.fresh:
            return await self._read_lease()
        now = time.monotonic()
        if limit is not None and self._out.pacer is None:
            self._out.pacer = Pacer(limit.per_second, limit.burst, answer.tokens, now)
        self._enqueued = answer.enqueued
        self._look = self._look or (answer.usable and (len(answer.claimed) == room or answer.next_in > 0))
        self._look_at = now + answer.next_in
        if answer.crowded and answer.usable and not answer.claimed:
            self._digest_due = answer.digest_in == 0
            self._look, self._look_at = True, now + max(answer.next_in, min(answer.digest_in, LOOK_EVERY))
        await self._prepare(answer.claimed)
        return answer.held

    async def _claim_digest(self) -> None:
        """Gather what waits, and claim the digest that tells it. Nothing of the lane is under way meanwhile."""
        limit = self._limit
        gathered = digests.GATHERED_AT_ONCE
        while gathered == digests.GATHERED_AT_ONCE and not self._stopping:
            async with self._tools.connection.use() as driver:
                gathered = await digests.gather(driver, self._tools.worker, self.channel_id, self.epoch)
            self._count_merged(gathered, "digest")
        async with self._tools.connection.use() as driver:
            claimed, due_in = await digests.claim_digest(
                driver,
                self._tools.worker,
                self.channel_id,
                self.epoch,
                None if limit is None else limit.per_second,
                None if limit is None else limit.burst,
            )
        if claimed is not None:
            self._tools.metrics.digests.labels(channel_type_of(self._lease)).inc()
        self._digest_due = False
        self._look, self._look_at = True, time.monotonic() + due_in
        await self._prepare(() if claimed is None else (claimed,))

    async def _prepare(self, claimed: tuple[Claimed, ...]) -> None:
        """Read what the claimed ones tell; if that can't be, they are put back when the lane ends."""
        if not claimed:
            return
        self._count_merged(sum(one.merged for one in claimed), "group")
        prepare_messages: dict[int, PreparedMessage] = {}
        try:
            destination_hash = destination_hash_of(self._lease.channel)
            prepare_messages = await self._tools.contents.prepare_messages(
                claimed, destination_hash, datetime.now(UTC)
            )
        finally:
            self._out.add((one, prepare_messages.get(one.id)) for one in claimed)

    async def _read_lease(self) -> bool:
        """The channel was changed: read it anew; whether the lane is still ours."""
        async with self._tools.connection.use() as driver:
            lease = await lanes.read_lease(
                driver, self._tools.worker, self._tools.seal, self.channel_id, self.epoch
            )
        if lease is not None:
            self._lease = lease
            self._out.go_on(lease)
            self._look = True
        return lease is not None

    @property
    def _limit(self) -> RateLimit | None:
        return None if self._lease.channel is None else effective_rate_limit(self._lease.channel)

    def _settled(self) -> None:
        """Something was answered, settled or put back."""
        # What waited behind a settled delivery of its group may be due now.
        self._look = self._look or self._overlooked or self._out.returned
        self._out.returned = False
        self._changed.set()

    async def _wait_for_change(self, now: float) -> None:
        rest = self._rest(now)
        patience = rest if rest > 0 and (self._look or self._digest_due) else None
        try:
            async with asyncio.timeout(patience):
                await self._changed.wait()
        except TimeoutError:
            self._look = True

    def _count_merged(self, count: int, into: str) -> None:
        if count:
            self._tools.metrics.merged.labels(channel_type_of(self._lease), into).inc(count)
