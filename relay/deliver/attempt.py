"""One attempt at a delivery: send its message, and derive what follows."""

import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import structlog

from relay.deliver.decision import decide
from relay.deliver.message_edits import PreparedMessage, destination_hash_of, updated
from relay.domain.history import Kind, State
from relay.domain.notifications import Message, Notification
from relay.domain.outcomes import Outcome, Reason, Rejected, Retry, Sent
from relay.notify.registry import notifier_for
from relay.notify.sender import Sender
from relay.store.outbox.claims import Claimed
from relay.store.outbox.lanes import Lease
from relay.store.outbox.message_edits import EditableMessageUpdate
from relay.store.outbox.settle import Settlement
from relay.telemetry import Metrics

log = structlog.get_logger(__name__)


class AttemptContext(msgspec.Struct, frozen=True):
    """What all attempts of a worker share. `jitter` returns random numbers in [0, 1) for the backoff."""

    sender: Sender
    metrics: Metrics
    give_up_after: timedelta
    give_up_resolved_after: timedelta
    """For a message whose alerts were all resolved before their firing was sent."""
    jitter: Callable[[], float]


class RunningAttempt:
    """One attempt, from its start to what follows from its outcome."""

    def __init__(
        self, context: AttemptContext, lease: Lease, claimed: Claimed, prepared: PreparedMessage | None
    ) -> None:
        """Start the clock. Without a prepared message, the delivery's webhook is unreadable."""
        self.outcome: Outcome = Rejected(Reason.OTHER, "the webhook of this delivery cannot be read")
        self._context = context
        self._lease = lease
        self._claimed = claimed
        self._message = None if prepared is None else prepared.message
        self._editable = None if prepared is None else prepared.editable
        self._started_at = datetime.now(UTC)
        self._started = time.perf_counter()
        self._duration = 0.0

    @property
    def channel_type(self) -> str:
        """The channel's type as a metric's label."""
        return channel_type_of(self._lease)

    @property
    def config_version(self) -> Any:
        """The version of the channel's settings that this attempt uses."""
        return self._lease.config_version

    async def send(self, pace: Callable[[], Awaitable[None]]) -> None:
        """Send the message; `pace` is awaited before each of its requests but the first."""
        if self._lease.channel is None:
            self.outcome = Retry(Reason.OTHER, self._lease.unreadable)
        elif self._claimed.kind is Kind.REFRESH and not self._edits_message:
            self.outcome = Sent(detail="nothing was sent: the message to refresh is no longer edited")
        elif self._message is not None:
            channel = self._lease.channel
            with self._context.metrics.in_flight.track_inprogress():
                self.outcome = await self._context.sender.attempt(
                    notifier_for(channel),
                    channel,
                    self._message,
                    self._claimed.progress,
                    pace,
                    self._lease.template,
                )
        self._duration = time.perf_counter() - self._started

    def interrupt(self) -> None:
        """Record that the attempt was canceled; whether the platform got the message is unknown."""
        self.outcome = Retry(Reason.INTERRUPTED, "the relay stopped while sending")
        self._duration = time.perf_counter() - self._started

    def settlement(self) -> Settlement:
        """The settlement that follows from the outcome."""
        channel, context = self._lease.channel, self._context
        return decide(
            self._claimed,
            self.outcome,
            self._started_at,
            self._duration,
            context.jitter(),
            context.give_up_resolved_after if _is_over(self._message) else context.give_up_after,
            None if channel is None else channel.fallback_channel_id,
        )

    def disable_reason(self) -> str | None:
        """Why the channel must be disabled: the platform reported that the destination is gone."""
        if not isinstance(self.outcome, Retry) or self.outcome.reason is not Reason.DESTINATION_GONE:
            return None
        return f"the destination is gone: {self.outcome.detail}"

    def message_update(self) -> EditableMessageUpdate | None:
        """What to store of the group's edited message, if that changed."""
        destination_hash = destination_hash_of(self._lease.channel)
        message = None if self._editable is None else updated(self._editable, self.outcome)
        if destination_hash is None or message is None:
            return None
        return EditableMessageUpdate(self._lease.channel_id, self._lease.epoch, destination_hash, message)

    def refresh_channel(self) -> str | None:
        """The channel whose edited messages are outdated now, because a digest was sent."""
        digest_sent = self._claimed.kind is Kind.DIGEST and isinstance(self.outcome, Sent)
        edited = destination_hash_of(self._lease.channel) is not None
        return self._lease.channel_id if digest_sent and edited else None

    @property
    def _edits_message(self) -> bool:
        return isinstance(self._message, Notification) and any(self._message.message_refs)

    def observe(self, settlement: Settlement) -> None:
        """Update the metrics, and log a failure."""
        metrics, channel_type, outcome = self._context.metrics, self.channel_type, self.outcome
        reason = "" if isinstance(outcome, Sent) else outcome.reason.value
        if settlement.state == State.DEAD:
            metrics.dead.labels(channel_type, settlement.reason).inc()
            if settlement.fallback is not None:
                metrics.fallbacks.labels(channel_type, settlement.reason).inc()
        if reason == Reason.RATE_LIMITED:
            metrics.rate_limited.labels(channel_type).inc()
        if reason == Reason.DESTINATION_GONE:
            metrics.channels_disabled.labels(channel_type).inc()
        metrics.attempts.labels(channel_type, outcome.kind, reason).inc()
        metrics.attempt_seconds.labels(channel_type).observe(self._duration)
        if isinstance(outcome, Sent):
            age = (datetime.now(UTC) - self._claimed.created_at).total_seconds()
            metrics.delivery_seconds.labels(channel_type).observe(age)
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


def _is_over(message: Message | None) -> bool:
    """Whether every alert was resolved before its firing was sent."""
    return isinstance(message, Notification) and len(message.unnotified) == len(message.alerts)
