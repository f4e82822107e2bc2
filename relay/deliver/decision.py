"""The settlement that follows from an attempt's outcome."""

from datetime import datetime, timedelta
from typing import assert_never

from relay.domain.health import latency_bucket
from relay.domain.history import Kind, State
from relay.domain.outcomes import UNCONFIRMED_DELAYS, Outcome, Reason, Rejected, Retry, Sent, backoff
from relay.store.outbox.claims import Claimed
from relay.store.outbox.settle import Settlement


def decide(
    claimed: Claimed,
    outcome: Outcome,
    started_at: datetime,
    duration: float,
    jitter: float,
    give_up_after: timedelta,
    fallback: str | None,
) -> Settlement:
    """The settlement of an attempt that started at `started_at` and took `duration` seconds.

    `jitter` is a random number in [0, 1) for the backoff. A delay that the platform asks for is never shortened.
    A dead delivery is sent to the channel `fallback`.
    """
    state, delay, reason, detail = State.DELIVERED, 0.0, None, outcome.detail
    match outcome:
        case Sent():
            pass
        case Rejected():
            state, reason = State.DEAD, outcome.reason
        case Retry(reason=Reason.INTERRUPTED | Reason.DESTINATION_GONE):
            state, reason = State.PENDING, outcome.reason
        case Retry() if started_at - _pending_since(claimed) >= give_up_after:
            state, reason = State.DEAD, Reason.EXPIRED
            detail = f"expired after {_hours(give_up_after)}; last error: {detail}"
        case Retry(unconfirmed=True) if claimed.unconfirmed >= len(UNCONFIRMED_DELAYS):
            state, reason = State.DEAD, outcome.reason
            detail = f"sent {claimed.unconfirmed + 1} times, and never confirmed; last response: {detail}"
        case Retry():
            state, reason = State.PENDING, outcome.reason
            delay = max(outcome.after or 0.0, _own_delay(claimed, outcome, jitter))
        case _:
            assert_never(outcome)
    return Settlement(
        delivery_id=claimed.id,
        attempt=claimed.attempt,
        state=state,
        delay=delay,
        started_at=started_at,
        duration=duration,
        outcome=outcome.kind,
        reason=reason,
        status_code=outcome.status_code,
        detail=detail,
        bucket=None if reason is Reason.INTERRUPTED else latency_bucket(duration),
        fallback=fallback,
        progress=outcome.progress if isinstance(outcome, Retry) else None,
    )


def _own_delay(claimed: Claimed, outcome: Retry, jitter: float) -> float:
    return UNCONFIRMED_DELAYS[claimed.unconfirmed] if outcome.unconfirmed else backoff(claimed.attempt, jitter)


def _pending_since(claimed: Claimed) -> datetime:
    """The start of the time after which a delivery expires. A digest is as old as its newest delivery."""
    is_digest = claimed.kind is Kind.DIGEST
    return max(claimed.created_at, claimed.waiting_since) if is_digest else claimed.waiting_since


def unsent(claimed: Claimed, now: datetime) -> Settlement:
    """The settlement that returns a claimed delivery to the queue, without an attempt."""
    return Settlement(
        delivery_id=claimed.id,
        attempt=claimed.attempt,
        state=State.PENDING,
        delay=0.0,
        started_at=now,
        duration=0.0,
        outcome=None,
        reason=None,
        status_code=None,
        detail=None,
        bucket=None,
        fallback=None,
        progress=None,
    )


def _hours(time: timedelta) -> str:
    return f"{time.total_seconds() / 3600:g} h"
