"""How are answers counted, all metrics of one at once, for about a microsecond?

All six metrics of an answer follow from its labels and its time. So each set of labels has one tally, which notes
the time, sorts a few dozen of them at once, and the metrics are made of the tallies when Prometheus asks. In
multi-process mode the values must stand in files that only prometheus-client's own counters and histograms write:
there, each counts alone.
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

Count = Callable[[float | None], None]
"""Counts one answer, given the seconds that it took, if they are known."""
AT_ONCE: Final = 32
"""Times sorted into their buckets together: in a row, what sorts them stays in the processor's cache."""

COUNTERS: Final = {
    "http_requests": "Requests answered.",
    "http_errors": "Requests answered with a status of 400 or above.",
    "http_4xx_errors": "Requests answered with a status of 400 to 499.",
    "http_5xx_errors": "Requests answered with a status of 500 or above.",
}
HISTOGRAMS: Final = {
    "http_request_duration_seconds": (
        "Time from a request's arrival to the end of its answer.",
        ("method", "endpoint", "tenant_id"),
    ),
    "error_response_time_seconds": (
        "The same, of answers with a status of 400 or above.",
        ("status_code", "tenant_id"),
    ),
}


class Answer(NamedTuple):
    """The labels of an answer, and for which of the two jobs it counts."""

    method: str
    endpoint: str
    status_code: str
    tenant_id: str
    as_request: bool
    as_error: bool

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels of all counters."""
        return self[:4]

    def counters(self) -> Iterator[str]:
        """The counters that it counts in."""
        if self.as_request:
            yield "http_requests"
        if self.as_error and self.status_code >= "400":
            yield "http_errors"
            yield "http_4xx_errors" if self.status_code < "500" else "http_5xx_errors"

    def histograms(self) -> Iterator[tuple[str, tuple[str, ...]]]:
        """The histograms that take its time, each with its labels."""
        if self.as_request:
            yield "http_request_duration_seconds", (self.method, self.endpoint, self.tenant_id)
        if self.as_error and self.status_code >= "400":
            yield "error_response_time_seconds", (self.status_code, self.tenant_id)


class Tally:
    """How many answers had the same labels, and in which bucket the time of each was."""

    __slots__ = ("_limits", "_lock", "_seconds", "_times", "_untimed", "_waiting")

    def __init__(self, limits: Sequence[float]) -> None:
        """Count nothing yet; the last of the limits is infinite."""
        self._limits = limits
        self._times = [0] * len(limits)
        self._seconds = 0.0
        self._untimed = 0
        self._waiting: deque[float | None] = deque()
        self._lock = threading.Lock()

    def count(self, seconds: float | None) -> None:
        """One answer more."""
        # A deque takes and gives one in a single step, so threads need no lock here.
        self._waiting.append(seconds)
        # Who settles takes this one along. Nobody waits for that, for it may be this very thread, interrupted.
        if len(self._waiting) >= AT_ONCE and self._lock.acquire(blocking=False):
            try:
                self._settle()
            finally:
                self._lock.release()

    def read(self) -> tuple[int, list[int], float]:
        """All answers, those in each bucket alone, and the sum of their seconds, of one moment."""
        with self._lock:
            self._settle()
            times = self._times.copy()
            return self._untimed + sum(times), times, self._seconds

    def _settle(self) -> None:
        waiting, limits, times = self._waiting, self._limits, self._times
        while waiting:
            seconds = waiting.popleft()
            if seconds is None:
                self._untimed += 1
            else:
                times[bisect_left(limits, seconds)] += 1
                self._seconds += seconds


class Tallies(Collector):
    """The answers of one process."""

    def __init__(self, prefix: str, registry: CollectorRegistry, limits: Sequence[float]) -> None:
        """Register the six metrics."""
        self._prefix = prefix
        self._limits = limits
        self._bounds = ["+Inf" if math.isinf(limit) else str(limit) for limit in limits]
        # No lock either: setdefault and copy are single steps.
        self._tallies: dict[Answer, Tally] = {}
        registry.register(self)

    def of(self, answer: Answer) -> Count:
        """What counts such an answer."""
        return self._tallies.setdefault(answer, Tally(self._limits)).count

    def describe(self) -> Iterable[Metric]:
        """The metrics without their values: their names are taken."""
        return [*self._counter_families().values(), *self._histogram_families().values()]

    def collect(self) -> Iterable[Metric]:
        """The metrics, made of the tallies."""
        read = [(answer, *tally.read()) for answer, tally in self._tallies.copy().items()]
        counts: defaultdict[tuple[str, tuple[str, ...]], int] = defaultdict(int)
        times: dict[tuple[str, tuple[str, ...]], tuple[list[int], float]] = {}
        for answer, count, buckets, seconds in read:
            for name in answer.counters():
                counts[name, answer.labels] += count
            for key in answer.histograms():
                before, seconds_before = times.get(key, ([0] * len(buckets), 0.0))
                times[key] = [sum(both) for both in zip(before, buckets, strict=True)], seconds_before + seconds
        return [*self._counted(counts), *self._timed(times)]

    def _counted(self, counts: dict[tuple[str, tuple[str, ...]], int]) -> Iterable[Metric]:
        families = self._counter_families()
        for (name, labels), count in counts.items():
            families[name].add_metric(labels, count)
        return families.values()

    def _timed(self, times: dict[tuple[str, tuple[str, ...]], tuple[list[int], float]]) -> Iterable[Metric]:
        families = self._histogram_families()
        for (name, labels), (buckets, seconds) in times.items():
            if sum(buckets):
                families[name].add_metric(labels, self._cumulated(buckets), seconds)
        return families.values()

    def _cumulated(self, buckets: list[int]) -> list[tuple[str, float]]:
        return list(zip(self._bounds, accumulate(buckets), strict=True))

    def _counter_families(self) -> dict[str, CounterMetricFamily]:
        return {
            name: CounterMetricFamily(f"{self._prefix}_{name}", text, labels=Answer._fields[:4])
            for name, text in COUNTERS.items()
        }

    def _histogram_families(self) -> dict[str, HistogramMetricFamily]:
        return {
            name: HistogramMetricFamily(f"{self._prefix}_{name}", text, labels=labels)
            for name, (text, labels) in HISTOGRAMS.items()
        }


class SharedAnswers:
    """The answers of a process whose values others read from its files."""

    def __init__(self, prefix: str, registry: CollectorRegistry, limits: Sequence[float]) -> None:
        """Register the six metrics."""
        self._counters = {
            name: Counter(f"{prefix}_{name}", text, Answer._fields[:4], registry=registry)
            for name, text in COUNTERS.items()
        }
        self._histograms = {
            name: Histogram(f"{prefix}_{name}", text, labels, registry=registry, buckets=limits)
            for name, (text, labels) in HISTOGRAMS.items()
        }

    def of(self, answer: Answer) -> Count:
        """What counts such an answer."""
        counting = [self._counters[name].labels(*answer.labels).inc for name in answer.counters()]
        timing = [self._histograms[name].labels(*labels).observe for name, labels in answer.histograms()]

        def count(seconds: float | None) -> None:
            for one_more in counting:
                one_more()
            if seconds is not None:
                for observe in timing:
                    observe(seconds)

        return count
