"""How is one delivery attempted: call the platform, and say what follows?"""

import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import structlog

from relay.deliver.decision import decide
from relay.deliver.message_edits import PreparedMessage, after, destination_hash_of
from relay.domain.history import State
from relay.domain.notifications import REFRESH, Message, Notification
from relay.domain.outcomes import Outcome, Reason, Rejected, Retry, Sent
from relay.notify.registry import notifier_for
from relay.notify.sender import Sender
from relay.store.outbox.claims import Claimed
from relay.store.outbox.lanes import Lease
from relay.store.outbox.message_edits import EditableMessageUpdate
from relay.store.outbox.settle import Settlement
from relay.telemetry import Metrics

log = structlog.get_logger(__name__)


class Patience(msgspec.Struct, frozen=True):
    """How long deliveries are tried. `resolved`: what is resolved by now and whose firing was never told."""

    usual: timedelta
    resolved: timedelta


class AttemptContext(msgspec.Struct, frozen=True):
    """What all attempts of a worker share. `chance` gives random numbers in [0, 1) for the backoff's jitter."""

    sender: Sender
    metrics: Metrics
    patience: Patience
    chance: Callable[[], float]


class RunningAttempt:
    """One attempt, from its beginning to what follows from it."""

    def __init__(
        self, means: AttemptContext, lease: Lease, claimed: Claimed, telling: PreparedMessage | None
    ) -> None:
        """The clock runs from here. Without a telling its webhook can't be read any more."""
        self.outcome: Outcome = Rejected(Reason.OTHER, "the webhook that this comes from can't be read any more")
        self._means = means
        self._lease = lease
        self._claimed = claimed
        self._message = None if telling is None else telling.message
        self._living = None if telling is None else telling.living
        self._started_at = datetime.now(UTC)
        self._started = time.perf_counter()
        self._duration = 0.0

    @property
    def channel_type(self) -> str:
        """For the metrics."""
        return channel_type_of(self._lease)

    async def call(self, pace: Callable[[], Awaitable[None]]) -> None:
        """Tell the platform; `pace` is waited for before each request but the first, if there are several."""
        if self._lease.channel is None:
            self.outcome = Retry(Reason.OTHER, self._lease.unreadable)
        elif self._claimed.rank == REFRESH and not self._edits:
            self.outcome = Sent(detail="nothing was sent: the message to be set right is not edited any more")
        elif self._message is not None:
            channel = self._lease.channel
            with self._means.metrics.in_flight.track_inprogress():
                self.outcome = await self._means.sender.attempt(
                    notifier_for(channel),
                    channel,
                    self._message,
                    self._claimed.progress,
                    pace,
                    self._lease.template,
                )
        self._duration = time.perf_counter() - self._started

    def interrupted(self) -> None:
        """It was broken off, and whether the platform got it is not known."""
        self.outcome = Retry(Reason.INTERRUPTED, "the relay stopped while this was being sent")
        self._duration = time.perf_counter() - self._started

    def settlement(self) -> Settlement:
        """What follows from the outcome."""
        channel, patience = self._lease.channel, self._means.patience
        return decide(
            self._claimed,
            self.outcome,
            self._started_at,
            self._duration,
            self._means.chance(),
            patience.resolved if _nobody_waits(self._message) else patience.usual,
            None if channel is None else channel.fallback_channel_id,
        )

    def gone(self) -> tuple[Any, str] | None:
        """What disables the channel, if the platform said that the destination is gone."""
        if not isinstance(self.outcome, Retry) or self.outcome.reason is not Reason.DESTINATION_GONE:
            return None
        return self._lease.config_version, f"the destination is gone: {self.outcome.detail}"

    def told(self) -> EditableMessageUpdate | None:
        """What is to be kept of the group's message, if that changed."""
        destination_hash = destination_hash_of(self._lease.channel)
        kept = None if self._living is None else after(self._living, self.outcome)
        if destination_hash is None or kept is None:
            return None
        return EditableMessageUpdate(self._lease.channel_id, self._lease.epoch, destination_hash, kept)

    def sets_right(self) -> str | None:
        """The channel whose messages that are edited now say something older, if this is a digest."""
        told = self._claimed.receipt_id is None and isinstance(self.outcome, Sent)
        return self._lease.channel_id if told and destination_hash_of(self._lease.channel) is not None else None

    @property
    def _edits(self) -> bool:
        return isinstance(self._message, Notification) and any(self._message.message_refs)

    def observe(self, settlement: Settlement) -> None:
        """Count it and what followed, and log what failed."""
        metrics, kind, outcome = self._means.metrics, self.channel_type, self.outcome
        reason = "" if isinstance(outcome, Sent) else outcome.reason.value
        if settlement.state == State.DEAD:
            metrics.dead.labels(kind, settlement.reason).inc()
            if settlement.fallback is not None:
                metrics.fallbacks.labels(kind, settlement.reason).inc()
        if reason == Reason.RATE_LIMITED:
            metrics.rate_limited.labels(kind).inc()
        if reason == Reason.DESTINATION_GONE:
            metrics.channels_disabled.labels(kind).inc()
        metrics.attempts.labels(kind, type(outcome).__name__.lower(), reason).inc()
        metrics.attempt_seconds.labels(kind).observe(self._duration)
        if isinstance(outcome, Sent):
            age = (datetime.now(UTC) - self._claimed.created_at).total_seconds()
            metrics.delivery_seconds.labels(kind).observe(age)
            return
        log.warning(
            "attempt_failed",
            channel_id=self._claimed.channel_id,
            delivery_id=self._claimed.id,
            attempt=self._claimed.attempt,
            reason=reason,
            detail=outcome.detail,
        )


def channel_type_of(lease: Lease) -> str:
    """The channel's type as a metric's label."""
    return "unknown" if lease.channel is None else lease.channel.channel_type


def _nobody_waits(message: Message | None) -> bool:
    """Whether all that it tells is over, and nobody was told that it began."""
    return isinstance(message, Notification) and len(message.unnotified) == len(message.alerts)
