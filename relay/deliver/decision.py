"""What follows from an attempt's outcome?"""

from datetime import datetime, timedelta
from typing import assert_never

from relay.domain.history import State
from relay.domain.outcomes import Outcome, Reason, Rejected, Retry, Sent, backoff
from relay.store.lanes import Claimed, Settlement

GIVE_UP_AFTER = timedelta(hours=24)


def decide(claimed: Claimed, outcome: Outcome, started_at: datetime, duration: float, chance: float) -> Settlement:
    """The settlement of an attempt that began at `started_at` and took `duration` seconds.

    `chance` is a random number in [0, 1) for the backoff's jitter; what the platform asks for is waited in full.
    """
    state, delay, reason, detail = State.DELIVERED, 0.0, None, outcome.detail
    match outcome:
        case Sent():
            pass
        case Rejected():
            state, reason = State.DEAD, outcome.reason
        case Retry() if started_at - claimed.created_at >= GIVE_UP_AFTER:
            state, reason = State.DEAD, Reason.EXPIRED
            detail = f"given up after {_hours(GIVE_UP_AFTER)}; at last: {detail}"
        case Retry():
            state, reason = State.PENDING, outcome.reason
            delay = (
                0.0
                if reason is Reason.INTERRUPTED
                else max(outcome.after or 0.0, backoff(claimed.attempt, chance))
            )
        case _:
            assert_never(outcome)
    return Settlement(
        delivery_id=claimed.id,
        attempt=claimed.attempt,
        state=state.value,
        delay=delay,
        started_at=started_at,
        duration=duration,
        outcome=type(outcome).__name__.lower(),
        reason=reason,
        status_code=outcome.status_code,
        detail=detail,
    )


def _hours(time: timedelta) -> str:
    return f"{time.total_seconds() / 3600:g} h"
