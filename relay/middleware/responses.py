"""Counting of responses: all metrics of a response in about a microsecond.

All six metrics of a response follow from its labels and its duration. Each set of labels has one tally, which
records durations and sorts a few dozen of them into buckets at a time. The metrics are computed from the tallies
on a scrape. In multi-process mode the values must be in files that only prometheus-client's own counters and
histograms write, so every metric is updated separately there.
"""

import math
import threading
from bisect import bisect_left
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import accumulate
from typing import Final, NamedTuple

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

Record = Callable[[float | None], None]
"""Records one response with its duration in seconds, if known."""
BATCH_SIZE: Final = 32
"""Durations sorted into buckets at a time, so that the sorting code stays in the processor's cache."""

COUNTERS: Final = {
    "http_requests": "Requests with a response.",
    "http_errors": "Responses with a status of 400 or above.",
    "http_4xx_errors": "Responses with a status of 400 to 499.",
    "http_5xx_errors": "Responses with a status of 500 or above.",
}
HISTOGRAMS: Final = {
    "http_request_duration_seconds": (
        "Time from the arrival of a request to the end of its response.",
        ("method", "endpoint", "tenant_id"),
    ),
    "error_response_time_seconds": (
        "Time to the end of a response with a status of 400 or above.",
        ("status_code", "tenant_id"),
    ),
}


class ResponseLabels(NamedTuple):
    """The labels of a response, and whether it counts as a request, as an error, or both."""

    method: str
    endpoint: str
    status_code: str
    tenant_id: str
    as_request: bool
    as_error: bool

    @property
    def values(self) -> tuple[str, ...]:
        """The label values of all counters."""
        return self[:4]

    def counters(self) -> Iterator[str]:
        """The counters to increase."""
        if self.as_request:
            yield "http_requests"
        if self.as_error and self.status_code >= "400":
            yield "http_errors"
            yield "http_4xx_errors" if self.status_code < "500" else "http_5xx_errors"

    def histograms(self) -> Iterator[tuple[str, tuple[str, ...]]]:
        """The histograms that observe the duration, each with its label values."""
        if self.as_request:
            yield "http_request_duration_seconds", (self.method, self.endpoint, self.tenant_id)
        if self.as_error and self.status_code >= "400":
            yield "error_response_time_seconds", (self.status_code, self.tenant_id)


class Tally:
    """The number of responses with the same labels, by duration bucket."""

    __slots__ = ("_buckets", "_limits", "_lock", "_pending", "_seconds", "_untimed")

    def __init__(self, limits: Sequence[float]) -> None:
        """`limits` are the upper bounds of the buckets; the last is infinite."""
        self._limits = limits
        self._buckets = [0] * len(limits)
        self._seconds = 0.0
        self._untimed = 0
        self._pending: deque[float | None] = deque()
        self._lock = threading.Lock()

    def record(self, seconds: float | None) -> None:
        """Count one response."""
        # Appending to a deque is atomic, so threads need no lock here.
        self._pending.append(seconds)
        # If the lock is taken, its holder also flushes this one. Blocking could deadlock: the holder may be this
        # very thread, interrupted by a signal.
        if len(self._pending) >= BATCH_SIZE and self._lock.acquire(blocking=False):
            try:
                self._flush()
            finally:
                self._lock.release()

    def read(self) -> tuple[int, list[int], float]:
        """Return a consistent snapshot: the count, the count per bucket, and the sum of the seconds."""
        with self._lock:
            self._flush()
            buckets = self._buckets.copy()
            return self._untimed + sum(buckets), buckets, self._seconds

    def _flush(self) -> None:
        pending, limits, buckets = self._pending, self._limits, self._buckets
        while pending:
            seconds = pending.popleft()
            if seconds is None:
                self._untimed += 1
            else:
                buckets[bisect_left(limits, seconds)] += 1
                self._seconds += seconds


class ResponseCollector(Collector):
    """Collects the responses of one process."""

    def __init__(self, prefix: str, registry: CollectorRegistry, limits: Sequence[float]) -> None:
        """Register the six metrics."""
        self._prefix = prefix
        self._limits = limits
        self._bounds = ["+Inf" if math.isinf(limit) else str(limit) for limit in limits]
        # No lock: setdefault and copy are atomic.
        self._tallies: dict[ResponseLabels, Tally] = {}
        registry.register(self)

    def recorder(self, labels: ResponseLabels) -> Record:
        """Return the function that records responses with these labels."""
        return self._tallies.setdefault(labels, Tally(self._limits)).record

    def describe(self) -> Iterable[Metric]:
        """Return the metrics without values, which reserves their names."""
        return [*self._counter_families().values(), *self._histogram_families().values()]

    def collect(self) -> Iterable[Metric]:
        """Compute the metrics from the tallies."""
        read = [(labels, *tally.read()) for labels, tally in self._tallies.copy().items()]
        counts: defaultdict[tuple[str, tuple[str, ...]], int] = defaultdict(int)
        durations: dict[tuple[str, tuple[str, ...]], tuple[list[int], float]] = {}
        for labels, count, buckets, seconds in read:
            for name in labels.counters():
                counts[name, labels.values] += count
            for key in labels.histograms():
                before, seconds_before = durations.get(key, ([0] * len(buckets), 0.0))
                durations[key] = (
                    [sum(both) for both in zip(before, buckets, strict=True)],
                    seconds_before + seconds,
                )
        return [*self._counted(counts), *self._timed(durations)]

    def _counted(self, counts: dict[tuple[str, tuple[str, ...]], int]) -> Iterable[Metric]:
        families = self._counter_families()
        for (name, labels), count in counts.items():
            families[name].add_metric(labels, count)
        return families.values()

    def _timed(self, durations: dict[tuple[str, tuple[str, ...]], tuple[list[int], float]]) -> Iterable[Metric]:
        families = self._histogram_families()
        for (name, labels), (buckets, seconds) in durations.items():
            if sum(buckets):
                families[name].add_metric(labels, self._cumulative(buckets), seconds)
        return families.values()

    def _cumulative(self, buckets: list[int]) -> list[tuple[str, float]]:
        return list(zip(self._bounds, accumulate(buckets), strict=True))

    def _counter_families(self) -> dict[str, CounterMetricFamily]:
        return {
            name: CounterMetricFamily(f"{self._prefix}_{name}", text, labels=ResponseLabels._fields[:4])
            for name, text in COUNTERS.items()
        }

    def _histogram_families(self) -> dict[str, HistogramMetricFamily]:
        return {
            name: HistogramMetricFamily(f"{self._prefix}_{name}", text, labels=labels)
            for name, (text, labels) in HISTOGRAMS.items()
        }


class MultiprocessResponses:
    """Records the responses of a process whose values other processes read from its files."""

    def __init__(self, prefix: str, registry: CollectorRegistry, limits: Sequence[float]) -> None:
        """Register the six metrics."""
        self._counters = {
            name: Counter(f"{prefix}_{name}", text, ResponseLabels._fields[:4], registry=registry)
            for name, text in COUNTERS.items()
        }
        self._histograms = {
            name: Histogram(f"{prefix}_{name}", text, labels, registry=registry, buckets=limits)
            for name, (text, labels) in HISTOGRAMS.items()
        }

    def recorder(self, labels: ResponseLabels) -> Record:
        """Return the function that records responses with these labels."""
        increments = [self._counters[name].labels(*labels.values).inc for name in labels.counters()]
        observations = [self._histograms[name].labels(*values).observe for name, values in labels.histograms()]

        def record(seconds: float | None) -> None:
            for increment in increments:
                increment()
            if seconds is not None:
                for observe in observations:
                    observe(seconds)

        return record
