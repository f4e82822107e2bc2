"""What does the relay say of itself: metrics and logs?

Metrics belong to a registry, not to the module, so that two applications in one process don't meet.
Labels are bounded: types, outcomes and reasons, never ids or URLs.
"""

import logging
import sys
from typing import Any, Final

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from relay.domain.alerts import Status
from relay.domain.channel_types import channel_types
from relay.domain.health import ChannelState
from relay.domain.outcomes import Reason

FAST: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
SLOW: Final = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 3600.0)
WEBHOOK_RESULTS: Final = (
    *("accepted", "duplicate"),
    *("invalid", "unauthorized", "too_large"),  # refused for good: Alertmanager won't send it again
    *("unavailable", "failed", "broken_off"),  # 5xx, or no answer at all: it will
)
MERGED_INTO: Final = ("group", "digest", "fallback")


class Metrics:
    """The relay's own metrics.

    Counters and histograms tell of this process alone. Gauges that are said to be of the database are the same in
    every process that shares it: take their maximum over the replicas, never their sum.
    """

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        """Register all metrics in `registry`, or in a new one."""
        self.registry = registry or CollectorRegistry()
        self._of_receiving()
        self._of_attempts()
        self._of_deliveries()
        self._of_the_database()
        self._from_zero()

    def _of_receiving(self) -> None:
        self.webhooks = self._counter("relay_webhooks", "Webhooks by what became of them.", "result")
        self.alerts = self._counter("relay_alerts_received", "Alerts in accepted webhooks.", "status")
        self.notifications = self._counter("relay_notifications_queued", "Deliveries put into the outbox.")
        self.commit_seconds = Histogram(
            "relay_ingest_commit_seconds",
            "Time of one group commit.",
            buckets=FAST,
            registry=self.registry,
        )
        self.commit_webhooks = Histogram(
            "relay_ingest_commit_webhooks",
            "Webhooks in one group commit.",
            buckets=(1, 2, 4, 8, 16, 32, 64, 128),
            registry=self.registry,
        )
        self.config_version = self._gauge("relay_config_version", "Version of the configuration that routes.")

    def _of_attempts(self) -> None:
        self.attempts = self._counter(
            "relay_delivery_attempts",
            "Attempts by channel type, outcome and reason.",
            *("channel_type", "outcome", "reason"),
        )
        self.attempt_seconds = Histogram(
            "relay_delivery_attempt_seconds",
            "Time of one attempt.",
            ["channel_type"],
            buckets=(*FAST, 15.0, 30.0),
            registry=self.registry,
        )
        self.delivery_seconds = Histogram(
            "relay_delivery_seconds",
            "Time from the webhook's receipt to the platform's yes.",
            ["channel_type"],
            buckets=SLOW,
            registry=self.registry,
        )
        self.in_flight = self._gauge("relay_deliveries_in_flight", "Attempts under way.")
        self.lanes_held = self._gauge("relay_lanes_held", "Lanes that this process holds.")
        self.rate_limited = self._counter(
            "relay_rate_limited", "Attempts that a platform refused as too many.", "channel_type"
        )
        self.breaker_opened = self._counter(
            "relay_breaker_opened", "Circuit breakers that opened.", "channel_type"
        )
        self.channels_disabled = self._counter(
            "relay_channels_disabled", "Channels that the relay disabled: they are gone.", "channel_type"
        )

    def _of_deliveries(self) -> None:
        self.dead = self._counter(
            "relay_deliveries_dead", "Deliveries given up, by reason.", "channel_type", "reason"
        )
        self.merged = self._counter(
            "relay_deliveries_merged", "Deliveries told by another one.", "channel_type", "into"
        )
        self.digests = self._counter("relay_digests", "Digests begun: many groups in one message.", "channel_type")
        self.fallbacks = self._counter(
            "relay_fallbacks", "Deliveries that went to the fallback, by why.", "channel_type", "reason"
        )

    def _of_the_database(self) -> None:
        self.database_up = self._gauge("relay_database_up", "Whether Postgres answered when last asked.")
        # The process did not start without Postgres; and one that never asks has nothing bad to say.
        self.database_up.set(1)
        self.waiting = self._gauge(
            "relay_deliveries_waiting",
            "Deliveries that wait for enabled channels; of the database.",
            "channel_type",
        )
        self.held = self._gauge(
            "relay_deliveries_held",
            "Deliveries that wait for disabled channels; of the database.",
            "channel_type",
        )
        self.oldest_waiting = self._gauge(
            "relay_oldest_waiting_seconds",
            "Age of what waits longest for an enabled channel, 0 when nothing does; of the database.",
            "channel_type",
        )
        self.channels = self._gauge(
            "relay_channels", "Channels by state; of the database.", "channel_type", "state"
        )
        self.channels_gone = self._gauge(
            "relay_channels_gone",
            "Channels that the relay disabled and nobody mended; of the database.",
            "channel_type",
        )
        self.dead_letters = self._gauge(
            "relay_dead_letters",
            "Deliveries that died in the last day or so and were not sent again; of the database.",
            "channel_type",
        )

    def _from_zero(self) -> None:
        """Show what rules ask for before it happens: `increase` does not see a series begin at 1."""
        for result in WEBHOOK_RESULTS:
            self.webhooks.labels(result)
        for status in Status:
            self.alerts.labels(status)
        for kind in channel_types():
            for metric in (self.rate_limited, self.breaker_opened, self.channels_disabled, self.digests):
                metric.labels(kind)
            for gauge in (*(self.waiting, self.held, self.oldest_waiting, self.channels_gone, self.dead_letters),):
                gauge.labels(kind)
            self.attempts.labels(kind, "sent", "")
            for into in MERGED_INTO:
                self.merged.labels(kind, into)
            for reason in Reason:
                self.dead.labels(kind, reason)
                self.fallbacks.labels(kind, reason)
            for state in ChannelState:
                self.channels.labels(kind, state)

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(name, text, labels, registry=self.registry)

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        return Gauge(name, text, labels, registry=self.registry)


def configure_logging(log_format: str, level: str) -> None:
    """Log to standard error, as lines for people (`console`) or for machines (`json`).

    Tracebacks are plain: one that shows local variables would show secrets.
    """
    renderer: Any = (
        structlog.processors.JSONRenderer()
        if log_format == "json"
        else structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
        )
    )
    processors: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    if log_format == "json":
        processors.append(structlog.processors.format_exc_info)
    structlog.configure(
        processors=[*processors, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )
    # The libraries' own logs: warnings and worse, in the same place.
    # But whoever reaches the port can make uvicorn warn of malformed requests as often as they like.
    logging.getLogger("uvicorn.error").setLevel(logging.ERROR)
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, format="%(name)s: %(message)s", force=True)
