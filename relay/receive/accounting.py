"""Metrics of stored webhooks, and log lines about senders that need sources and alerts that match no channel."""

from typing import Final

import structlog

from relay.domain.alerts import Group
from relay.domain.suppression import SuppressionReason
from relay.receive.backlog import WebhookResult
from relay.receive.batch import Decision
from relay.receive.incoming import Incoming
from relay.store.outbox.ingest_rows import MAX_INDEXED_TEXT
from relay.telemetry import Metrics

MAX_REPORTED_GROUPS: Final = 1000
"""Groups in which unrelated senders were logged."""

log = structlog.get_logger(__name__)


class Accounting:
    """Counts what a process has stored."""

    def __init__(self, metrics: Metrics) -> None:
        """Nothing was counted or logged."""
        self._metrics = metrics
        self._reported_groups: set[int] = set()

    def report_alternation(self, incoming: Incoming, decision: Decision) -> None:
        """Log and count a group in which unrelated senders report different alerts, once for each group."""
        if not decision.alternating or incoming.group_hash in self._reported_groups:
            return
        if len(self._reported_groups) < MAX_REPORTED_GROUPS:
            self._reported_groups.add(incoming.group_hash)
        self._metrics.mixed_groups.inc()
        webhook = incoming.webhook
        log.warning(
            "senders_need_sources",
            group_key=webhook.group.group_key,
            source=webhook.source,
            external_url=webhook.sender.external_url,
            address=webhook.sender.address,
            detail="several senders report different alerts with this groupKey and edit the same message; "
            "give each Alertmanager cluster its own ?source=NAME in its webhook URL",
        )

    def count_silenced(self, decision: Decision) -> None:
        """Count the alerts that channels do not get because they are silenced."""
        if decision.held:
            self._metrics.notifications_suppressed.labels(SuppressionReason.SILENCE).inc(decision.held)

    def report_unrouted(self, incoming: Incoming, decision: Decision) -> None:
        """Log and count the firing alerts of a webhook that match no channel, in one line."""
        if not decision.unrouted:
            return
        self._metrics.unrouted.inc(len(decision.unrouted))
        group = incoming.webhook.group
        log.info(
            "alerts_unrouted",
            count=len(decision.unrouted),
            alertname=group.alerts[decision.unrouted[0]].name[:MAX_INDEXED_TEXT],
            group_key=group.group_key[:MAX_INDEXED_TEXT],
            source=incoming.webhook.source,
            detail="no channel matches; `relay route` and `GET /history?routed=false` show why and which",
        )

    def count(self, group: Group, result: WebhookResult) -> None:
        """Count a stored webhook, its alerts and deliveries."""
        self._metrics.webhooks.labels("duplicate" if result.duplicate else "accepted").inc()
        firing = sum(alert.firing for alert in group.alerts)
        self._metrics.alerts.labels("firing").inc(firing)
        self._metrics.alerts.labels("resolved").inc(len(group.alerts) - firing)
        self._metrics.notifications.inc(result.notifications)
