"""The dispatcher of a lane: sends claimed deliveries within the channel's limits, and settles each."""

import asyncio
import random
import time
from collections import deque
from collections.abc import Callable, Coroutine, Iterable
from datetime import UTC, datetime
from typing import Any, Final

import structlog

from relay.deliver.attempt import AttemptContext, RunningAttempt
from relay.deliver.circuit_breaker import CircuitBreaker
from relay.deliver.decision import unsent
from relay.deliver.message_edits import PreparedMessage
from relay.deliver.result_writer import AttemptResult, ResultWriter
from relay.deliver.throttle import Throttle
from relay.domain.outcomes import Reason, Sent
from relay.store.outbox.claims import Claimed
from relay.store.outbox.lane_states import LaneState
from relay.store.outbox.lanes import Lease

STATE_INTERVAL: Final = 1.0
"""Seconds between successes that are written to the lane's row; failures are written immediately."""

log = structlog.get_logger(__name__)


class Dispatcher:
    """The deliveries of one lane between their claim and their settlement."""

    def __init__(
        self,
        lease: Lease,
        context: AttemptContext,
        writer: ResultWriter,
        slots: asyncio.Semaphore,
        on_change: Callable[[], None],
    ) -> None:
        """`slots` bounds the attempts in flight in the process; `on_change` is called after each response."""
        self._context = context
        self._writer = writer
        self._slots = slots
        self._on_change = on_change
        self._queue: deque[tuple[Claimed, PreparedMessage | None]] = deque()
        self._tasks: set[asyncio.Task[None]] = set()
        self._in_flight = 0
        self._stopping = False
        self._state_written = 0.0
        self.returned = False
        """Whether deliveries were returned to the outbox since this was last reset."""
        self.use_lease(lease)

    def use_lease(self, lease: Lease) -> None:
        """Send with the channel's settings and the breaker's state in the lease from now on."""
        self._lease = lease
        self.breaker = CircuitBreaker(lease.failures, lease.probes, is_open=lease.is_open)
        self.throttle = Throttle()

    @property
    def queued(self) -> int:
        """How many deliveries are claimed, and not started."""
        return len(self._queue)

    @property
    def unanswered(self) -> int:
        """How many deliveries are claimed, and have no response yet."""
        return len(self._queue) + self._in_flight

    @property
    def unsettled(self) -> int:
        """How many deliveries are claimed, and not settled."""
        return len(self._queue) + len(self._tasks)

    def held_for(self, now: float) -> float:
        """Seconds in which nothing may be sent."""
        return max(self.breaker.held_for(now), self.throttle.paused_for(now))

    def add(self, claimed: Iterable[tuple[Claimed, PreparedMessage | None]]) -> None:
        """Queue deliveries. Without a prepared message, the delivery's webhook is unreadable."""
        self._queue.extend(claimed)

    def start_attempts(self) -> None:
        """Start as many attempts as the throttle allows; return the queue to the outbox if the channel is held."""
        if self.held_for(time.monotonic()) > 0:
            self._return_queue()
        while self._queue and self._in_flight < self.throttle.concurrency:
            self._in_flight += 1
            self._spawn(self._send(*self._queue.popleft()))

    async def drain(self) -> None:
        """Start no more attempts, return the queue to the outbox, and wait until everything is settled."""
        self._stopping = True
        self._return_queue()
        while self._tasks:
            await asyncio.wait(set(self._tasks))

    def stop(self) -> None:
        """Start no more attempts; those in flight continue."""
        self._stopping = True

    def cancel(self) -> None:
        """Cancel the attempts in flight; their deliveries return to the outbox."""
        for task in self._tasks:
            task.cancel()

    def _return_queue(self) -> None:
        while self._queue:
            claimed, _ = self._queue.popleft()
            self._spawn(self._return(claimed))

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        self._on_change()

    async def _return(self, claimed: Claimed) -> None:
        self.returned = True
        await asyncio.shield(self._writer.write(AttemptResult(unsent(claimed, datetime.now(UTC)))))

    async def _send(self, claimed: Claimed, prepared: PreparedMessage | None) -> None:
        probe, attempt = self.breaker.is_open, None
        try:
            async with self._slots:
                await self._pace()
                if not self._is_blocked(probe=probe):
                    attempt = RunningAttempt(self._context, self._lease, claimed, prepared)
                    await attempt.send(self._pace)
        except asyncio.CancelledError:
            if attempt is not None:
                attempt.interrupt()
        self._in_flight -= 1
        self._on_change()
        if attempt is None:
            await self._return(claimed)
            return
        result = AttemptResult(
            settlement=attempt.settlement(),
            lane_state=self._record(attempt, probe=probe),
            config_version=attempt.config_version,
            disable_reason=attempt.disable_reason(),
            message_update=attempt.message_update(),
            refresh_channel=attempt.refresh_channel(),
        )
        # The outcome must be written even if this task is canceled now.
        await asyncio.shield(self._writer.write(result))
        attempt.observe(result.settlement)

    async def _pace(self) -> None:
        """Wait until the channel's rate limit allows one more request."""
        if self.throttle.bucket is not None:
            await asyncio.sleep(self.throttle.delay(time.monotonic()))

    def _is_blocked(self, *, probe: bool) -> bool:
        """Whether no further attempt may start, because the lane was stopped or held since the claim."""
        held = self.held_for(time.monotonic()) > 0
        return self._stopping or held or (self.breaker.is_open and not probe)

    def _record(self, attempt: RunningAttempt, *, probe: bool) -> LaneState | None:
        """Record the outcome in breaker and throttle; return the lane's state if it has to be written."""
        outcome, now = attempt.outcome, time.monotonic()
        was_open = self.breaker.is_open
        changed = self.breaker.record(outcome, now, random.random(), probe=probe)  # noqa: S311 - jitter
        changed |= self.throttle.record(outcome, now)
        failed = not isinstance(outcome, Sent) and outcome.reason is not Reason.INTERRUPTED
        if not changed and not failed and now - self._state_written < STATE_INTERVAL:
            return None
        self._state_written = now
        if self.breaker.is_open and not was_open:
            self._context.metrics.breaker_opened.labels(attempt.channel_type).inc()
            log.warning("breaker_opened", channel_id=self._lease.channel_id, failures=self.breaker.failures)
        return LaneState(
            channel_id=self._lease.channel_id,
            epoch=self._lease.epoch,
            failures=self.breaker.failures,
            probes=self.breaker.probes,
            is_open=self.breaker.is_open,
            held_for=self.held_for(now),
            succeeded=isinstance(outcome, Sent),
            failed=failed,
            reason=None if isinstance(outcome, Sent) else outcome.reason,
            error=None if isinstance(outcome, Sent) else outcome.detail,
        )
