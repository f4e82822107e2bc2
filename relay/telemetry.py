"""The relay's metrics and logging.

Metrics belong to a registry, not to the module, so that two applications in one process count separately.
Label values are bounded: types, outcomes and reasons, never ids or URLs.
"""

import logging
import sys
import traceback
from typing import Any, Final

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from relay.domain.alerts import Status
from relay.domain.channel_types import channel_types
from relay.domain.health import ChannelState
from relay.domain.outcomes import OutcomeKind, Reason
from relay.domain.suppression import SuppressionReason

FAST: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
SLOW: Final = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 3600.0)
WEBHOOK_RESULTS: Final = (
    *("accepted", "duplicate"),
    *("invalid", "unauthorized", "too_large"),  # 4xx: Alertmanager does not retry
    *("unavailable", "failed", "broken_off"),  # 5xx or no response: Alertmanager retries
)
MERGED_INTO: Final = ("group", "digest", "fallback")


class Metrics:
    """The relay's own metrics.

    Counters and histograms cover this process only. Gauges whose help says "from the database" are the same in
    every process that shares it: aggregate them over replicas with `max`, never with `sum`.
    """

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        """Register all metrics in `registry`, or in a new one."""
        self.registry = registry or CollectorRegistry()
        self._create_ingest_metrics()
        self._create_http_metrics()
        self._create_attempt_metrics()
        self._create_delivery_metrics()
        self._create_database_gauges()
        self._initialize_series()

    def _create_ingest_metrics(self) -> None:
        self.webhooks = self._counter("relay_webhooks", "Webhooks by result.", "result")
        self.alerts = self._counter("relay_alerts_received", "Alerts in accepted webhooks.", "status")
        self.unrouted = self._counter("relay_alerts_unrouted", "Firing alerts in webhooks that match no channel.")
        self.mixed_groups = self._counter(
            "relay_mixed_groups", "Groups in which unrelated senders report different alerts."
        )
        self.notifications = self._counter("relay_notifications_queued", "Deliveries queued in the outbox.")
        self.commit_seconds = Histogram(
            "relay_ingest_commit_seconds",
            "Duration of one group commit.",
            buckets=FAST,
            registry=self.registry,
        )
        self.commit_webhooks = Histogram(
            "relay_ingest_commit_webhooks",
            "Webhooks in one group commit.",
            buckets=(1, 2, 4, 8, 16, 32, 64, 128),
            registry=self.registry,
        )
        self.config_version = self._gauge("relay_config_version", "Version of the configuration used for routing.")

    def _create_http_metrics(self) -> None:
        self.connections = self._gauge("relay_connections", "Open HTTP connections.")
        self.connections_refused = self._counter(
            "relay_connections_refused", "HTTP connections refused because RELAY_MAX_CONNECTIONS were open."
        )
        self.bodies_refused = self._counter(
            "relay_bodies_refused", "Requests refused because too many bytes of bodies were in flight."
        )

    def _create_attempt_metrics(self) -> None:
        self.attempts = self._counter(
            "relay_delivery_attempts",
            "Attempts by channel type, outcome and reason.",
            *("channel_type", "outcome", "reason"),
        )
        self.attempt_seconds = Histogram(
            "relay_delivery_attempt_seconds",
            "Duration of one attempt.",
            ["channel_type"],
            buckets=(*FAST, 15.0, 30.0),
            registry=self.registry,
        )
        self.delivery_seconds = Histogram(
            "relay_delivery_seconds",
            "Time from the receipt of a webhook until the platform accepts its message.",
            ["channel_type"],
            buckets=SLOW,
            registry=self.registry,
        )
        self.in_flight = self._gauge("relay_deliveries_in_flight", "Attempts in flight.")
        self.lanes_held = self._gauge("relay_lanes_held", "Lanes held by this process.")
        self.rate_limited = self._counter(
            "relay_rate_limited", "Attempts rejected by a platform's rate limit.", "channel_type"
        )
        self.breaker_opened = self._counter("relay_breaker_opened", "Circuit breakers opened.", "channel_type")
        self.channels_disabled = self._counter(
            "relay_channels_disabled",
            "Channels disabled by the relay because their destination is gone.",
            "channel_type",
        )

    def _create_delivery_metrics(self) -> None:
        self.dead = self._counter("relay_deliveries_dead", "Dead deliveries by reason.", "channel_type", "reason")
        self.merged = self._counter(
            "relay_deliveries_merged", "Deliveries merged into another one.", "channel_type", "into"
        )
        self.notifications_suppressed = self._counter(
            "relay_notifications_suppressed", "Alerts held back from a channel, by what suppresses them.", "reason"
        )
        self.digests = self._counter(
            "relay_digests", "Digests claimed; a digest contains many groups in one message.", "channel_type"
        )
        self.fallbacks = self._counter(
            "relay_fallbacks", "Deliveries sent to a fallback channel, by reason.", "channel_type", "reason"
        )

    def _create_database_gauges(self) -> None:
        self.database_up = self._gauge("relay_database_up", "Whether the last query of Postgres succeeded.")
        # The process does not start without Postgres, and one without these queries must not look down.
        self.database_up.set(1)
        self.waiting = self._gauge(
            "relay_deliveries_waiting",
            "Deliveries waiting for enabled channels, from the database.",
            "channel_type",
        )
        self.held = self._gauge(
            "relay_deliveries_held",
            "Deliveries waiting for disabled channels, from the database.",
            "channel_type",
        )
        self.oldest_waiting = self._gauge(
            "relay_oldest_waiting_seconds",
            "Age of the oldest delivery waiting for an enabled channel, 0 without one, from the database.",
            "channel_type",
        )
        self.channels = self._gauge(
            "relay_channels", "Channels by state, from the database.", "channel_type", "state"
        )
        self.channels_gone = self._gauge(
            "relay_channels_gone",
            "Channels disabled by the relay and not re-enabled since, from the database.",
            "channel_type",
        )
        self.dead_letters = self._gauge(
            "relay_dead_letters",
            "Deliveries that became dead within about the last day and were not redelivered, from the database.",
            "channel_type",
        )

    def _initialize_series(self) -> None:
        """Create the series that alert rules query: `increase` misses a series that starts at 1."""
        for result in WEBHOOK_RESULTS:
            self.webhooks.labels(result)
        for status in Status:
            self.alerts.labels(status)
        for suppression in SuppressionReason:
            self.notifications_suppressed.labels(suppression)
        for channel_type in channel_types():
            for metric in (self.rate_limited, self.breaker_opened, self.channels_disabled, self.digests):
                metric.labels(channel_type)
            for gauge in (self.waiting, self.held, self.oldest_waiting, self.channels_gone, self.dead_letters):
                gauge.labels(channel_type)
            self.attempts.labels(channel_type, OutcomeKind.SENT, "")
            for into in MERGED_INTO:
                self.merged.labels(channel_type, into)
            for reason in Reason:
                self.dead.labels(channel_type, reason)
                self.fallbacks.labels(channel_type, reason)
            for state in ChannelState:
                self.channels.labels(channel_type, state)

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(name, text, labels, registry=self.registry)

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        return Gauge(name, text, labels, registry=self.registry)


def configure_logging(log_format: str, level: str) -> None:
    """Log to standard error in the format `console` or `json`.

    Tracebacks are plain, because local variables may hold secrets.
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
    # Libraries log warnings and errors to the same place. Uvicorn logs errors only: every malformed request is a
    # warning, and anyone who can reach the port can send those.
    logging.getLogger("uvicorn.error").setLevel(logging.ERROR)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(LibraryFormatter())
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)


class LibraryFormatter(logging.Formatter):
    """Formats log records of libraries without the values in them, which may be secret URLs or tokens.

    Of a message it keeps the first line before its values are inserted, and of an exception its type and where it
    was raised.
    """

    def format(self, record: logging.LogRecord) -> str:
        """Return `LOGGER: MESSAGE`, and the traceback if there is one."""
        message = str(record.msg).partition("\n")[0]
        text = f"{record.name}: {'' if '://' in message else message}"
        if record.exc_info is not None and record.exc_info[0] is not None:
            frames = "".join(traceback.format_tb(record.exc_info[2]))
            text += f"\n{frames}{record.exc_info[0].__name__}"
        return text
