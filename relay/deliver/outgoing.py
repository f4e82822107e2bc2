"""How does what a lane claimed go out: so many at a time, spaced, and each settled?"""

import asyncio
import random
import time
from collections import deque
from collections.abc import Callable, Coroutine, Iterable
from datetime import UTC, datetime
from typing import Any, Final

import structlog

from relay.deliver.attempt import AttemptContext, RunningAttempt
from relay.deliver.circuit_breaker import Flow
from relay.deliver.decision import unsent
from relay.deliver.message_edits import PreparedMessage
from relay.deliver.settler import AttemptResult, Settler
from relay.deliver.throttle import Pacer
from relay.domain.outcomes import Reason, Sent
from relay.store.outbox.claims import Claimed
from relay.store.outbox.lanes import LaneState, Lease

STATE_EVERY: Final = 1.0
"""Seconds between successes that are written to the lane's row; what goes wrong is written at once."""

log = structlog.get_logger(__name__)


class Outgoing:
    """The deliveries of one lane between their claim and their settlement."""

    def __init__(
        self,
        lease: Lease,
        means: AttemptContext,
        settler: Settler,
        slots: asyncio.Semaphore,
        changed: Callable[[], None],
    ) -> None:
        """`slots` bounds what is under way in the process; `changed` is called when there is room, or news."""
        self._means = means
        self._settler = settler
        self._slots = slots
        self._changed = changed
        self._ready: deque[tuple[Claimed, PreparedMessage | None]] = deque()
        self._tasks: set[asyncio.Task[None]] = set()
        self._under_way = 0
        self._stopping = False
        self._state_written = 0.0
        self.returned = False
        """Whether some were put back since this was last reset."""
        self.go_on(lease)

    def go_on(self, lease: Lease) -> None:
        """Go on with the channel's settings and the breaker as the lease has them."""
        self._lease = lease
        self.flow = Flow(lease.failures, lease.probes, is_open=lease.is_open)
        self.pacer: Pacer | None = None

    @property
    def waiting(self) -> int:
        """How many are claimed and not begun."""
        return len(self._ready)

    @property
    def unanswered(self) -> int:
        """How many are claimed and not answered."""
        return len(self._ready) + self._under_way

    @property
    def unsettled(self) -> int:
        """How many are claimed and not settled."""
        return len(self._ready) + len(self._tasks)

    def add(self, claimed: Iterable[tuple[Claimed, PreparedMessage | None]]) -> None:
        """Send these as soon as may be. Without a telling its webhook can't be read any more."""
        self._ready.extend(claimed)

    def begin(self) -> None:
        """Begin as many as may be under way; when the channel is held, put back what was not begun."""
        if self.flow.held_for(time.monotonic()) > 0:
            self._put_back()
        while self._ready and self._under_way < self.flow.width:
            self._under_way += 1
            self._spawn(self._send(*self._ready.popleft()))

    async def drain(self) -> None:
        """Begin nothing more, put back what was not begun, and return when all is settled."""
        self._stopping = True
        self._put_back()
        while self._tasks:
            await asyncio.wait(set(self._tasks))

    def stop(self) -> None:
        """Begin nothing more; what is under way goes on."""
        self._stopping = True

    def cancel(self) -> None:
        """Break off what is under way; it goes back into the outbox."""
        for task in self._tasks:
            task.cancel()

    def _put_back(self) -> None:
        while self._ready:
            claimed, _ = self._ready.popleft()
            self._spawn(self._settle_unsent(claimed))

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._settled)

    def _settled(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        self._changed()

    async def _settle_unsent(self, claimed: Claimed) -> None:
        self.returned = True
        await asyncio.shield(self._settler.settle(AttemptResult(unsent(claimed, datetime.now(UTC)))))

    async def _send(self, claimed: Claimed, telling: PreparedMessage | None) -> None:
        probe, begun = self.flow.is_open, None
        try:
            async with self._slots:
                await self._pace()
                if not self._refuses(probe=probe):
                    begun = RunningAttempt(self._means, self._lease, claimed, telling)
                    await begun.call(self._pace)
        except asyncio.CancelledError:
            if begun is not None:
                begun.interrupted()
        self._under_way -= 1
        self._changed()
        if begun is None:
            await self._settle_unsent(claimed)
            return
        ended = AttemptResult(
            begun.settlement(), self._learned(begun, probe=probe), begun.gone(), begun.told(), begun.sets_right()
        )
        # Whatever ends this task now, the outcome must be recorded.
        await asyncio.shield(self._settler.settle(ended))
        begun.observe(ended.settlement)

    async def _pace(self) -> None:
        """Wait until the channel's limit lets one more request through."""
        if self.pacer is not None:
            await asyncio.sleep(self.pacer.delay(time.monotonic()))

    def _refuses(self, *, probe: bool) -> bool:
        """Whether nothing may be begun any more, since it was claimed."""
        held = self.flow.held_for(time.monotonic()) > 0
        return self._stopping or held or (self.flow.is_open and not probe)

    def _learned(self, attempt: RunningAttempt, *, probe: bool) -> LaneState | None:
        """What the attempt teaches of the destination, if the lane's row is to say it."""
        outcome, now, flow = attempt.outcome, time.monotonic(), self.flow
        was_open = flow.is_open
        changed = flow.note(outcome, now, random.random(), probe=probe)  # noqa: S311 - jitter
        failed = not isinstance(outcome, Sent) and outcome.reason is not Reason.INTERRUPTED
        if not changed and not failed and now - self._state_written < STATE_EVERY:
            return None
        self._state_written = now
        if flow.is_open and not was_open:
            self._means.metrics.breaker_opened.labels(attempt.channel_type).inc()
            log.warning("breaker_opened", channel_id=self._lease.channel_id, failures=flow.failures)
        return LaneState(
            channel_id=self._lease.channel_id,
            epoch=self._lease.epoch,
            failures=flow.failures,
            probes=flow.probes,
            is_open=flow.is_open,
            held_for=flow.held_for(now),
            succeeded=isinstance(outcome, Sent),
            failed=failed,
            reason=None if isinstance(outcome, Sent) else outcome.reason.value,
            error=None if isinstance(outcome, Sent) else outcome.detail,
        )
