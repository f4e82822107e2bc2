"""What do these tests tell: alerts, groups and channels, made in one line?"""

from datetime import UTC, datetime, timedelta
from typing import Any

from relay.domain.alerts import Alert, Group, Status, fingerprint
from relay.domain.channels import BaseChannel, Channel, own_fields, parse_channel, type_name
from relay.domain.notifications import Notification

STARTED = datetime(2026, 11, 23, 15, 33, 27, tzinfo=UTC)
SOURCE = "http://prometheus.example.com/graph?g0.expr=up"
RUNBOOK = "https://runbooks.example.com/disk"
ALERTMANAGER = "http://alertmanager.example.com"


def alert(
    name: str = "DiskFull",
    status: str = "firing",
    severity: str = "critical",
    *,
    annotations: dict[str, str] | None = None,
    url: str = SOURCE,
    **labels: str,
) -> Alert:
    labels = {"alertname": name, "severity": severity} | labels
    return Alert(
        status=Status(status),
        labels={label: value for label, value in labels.items() if value},
        annotations={"summary": f"{name} is {status}"} if annotations is None else annotations,
        starts_at=STARTED,
        ends_at=STARTED + timedelta(minutes=7) if status == "resolved" else None,
        generator_url=url,
        fingerprint=fingerprint(labels),
    )


def notification(*alerts: Alert, truncated: int = 0, external_url: str = ALERTMANAGER) -> Notification:
    alerts = alerts or (alert(),)
    group = Group(
        group_key='{}:{team="db"}',
        receiver=r"web\.hook",
        alerts=alerts,
        group_labels={},
        common_labels={},
        common_annotations={},
        external_url=external_url,
        truncated=truncated,
    )
    return Notification(id="42", channel_id="c", group=group, alerts=alerts)


def channel(kind: type[BaseChannel], url: str = "https://hooks.example.com/x", **settings: Any) -> Channel:
    """A channel of any type that is told by a URL; a type that is not wants its own line here."""
    assert "webhook_url" in own_fields(kind), f"say here how a {type_name(kind)} channel is made"
    return parse_channel({"channel_type": type_name(kind), "name": "c", "webhook_url": url} | settings)
