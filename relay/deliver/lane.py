"""How is one lane worked off: claim, call, settle, and give it back when nothing is due?"""

import asyncio
import random
import time
from datetime import UTC, datetime
from typing import Final

import msgspec
import structlog

from relay.deliver.decision import decide
from relay.deliver.receipts import Receipts, notification_of
from relay.deliver.settler import Settler
from relay.domain.alerts import Group
from relay.domain.channels import Channel
from relay.domain.errors import Unreadable
from relay.domain.outcomes import Outcome, Reason, Rejected, Retry, Sent
from relay.notify.registry import notifier_for
from relay.notify.transport import Transport
from relay.store import channels, lanes
from relay.store.database import HeldConnection
from relay.store.seal import Seal
from relay.telemetry import Metrics

CONCURRENCY: Final = 32
"""Different groups of one channel that may be on their way at the same time."""
AHEAD: Final = 4 * CONCURRENCY
"""Deliveries that are claimed and not yet answered: most wait, so that no place stands empty during a claim."""
REFILL: Final = AHEAD // 2
"""Claims that may be made at once before one is worth its round trip while others are on their way."""
MAX_UNSETTLED: Final = 2 * AHEAD
"""Deliveries that are claimed and not yet settled: the bound while Postgres is slow or away."""
LOOK_EVERY: Final = 1.0
"""Seconds; a retry may come due while another group's request hangs, and nothing else would tell of it."""

log = structlog.get_logger(__name__)


class Tools(msgspec.Struct, frozen=True):
    """What all lanes of a worker share. `slots` bounds the attempts under way in the process."""

    worker: str
    connection: HeldConnection
    receipts: Receipts
    settler: Settler
    transport: Transport
    seal: Seal
    metrics: Metrics
    slots: asyncio.Semaphore


class Lane:
    """One lane that this process holds the lease of."""

    def __init__(self, lease: lanes.Lease, tools: Tools) -> None:
        """Nothing happens before `run`."""
        self._lease = lease
        self._tools = tools
        self._woken = False
        self._changed = asyncio.Event()
        self._stopping = False
        self._retries = False
        self._unanswered = 0
        self._under_way: set[asyncio.Task[None]] = set()
        self._places = asyncio.Semaphore(CONCURRENCY)

    @property
    def channel_id(self) -> str:
        """Whose lane it is."""
        return self._lease.channel_id

    def wake(self) -> None:
        """Something was queued."""
        self._woken = True
        self._changed.set()

    def stop(self) -> None:
        """Claim nothing more; what is under way goes on."""
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
        more = True
        while not self._stopping:
            if self._changed.is_set():
                self._changed.clear()
                more = True  # what waited behind a settled delivery of its group may be due now
            free = min(AHEAD - self._unanswered, MAX_UNSETTLED - len(self._under_way))
            if free > 0 and (self._woken or (more and free >= REFILL)):
                self._woken = False
                more = await self._claim(free)
            elif self._under_way:
                await self._wait_for_change()
            else:
                released, due_in = await self._release()
                if released:
                    # A wake-up that came during the release found the lane still held, and must not be lost.
                    return 0.0 if self._woken else due_in
                if not await self._renew():
                    return None
                more = True
        return None

    async def drain(self) -> None:
        """Return when all that was under way is settled."""
        while self._under_way:
            await asyncio.wait(set(self._under_way))

    async def _claim(self, limit: int) -> bool:
        """Begin attempts that are due; whether there may be more of them."""
        async with self._tools.connection.use() as driver:
            claimed = await lanes.claim_deliveries(driver, self._tools.worker, self._lease, limit)
            channel = await self._load_channel(driver) if claimed else None
        self._unanswered += len(claimed)
        groups = await self._tools.receipts.groups(delivery.receipt_id for delivery in claimed)
        for delivery in claimed:
            attempt = self._attempt(delivery, channel, groups.get(delivery.receipt_id))
            task = asyncio.create_task(attempt)
            self._under_way.add(task)
            task.add_done_callback(self._settled)
        return len(claimed) == limit

    async def _wait_for_change(self) -> None:
        try:
            async with asyncio.timeout(LOOK_EVERY if self._retries else None):
                await self._changed.wait()
        except TimeoutError:
            self._woken = True

    def _settled(self, task: "asyncio.Task[None]") -> None:
        self._under_way.discard(task)
        self._changed.set()

    async def _load_channel(self, driver: object) -> Channel | Outcome:
        try:
            channel = await channels.load(driver, self.channel_id, self._tools.seal)
        except Unreadable as error:
            return Retry(Reason.OTHER, str(error))
        return channel or Rejected(Reason.CHANNEL_DELETED, "the channel was deleted before this could be sent")

    async def _release(self) -> tuple[bool, float | None]:
        async with self._tools.connection.use() as driver:
            return await lanes.release(driver, self._tools.worker, self._lease)

    async def _renew(self) -> bool:
        """Read the lane anew, for something was queued; whether it is still ours."""
        async with self._tools.connection.use() as driver:
            renewed = await lanes.renew(driver, self._tools.worker, [self.channel_id])
        if not renewed or renewed[0].epoch != self._lease.epoch:
            return False
        self._lease = renewed[0]
        return True

    async def _attempt(
        self, delivery: lanes.Claimed, channel: Channel | Outcome | None, group: Group | None
    ) -> None:
        started_at, started = datetime.now(UTC), time.perf_counter()
        try:
            async with self._places, self._tools.slots:
                started_at, started = datetime.now(UTC), time.perf_counter()
                outcome = await self._call(delivery, channel, group)
        except asyncio.CancelledError:
            outcome = Retry(Reason.INTERRUPTED, "the relay stopped while this was being sent")
        duration = time.perf_counter() - started
        self._unanswered -= 1
        self._changed.set()
        settlement = decide(delivery, outcome, started_at, duration, random.random())  # noqa: S311 - jitter
        self._retries = self._retries or isinstance(outcome, Retry)
        # Whatever ends this task now, the outcome must be recorded.
        await asyncio.shield(self._tools.settler.settle(settlement))
        self._observe(channel, outcome, delivery, duration)

    async def _call(
        self, delivery: lanes.Claimed, channel: Channel | Outcome | None, group: Group | None
    ) -> Outcome:
        if self._stopping:
            return Retry(Reason.INTERRUPTED, "this worker gave the lane up before it was sent")
        if isinstance(channel, Sent | Retry | Rejected):
            return channel
        if channel is None or group is None:
            return Rejected(Reason.OTHER, "the webhook that this comes from can't be read any more")
        with self._tools.metrics.in_flight.track_inprogress():
            notification = notification_of(delivery, self.channel_id, group)
            return await self._tools.transport.attempt(notifier_for(channel), channel, notification)

    def _observe(
        self, channel: Channel | Outcome | None, outcome: Outcome, delivery: lanes.Claimed, duration: float
    ) -> None:
        metrics = self._tools.metrics
        kind = getattr(channel, "channel_type", "unknown")
        reason = "" if isinstance(outcome, Sent) else outcome.reason.value
        metrics.attempts.labels(kind, type(outcome).__name__.lower(), reason).inc()
        metrics.attempt_seconds.labels(kind).observe(duration)
        if isinstance(outcome, Sent):
            age = (datetime.now(UTC) - delivery.created_at).total_seconds()
            metrics.delivery_seconds.labels(kind).observe(age)
            return
        log.warning(
            "attempt_failed",
            channel_id=self.channel_id,
            delivery_id=delivery.id,
            attempt=delivery.attempt,
            reason=reason,
            detail=outcome.detail,
        )
