"""When a silence is active: once, or in the windows of its recurrence."""

from datetime import datetime

from relay.domain.errors import InvalidInput
from relay.domain.recurring_windows import Window
from relay.domain.silences import Silence, SilenceState, has_expired, windows_of


def is_active(silence: Silence, at: datetime) -> bool:
    """Whether it is active at a time; False if its rule can't be read."""
    if at < silence.starts_at or (silence.ends_at is not None and at >= silence.ends_at):
        return False
    if silence.rrule is None:
        return True
    try:
        return windows_of(silence).at(at) is not None
    except InvalidInput:  # stored by a newer release
        return False


def state_of(silence: Silence, at: datetime) -> SilenceState:
    """Its state at a time; one that recurs is pending between its windows."""
    if is_active(silence, at):
        return SilenceState.ACTIVE
    return SilenceState.EXPIRED if has_expired(silence, at) else SilenceState.PENDING


def window_at(silence: Silence, at: datetime) -> Window | None:
    """The window in which a time is, windows that overlap being one; None if it is not active then.

    The end is None if so many windows overlap that none is in sight.
    """
    if not is_active(silence, at):
        return None
    if silence.rrule is None:
        return silence.starts_at, silence.ends_at
    return windows_of(silence).at(at)


def occurrences(silence: Silence, after: datetime, count: int) -> list[tuple[datetime, datetime]]:
    """The next windows, at most `count`, that begin after a time; those that overlap are not merged."""
    if silence.rrule is not None:
        return windows_of(silence).occurrences(after, count)
    if silence.starts_at <= after or silence.ends_at is None:
        return []
    return [(silence.starts_at, silence.ends_at)][:count]
