"""How is a channel?"""

import math
from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Final

import msgspec

BUCKET_FACTOR: Final = 1.25
"""Durations are counted in buckets, each so many times as wide as the one before: a quantile is read from them
within 12%."""
FIRST_BUCKET: Final = 0.001
LAST_BUCKET: Final = 60
FAILING_FAILURES: Final = 3
FAILING_RATE: Final = 0.5
DEGRADED_RATE: Final = 0.95
FEW: Final = 3
"""Attempts; of fewer a rate says little."""
DEGRADED_AGE: Final = 300.0
"""Seconds; what waits for longer than this is not what people expect of a healthy channel."""


class ChannelState(StrEnum):
    """How a channel is, best first. `open`: its circuit breaker is."""

    HEALTHY = "healthy"
    DEGRADED = "degraded"
    FAILING = "failing"
    OPEN = "open"
    DISABLED = "disabled"


class ChannelHealth(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a channel's attempts, and what waits for it.

    Rates are between 0 and 1, of attempts that ended at the platform; None without any. Latencies are in seconds,
    over the last hour, of attempts that were answered with yes. `held_until` is None unless it lies ahead.
    `oldest_waiting` is since when the oldest waits. `caveats` say what can't be promised for its type.
    """

    state: ChannelState
    disabled_reason: str | None
    success_rate_1h: float | None
    success_rate_24h: float | None
    latency_p50: float | None
    latency_p95: float | None
    consecutive_failures: int
    open_since: datetime | None
    held_until: datetime | None
    last_success_at: datetime | None
    last_failure_at: datetime | None
    last_reason: str | None
    last_error: str | None
    waiting: int
    oldest_waiting: datetime | None
    caveats: tuple[str, ...] = ()


def state_of(
    *,
    enabled: bool,
    breaker_open: bool,
    failures: int,
    success_rate: float | None,
    attempts: int,
    oldest_age: float | None,
) -> ChannelState:
    """The state that follows from the last hour's attempts and the age in seconds of what waits longest."""
    if not enabled:
        return ChannelState.DISABLED
    if breaker_open:
        return ChannelState.OPEN
    if failures >= FAILING_FAILURES or (
        success_rate is not None and attempts >= FEW and success_rate < FAILING_RATE
    ):
        return ChannelState.FAILING
    slow = oldest_age is not None and oldest_age > DEGRADED_AGE
    if failures or slow or (success_rate is not None and success_rate < DEGRADED_RATE):
        return ChannelState.DEGRADED
    return ChannelState.HEALTHY


def latency_bucket(seconds: float) -> int:
    """The bucket that a duration is counted in, 0 to LAST_BUCKET."""
    if seconds <= FIRST_BUCKET:
        return 0
    return min(math.ceil(math.log(seconds / FIRST_BUCKET, BUCKET_FACTOR)), LAST_BUCKET)


def bucket_seconds(bucket: int) -> float:
    """The duration that stands for a bucket: its geometric middle."""
    return float(FIRST_BUCKET * BUCKET_FACTOR ** (bucket - 0.5))


def quantile(counts: Mapping[int, int], share: float) -> float | None:
    """The seconds that `share` of the attempts, counted by bucket, did not exceed; None without any."""
    wanted = share * sum(counts.values())
    reached = 0
    for bucket in sorted(counts):
        reached += counts[bucket]
        if reached and reached >= wanted:
            return round(bucket_seconds(bucket), 4)  # more digits would promise more than a bucket knows
    return None


def rate(successes: int, attempts: int) -> float | None:
    """The share of successes; None without attempts."""
    return successes / attempts if attempts else None
