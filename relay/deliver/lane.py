"""How is one lane worked off: claim, call, settle, and give it back when nothing is due?"""

import asyncio
import random
import time
from collections import deque
from datetime import UTC, datetime
from typing import Any, Final

import msgspec
import structlog

from relay.deliver.attempt import Attempt, Attempts, channel_type_of
from relay.deliver.batches import Batches
from relay.deliver.contents import Contents
from relay.deliver.decision import unsent
from relay.deliver.flow import Flow, Pacer
from relay.deliver.settler import Ended, Settler
from relay.domain.channels import RateLimit
from relay.domain.notifications import Message
from relay.domain.outcomes import Reason, Sent
from relay.notify.registry import limit_of
from relay.store import digests, lanes
from relay.store.database import FAILED, HeldConnection
from relay.store.lanes import LaneState, Lease, Release
from relay.store.outbox import Answer, Ask, Claimed
from relay.store.seal import Seal
from relay.telemetry import Metrics

AHEAD: Final = 4
"""Deliveries that are claimed for each that is on its way, so that no place stands empty during a claim."""
MAX_UNSETTLED: Final = 256
"""Deliveries that are claimed and not yet settled: the bound while Postgres is slow or away."""
LOOK_EVERY: Final = 1.0
"""Seconds; while a digest is not due, something critical may come."""
KEEP_FOR: Final = 2.0
"""Seconds; a lane that is held for longer is given back meanwhile."""
STATE_EVERY: Final = 1.0
"""Seconds between successes that are written to the lane's row; what goes wrong is written at once."""

log = structlog.get_logger(__name__)


class Tools(msgspec.Struct, frozen=True):
    """What all lanes of a worker share. `slots` bounds the attempts under way in the process."""

    worker: str
    connection: HeldConnection
    claims: Batches[Ask, Answer]
    releases: Batches[Release, tuple[bool, float | None]]
    contents: Contents
    attempts: Attempts
    settler: Settler
    seal: Seal
    metrics: Metrics
    slots: asyncio.Semaphore


class Lane:
    """One lane that this process holds the lease of."""

    def __init__(self, lease: Lease, tools: Tools) -> None:
        """Nothing happens before `run`."""
        self._tools = tools
        self._changed = asyncio.Event()
        self._stopping = False
        self._ready: deque[tuple[Claimed, Message | None]] = deque()
        self._under_way: set[asyncio.Task[None]] = set()
        self._unanswered = 0
        self._enqueued = -1
        self._look = True
        self._look_at = 0.0
        self._overlooked = False
        self._woken = False
        self._digest_due = False
        self._state_written = 0.0
        self._take(lease)

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
        self._changed.set()

    def cancel(self) -> None:
        """Break off what is under way; it goes back into the outbox."""
        for task in self._under_way:
            task.cancel()

    async def run(self) -> float | None:
        """Work the lane off.

        Returns:
            Seconds until something in it is due again, or None when nothing waits, or the lane was lost.
        """
        while not self._stopping:
            self._changed.clear()
            self._begin()
            now = time.monotonic()
            if (room := self._room(now)) > 0:
                if not await self._claim(room):
                    return None
            elif self._digest_due and not self._under_way and self._rest(now) == 0:
                await self._claim_digest()
            elif self._under_way or self._keeps(now):
                await self._wait_for_change(now)
            else:
                released, due_in = await self._tools.releases.ask(
                    Release(self.channel_id, self.epoch, self._enqueued, self._rest(now))
                )
                if released:
                    # A wake-up that came during the release found the lane still held, and must not be lost.
                    return 0.0 if self._woken else due_in
                self._look = True
        return None

    async def drain(self) -> None:
        """Put back what was not begun, and return when all that was under way is settled."""
        self._stopping = True
        while self._ready or self._under_way:
            self._put_back()
            await asyncio.wait(set(self._under_way))

    def _take(self, lease: Lease) -> None:
        """Go on with the channel's settings and the breaker as the lease has them."""
        self._lease = lease
        self._flow = Flow(lease.failures, lease.probes, is_open=lease.is_open)
        self._limit: RateLimit | None = None if lease.channel is None else limit_of(lease.channel)
        self._pacer: Pacer | None = None

    def _rest(self, now: float) -> float:
        """Seconds in which nothing is to be claimed."""
        return max(self._flow.held_for(now), self._look_at - now, 0.0)

    def _keeps(self, now: float) -> bool:
        """Whether something goes on so soon that giving the lane back meanwhile is not worth it."""
        return (self._look or self._digest_due) and 0 < self._rest(now) <= KEEP_FOR

    def _room(self, now: float) -> int:
        """How many deliveries to claim now."""
        if not self._look or self._digest_due or self._rest(now) > 0:
            return 0
        if self._flow.is_open:
            return 0 if self._under_way or self._ready else 1
        ahead = AHEAD * self._flow.width
        free = min(ahead - self._unanswered, MAX_UNSETTLED - len(self._under_way) - len(self._ready))
        return free if free >= ahead // 2 or not self._ready else 0

    async def _claim(self, room: int) -> bool:
        """Claim what is due; whether the lane is still ours."""
        self._look = self._woken = False
        self._overlooked = bool(self._under_way)
        limit = self._limit
        ask = Ask(
            channel_id=self.channel_id,
            epoch=self.epoch,
            stamp=self._lease.stamp,
            room=room,
            per_second=None if limit is None else limit.per_second,
            burst=None if limit is None else limit.burst,
        )
        answer = await self._tools.claims.ask(ask)
        if answer.held and not answer.fresh:
            return await self._read_lease()
        now = time.monotonic()
        if limit is not None and self._pacer is None:
            self._pacer = Pacer(limit.per_second, limit.burst, answer.tokens, now)
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
        """Read what the claimed ones tell; if that can't be, they wait as before."""
        if not claimed:
            return
        self._unanswered += len(claimed)
        self._count_merged(sum(one.merged for one in claimed), "group")
        messages: dict[int, Message] = {}
        try:
            messages = await self._tools.contents.messages(claimed)
        except FAILED:
            self._stopping = True
            raise
        finally:
            self._ready.extend((one, messages.get(one.id)) for one in claimed)

    async def _read_lease(self) -> bool:
        """The channel was changed: read it anew; whether the lane is still ours."""
        async with self._tools.connection.use() as driver:
            lease = await lanes.read_lease(
                driver, self._tools.worker, self._tools.seal, self.channel_id, self.epoch
            )
        if lease is not None:
            self._take(lease)
            self._look = True
        return lease is not None

    def _begin(self) -> None:
        """Begin as many attempts as may be under way; when the channel is held, put back what was not begun."""
        if self._flow.held_for(time.monotonic()) > 0:
            self._put_back()
        while self._ready and self._unanswered - len(self._ready) < self._flow.width:
            self._spawn(self._attempt(*self._ready.popleft()))

    def _put_back(self) -> None:
        while self._ready:
            claimed, _ = self._ready.popleft()
            self._unanswered -= 1
            self._look = True
            self._spawn(self._unsent(claimed))

    def _spawn(self, work: Any) -> None:
        task = asyncio.create_task(work)
        self._under_way.add(task)
        task.add_done_callback(self._settled)

    def _settled(self, task: "asyncio.Task[None]") -> None:
        self._under_way.discard(task)
        # What waited behind a settled delivery of its group may be due now.
        self._look = self._look or self._overlooked
        self._changed.set()

    async def _wait_for_change(self, now: float) -> None:
        rest = self._rest(now)
        patience = rest if rest > 0 and (self._look or self._digest_due) else None
        try:
            async with asyncio.timeout(patience):
                await self._changed.wait()
        except TimeoutError:
            self._look = True

    async def _unsent(self, claimed: Claimed) -> None:
        await asyncio.shield(self._tools.settler.settle(Ended(unsent(claimed, datetime.now(UTC)))))

    async def _attempt(self, claimed: Claimed, message: Message | None) -> None:
        probe, begun = self._flow.is_open, None
        try:
            async with self._tools.slots:
                if self._pacer is not None:
                    await asyncio.sleep(self._pacer.delay(time.monotonic()))
                if not self._refuses(probe=probe):
                    begun = self._tools.attempts.begin(self._lease, claimed, message)
                    await begun.call()
        except asyncio.CancelledError:
            if begun is not None:
                begun.interrupted()
        self._unanswered -= 1
        self._changed.set()
        if begun is None:
            self._look = True
            await self._unsent(claimed)
            return
        ended = Ended(begun.settlement(), self._learned(begun, probe=probe), begun.gone())
        # Whatever ends this task now, the outcome must be recorded.
        await asyncio.shield(self._tools.settler.settle(ended))
        begun.observe(ended.settlement)

    def _refuses(self, *, probe: bool) -> bool:
        """Whether nothing may be begun any more, since it was claimed."""
        held = self._flow.held_for(time.monotonic()) > 0
        return self._stopping or held or (self._flow.is_open and not probe)

    def _learned(self, attempt: Attempt, *, probe: bool) -> LaneState | None:
        """What the attempt teaches of the destination, if the lane's row is to say it."""
        outcome, now, was_open = attempt.outcome, time.monotonic(), self._flow.is_open
        changed = self._flow.note(outcome, now, random.random(), probe=probe)  # noqa: S311 - jitter
        failed = not isinstance(outcome, Sent) and outcome.reason is not Reason.INTERRUPTED
        if not changed and not failed and now - self._state_written < STATE_EVERY:
            return None
        self._state_written = now
        if self._flow.is_open and not was_open:
            self._tools.metrics.breaker_opened.labels(attempt.channel_type).inc()
            log.warning("breaker_opened", channel_id=self.channel_id, failures=self._flow.failures)
        return LaneState(
            channel_id=self.channel_id,
            epoch=self.epoch,
            failures=self._flow.failures,
            probes=self._flow.probes,
            is_open=self._flow.is_open,
            held_for=self._flow.held_for(now),
            succeeded=isinstance(outcome, Sent),
            failed=failed,
            reason=None if isinstance(outcome, Sent) else outcome.reason.value,
            error=None if isinstance(outcome, Sent) else outcome.detail,
        )

    def _count_merged(self, count: int, into: str) -> None:
        if count:
            self._tools.metrics.merged.labels(channel_type_of(self._lease), into).inc(count)
