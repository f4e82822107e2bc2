"""What does the relay say of itself: metrics and logs?

Metrics belong to a registry, not to the module, so that two applications in one process don't meet.
Labels are bounded: types, outcomes and reasons, never ids or URLs.
"""

import logging
import sys
from typing import Any, Final

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

FAST: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
SLOW: Final = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 3600.0)


class Metrics:
    """The relay's own metrics."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        """Register all metrics in `registry`, or in a new one."""
        self.registry = registry or CollectorRegistry()
        self.webhooks = Counter(
            "relay_webhooks",
            "Webhooks by what became of them.",
            ["result"],
            registry=self.registry,
        )
        self.alerts = Counter(
            "relay_alerts_received", "Alerts in accepted webhooks.", ["status"], registry=self.registry
        )
        self.notifications = Counter(
            "relay_notifications_queued", "Deliveries put into the outbox.", registry=self.registry
        )
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
        self.config_version = Gauge(
            "relay_config_version", "Version of the configuration that routes.", registry=self.registry
        )
        self.attempts = Counter(
            "relay_delivery_attempts",
            "Attempts by channel type, outcome and reason.",
            ["channel_type", "outcome", "reason"],
            registry=self.registry,
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
        self.in_flight = Gauge("relay_deliveries_in_flight", "Attempts under way.", registry=self.registry)
        self.lanes_held = Gauge("relay_lanes_held", "Lanes that this process holds.", registry=self.registry)


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
