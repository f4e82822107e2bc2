"""The health of a channel, computed from its attempts."""

import math
from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Final

import msgspec

BUCKET_FACTOR: Final = 1.25
"""Ratio between the upper bounds of successive duration buckets; quantiles are exact to 12%."""
FIRST_BUCKET: Final = 0.001
"""Seconds; the upper bound of bucket 0."""
LAST_BUCKET: Final = 60
"""The number of the last bucket."""
FAILING_FAILURES: Final = 3
FAILING_RATE: Final = 0.5
DEGRADED_RATE: Final = 0.95
MIN_ATTEMPTS: Final = 3
"""The attempts needed for a success rate to make a channel failing."""
DEGRADED_AGE: Final = 300.0
"""Seconds after which a pending delivery makes its channel degraded."""


class ChannelState(StrEnum):
    """The state of a channel, healthiest first. `open`: its circuit breaker is open."""

    HEALTHY = "healthy"
    DEGRADED = "degraded"
    FAILING = "failing"
    OPEN = "open"
    DISABLED = "disabled"


class ChannelHealth(msgspec.Struct, frozen=True, kw_only=True):
    """The results of a channel's attempts, and its pending deliveries.

    Rates are between 0 and 1, over attempts with a response of the platform; None without any. Latencies are in
    seconds, over the successful attempts of the last hour. `held_until` is None unless it is in the future.
    `oldest_waiting` is when the oldest pending delivery was queued. `caveats` are the limitations of its type.
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
    """Compute the state from the last hour and the age in seconds of the oldest pending delivery."""
    if not enabled:
        return ChannelState.DISABLED
    if breaker_open:
        return ChannelState.OPEN
    if failures >= FAILING_FAILURES or (
        success_rate is not None and attempts >= MIN_ATTEMPTS and success_rate < FAILING_RATE
    ):
        return ChannelState.FAILING
    slow = oldest_age is not None and oldest_age > DEGRADED_AGE
    if failures or slow or (success_rate is not None and success_rate < DEGRADED_RATE):
        return ChannelState.DEGRADED
    return ChannelState.HEALTHY


def latency_bucket(seconds: float) -> int:
    """Return the bucket of a duration, 0 to LAST_BUCKET."""
    if seconds <= FIRST_BUCKET:
        return 0
    return min(math.ceil(math.log(seconds / FIRST_BUCKET, BUCKET_FACTOR)), LAST_BUCKET)


def bucket_seconds(bucket: int) -> float:
    """Return the duration that represents a bucket: its geometric mean."""
    return float(FIRST_BUCKET * BUCKET_FACTOR ** (bucket - 0.5))


def quantile(counts: Mapping[int, int], share: float) -> float | None:
    """Return the quantile `share` in seconds, from attempts counted by bucket; None without attempts."""
    threshold = share * sum(counts.values())
    reached = 0
    for bucket in sorted(counts):
        reached += counts[bucket]
        if reached and reached >= threshold:
            return round(bucket_seconds(bucket), 4)  # a bucket is no more precise
    return None


def rate(successes: int, attempts: int) -> float | None:
    """Return the share of successes; None without attempts."""
    return successes / attempts if attempts else None
