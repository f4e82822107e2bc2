"""The incident in the pictures: a shop's checkout fails."""

from datetime import UTC, datetime, timedelta
from typing import Final

import msgspec

from relay.domain.alerts import Alert, Group, Status, fingerprint
from relay.domain.notifications import AlertCount, Digest, Notification

START: Final = datetime(2026, 11, 23, 18, 4, 12, tzinfo=UTC)
HISTORY: Final = "https://relay.example.com/api/v1/monitoring/alerts"


def firing() -> Notification:
    """The group as it is first sent: three alerts fire and one is already resolved."""
    return _notification(
        _alert(
            "CheckoutErrors",
            "critical",
            "Checkout fails for 7.4 % of customers",
            "POST /checkout answered 7.4 % of requests with a 5xx in the last 5 minutes; the objective is 0.1 %. "
            "Most of them waited for a connection to db-1.",
            minutes=0,
            pod="checkout-6c9d7f-x2x5p",
        ),
        _alert(
            "PostgresConnections",
            "critical",
            "db-1 has 2 connections left",
            "98 of 100 connections are in use, and the other two are kept for superusers.",
            minutes=2,
            instance="db-1:9187",
        ),
        _alert("CheckoutLatency", "warning", "Checkout takes 4.2 s (p99)", "", minutes=3, zone="eu-1a"),
        _alert(
            "PaymentQueue",
            "warning",
            "12,400 payments wait in the queue",
            "The queue grew by 800 a minute.",
            minutes=-9,
            duration=6,
            queue="payments",
        ),
    )


def nearly_resolved(message_refs: tuple[str, ...]) -> Notification:
    """The same group 20 minutes later, as an edit of the first message: one alert still fires."""
    first = firing()
    errors, connections, latency, queue = first.alerts
    alerts = (latency, _resolved(errors, 18), _resolved(connections, 14), queue)
    return msgspec.structs.replace(first, alerts=alerts, message_refs=message_refs)


def storm() -> Digest:
    """A digest after a zone has failed, with most of the services in it."""
    counts = (
        ("critical", "CheckoutErrors", 3, 0),
        ("critical", "NodeDown", 12, 2),
        ("critical", "PostgresDown", 1, 0),
        ("warning", "PodNotReady", 214, 31),
        ("warning", "ProbeFailed", 40, 0),
        ("info", "DeploymentPaused", 0, 5),
    )
    alerts = (
        _alert("PostgresDown", "critical", "db-1 does not answer", "", minutes=1, instance="db-1:9187"),
        _alert("CheckoutErrors", "critical", "Checkout fails for 61 % of customers", "", minutes=2, zone="eu-1a"),
        _alert("NodeDown", "critical", "node-17 is down", "", minutes=0, instance="node-17:9100"),
    )
    return Digest(
        id="8121",
        channel_id="ops",
        groups=37,
        counts=tuple(
            AlertCount(severity=severity, alertname=name, firing=fires, resolved=resolved)
            for severity, name, fires, resolved in counts
        ),
        alerts=alerts,
        history_url=f"{HISTORY}/history?delivery_id=8121",
    )


def _notification(*alerts: Alert) -> Notification:
    group = Group(
        group_key='{}:{cluster="eu-1", service="checkout"}',
        receiver="alert-relay",
        alerts=alerts,
        group_labels={"cluster": "eu-1", "service": "checkout"},
        common_labels={"cluster": "eu-1", "service": "checkout"},
        common_annotations={},
        external_url="https://alertmanager.example.com",
        truncated=0,
    )
    return Notification(
        id="8120",
        channel_id="ops",
        group=group,
        alerts=alerts,
        history_url=f"{HISTORY}/history?delivery_id=8120",
    )


def _alert(
    name: str,
    severity: str,
    summary: str,
    description: str,
    *,
    minutes: int,
    duration: int | None = None,
    **labels: str,
) -> Alert:
    """An alert that started `minutes` after the incident; it is resolved if it has a `duration` in minutes."""
    labels = {"alertname": name, "cluster": "eu-1", "service": "checkout", "severity": severity} | labels
    annotations = {"summary": summary, "description": description}
    annotations["runbook_url"] = f"https://runbooks.example.com/{name}"
    starts_at = START + timedelta(minutes=minutes)
    alert = Alert(
        status=Status.FIRING,
        labels=labels,
        annotations={name: text for name, text in annotations.items() if text},
        starts_at=starts_at,
        ends_at=None,
        generator_url=f"https://prometheus.example.com/graph?g0.expr={name}",
        fingerprint=fingerprint(labels),
    )
    return alert if duration is None else _resolved(alert, duration)


def _resolved(alert: Alert, duration: int) -> Alert:
    ends_at = alert.starts_at + timedelta(minutes=duration)
    return msgspec.structs.replace(alert, status=Status.RESOLVED, ends_at=ends_at)
