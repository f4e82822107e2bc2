"""A lane: claim what is due, send a digest when too much waits, and release the lane when it is empty."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from typing import Final

import msgspec

from relay.deliver.attempt import AttemptContext, channel_type_of
from relay.deliver.batcher import Batcher
from relay.deliver.dispatcher import Dispatcher
from relay.deliver.message_edits import PreparedMessage, destination_hash_of
from relay.deliver.messages import MessageReader
from relay.deliver.result_writer import ResultWriter
from relay.deliver.screening import Screening
from relay.deliver.throttle import TokenBucket
from relay.domain.channel_types import RateLimit
from relay.notify.registry import effective_rate_limit
from relay.store.configuration.seal import Seal
from relay.store.outbox import digests, lanes
from relay.store.outbox.claims import Claimed, ClaimRequest, ClaimResult
from relay.store.outbox.lanes import Lease, Release
from relay.store.postgres.database import HeldConnection
from relay.telemetry import Metrics

CLAIM_AHEAD: Final = 4
"""Deliveries claimed per attempt that may be in flight, so that the lane never idles during a claim."""
MAX_UNSETTLED: Final = 256
"""Deliveries that are claimed and not settled: the bound while Postgres is slow or down."""
URGENT_INTERVAL: Final = 1.0
"""Seconds between claims while a digest is not due yet, in case a critical alert arrives."""
MAX_IDLE: Final = 2.0
"""Seconds; a lane that cannot claim for longer than this is released until then."""


Screen = Callable[[Sequence[Claimed]], Awaitable[list[Claimed]]]
"""Return what is left of claimed deliveries."""


class LaneContext(msgspec.Struct, frozen=True):
    """What all lanes of a worker share. `slots` bounds the attempts in flight in the process."""

    worker: str
    connection: HeldConnection
    claims: Batcher[ClaimRequest, ClaimResult]
    releases: Batcher[Release, tuple[bool, float | None]]
    messages: MessageReader
    screening: Screening
    attempts: AttemptContext
    writer: ResultWriter
    seal: Seal
    metrics: Metrics
    slots: asyncio.Semaphore


class Lane:
    """A lane whose lease this process holds."""

    def __init__(self, lease: Lease, context: LaneContext) -> None:
        """Nothing happens before `run`."""
        self._lease = lease
        self._context = context
        self._dispatcher = Dispatcher(lease, context.attempts, context.writer, context.slots, self._on_change)
        self._changed = asyncio.Event()
        self._stopping = False
        self._enqueued = -1
        self._may_be_due = True
        """Whether deliveries may be due that the last claim did not return."""
        self._next_claim_at = 0.0
        self._may_have_skipped = False
        """Whether the last claim may have skipped deliveries whose group had one in flight."""
        self._woken = False
        self._digest_due = False

    @property
    def channel_id(self) -> str:
        """The channel of the lane."""
        return self._lease.channel_id

    @property
    def epoch(self) -> int:
        """The number of this lease; each claim of the lane increments it."""
        return self._lease.epoch

    def wake(self) -> None:
        """Claim again: a delivery was queued, or may be due."""
        self._may_be_due = self._woken = True
        self._changed.set()

    def stop(self) -> None:
        """Claim and start nothing more; attempts in flight continue."""
        self._stopping = True
        self._dispatcher.stop()
        self._changed.set()

    def cancel(self) -> None:
        """Cancel the attempts in flight; their deliveries return to the outbox."""
        self._dispatcher.cancel()

    async def drain(self) -> None:
        """Return queued deliveries to the outbox, and wait until everything in flight is settled."""
        await self._dispatcher.drain()

    async def run(self) -> float | None:
        """Deliver until nothing is due.

        Returns:
            Seconds until a delivery is due again, or None when nothing waits or the lease was lost.
        """
        while not self._stopping:
            self._changed.clear()
            self._dispatcher.start_attempts()
            now = time.monotonic()
            if (room := self._room(now)) > 0:
                if not await self._claim(room):
                    return None
            elif self._digest_due and not self._dispatcher.unsettled and self._delay(now) == 0:
                await self._claim_digest()
            elif self._dispatcher.unsettled or self._claims_soon(now):
                await self._wait_for_change(now)
            else:
                bucket = self._dispatcher.throttle.bucket
                tokens = None if bucket is None else bucket.level(now)
                released, due_in = await self._context.releases.submit(
                    Release(self.channel_id, self.epoch, self._enqueued, self._delay(now), tokens)
                )
                if released:
                    # A wake-up during the release found the lane still held; it must not be lost.
                    return 0.0 if self._woken else due_in
                # A delivery was queued, or the channel changed, since the last claim. A held channel makes no
                # other claim, and the lane is released only with the current counter: a claim of none reads it.
                if not await self._claim(0):
                    return None
                self._may_be_due = True
        return None

    def _delay(self, now: float) -> float:
        """Seconds until the lane may claim."""
        return max(self._dispatcher.held_for(now), self._next_claim_at - now, 0.0)

    def _claims_soon(self, now: float) -> bool:
        """Whether the next claim comes so soon that the lane is better kept than released."""
        return (self._may_be_due or self._digest_due) and 0 < self._delay(now) <= MAX_IDLE

    def _room(self, now: float) -> int:
        """How many deliveries to claim now."""
        dispatcher = self._dispatcher
        if not self._may_be_due or self._digest_due or self._delay(now) > 0:
            return 0
        if dispatcher.breaker.is_open:
            return 0 if dispatcher.unsettled else 1
        ahead = CLAIM_AHEAD * dispatcher.throttle.concurrency
        free = min(ahead - dispatcher.unanswered, MAX_UNSETTLED - dispatcher.unsettled)
        return free if free >= ahead // 2 or not dispatcher.queued else 0

    async def _claim(self, room: int) -> bool:
        """Claim due deliveries; return whether the lease still holds."""
        self._may_be_due = self._woken = False
        self._may_have_skipped = self._dispatcher.unsettled > 0
        limit = self._limit
        request = ClaimRequest(
            channel_id=self.channel_id,
            epoch=self.epoch,
            config_version=self._lease.config_version,
            room=room,
            per_second=None if limit is None else limit.per_second,
            burst=None if limit is None else limit.burst,
        )
        result = await self._context.claims.submit(request)
        if result.held and not result.fresh:
            return await self._reload_lease()
        now = time.monotonic()
        if limit is not None and self._dispatcher.throttle.bucket is None:
            self._dispatcher.throttle.bucket = TokenBucket(limit.per_second, limit.burst, result.tokens, now)
        self._enqueued = result.enqueued
        if result.usable and (len(result.claimed) == room or result.next_in > 0):
            self._may_be_due = True
        self._next_claim_at = now + result.next_in
        if result.crowded and result.usable and not result.claimed:
            self._digest_due = result.digest_in == 0
            self._may_be_due = True
            self._next_claim_at = now + max(result.next_in, min(result.digest_in, URGENT_INTERVAL))
        await self._enqueue(result.claimed, None if result.quiet else self._context.screening.screen)
        return result.held

    async def _claim_digest(self) -> None:
        """Merge what waits into a digest, and claim it. Nothing of the lane is in flight meanwhile.

        If anything was suppressed, the rest may need no digest; the next claim decides.
        """
        limit = self._limit
        if await self._context.screening.screen_waiting(self.channel_id):
            self._digest_due, self._may_be_due, self._next_claim_at = False, True, time.monotonic()
            return
        gathered = digests.GATHERED_AT_ONCE
        while gathered == digests.GATHERED_AT_ONCE and not self._stopping:
            async with self._context.connection.use() as driver:
                gathered = await digests.gather(driver, self._context.worker, self.channel_id, self.epoch)
            self._count_merged(gathered, "digest")
        async with self._context.connection.use() as driver:
            claimed, due_in = await digests.claim_digest(
                driver,
                self._context.worker,
                self.channel_id,
                self.epoch,
                None if limit is None else limit.per_second,
                None if limit is None else limit.burst,
            )
        if claimed is not None:
            self._context.metrics.digests.labels(channel_type_of(self._lease)).inc()
        self._digest_due = False
        self._may_be_due, self._next_claim_at = True, time.monotonic() + due_in
        if claimed is not None:
            await self._enqueue((claimed,), self._context.screening.screen_digest)

    async def _enqueue(self, claimed: Sequence[Claimed], screen: Screen | None) -> None:
        """Prepare the messages of claimed deliveries and queue them; after an error, `drain` returns them.

        What is suppressed is held back first by `screen`, unless nothing can be. It takes no part in the limit.
        """
        if not claimed:
            return
        self._count_merged(sum(delivery.merged for delivery in claimed), "group")
        prepared: dict[int, PreparedMessage] = {}
        try:
            if screen is not None:
                count, claimed = len(claimed), await screen(claimed)
                if len(claimed) < count:
                    self._may_be_due, self._next_claim_at = True, time.monotonic()
            prepared = await self._context.messages.prepare_messages(
                claimed, destination_hash_of(self._lease.channel), datetime.now(UTC)
            )
        finally:
            self._dispatcher.add((delivery, prepared.get(delivery.id)) for delivery in claimed)

    async def _reload_lease(self) -> bool:
        """Reload the lease after the channel changed; return whether it still holds."""
        async with self._context.connection.use() as driver:
            lease = await lanes.read_lease(
                driver, self._context.worker, self._context.seal, self.channel_id, self.epoch
            )
        if lease is not None:
            self._lease = lease
            self._dispatcher.use_lease(lease)
            self._may_be_due = True
        return lease is not None

    @property
    def _limit(self) -> RateLimit | None:
        return None if self._lease.channel is None else effective_rate_limit(self._lease.channel)

    def _on_change(self) -> None:
        """Continue after a response, a settlement or a return to the outbox."""
        # Its settlement may make deliveries due that waited behind it.
        self._may_be_due = self._may_be_due or self._may_have_skipped or self._dispatcher.returned
        self._dispatcher.returned = False
        self._changed.set()

    async def _wait_for_change(self, now: float) -> None:
        delay = self._delay(now)
        timeout = delay if delay > 0 and (self._may_be_due or self._digest_due) else None
        try:
            async with asyncio.timeout(timeout):
                await self._changed.wait()
        except TimeoutError:
            self._may_be_due = True

    def _count_merged(self, count: int, into: str) -> None:
        if count:
            self._context.metrics.merged.labels(channel_type_of(self._lease), into).inc(count)
