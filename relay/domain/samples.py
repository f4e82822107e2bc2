"""Sample messages of a fictitious incident, for previews."""

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final, assert_never

from relay.domain.alerts import Alert, Group, Status, fingerprint
from relay.domain.notifications import AlertCount, Digest, Message, Notification

NAME: Final = "HighErrorRate"
PREVIEW_ID: Final = "preview"
"""The delivery id in a preview."""
LARGE: Final = 60
"""Number of alerts in a large group; more than fit in one message on most platforms."""
DIGEST_ALERTS: Final = 9
"""Number of alerts that the digest lists, the most severe of those that it counts."""
STARTED_BEFORE: Final = timedelta(minutes=12)
DURATION: Final = timedelta(minutes=9)


class Sample(StrEnum):
    """The kind of sample message."""

    FIRING = "firing"
    RESOLVED = "resolved"
    MIXED = "mixed"
    LARGE = "large"
    DIGEST = "digest"


def sample_message(sample: Sample, channel_id: str, now: datetime, history_url: str) -> Message:
    """Return a message about an incident that started some minutes before `now`."""
    match sample:
        case Sample.FIRING:
            alerts = _alerts(2, 0, now)
        case Sample.RESOLVED:
            alerts = _alerts(0, 2, now)
        case Sample.MIXED:
            alerts = _alerts(2, 1, now)
        case Sample.LARGE:
            alerts = _alerts(LARGE - LARGE // 4, LARGE // 4, now)
        case Sample.DIGEST:
            return _digest(channel_id, now, history_url)
        case _:
            assert_never(sample)
    group_labels = {"alertname": NAME, "cluster": "eu-1"}
    group = Group(
        group_key=f'{{}}:{{alertname="{NAME}", cluster="eu-1"}}',
        receiver="alert-relay",
        alerts=alerts,
        group_labels=group_labels,
        common_labels=group_labels | {"severity": "critical", "job": "checkout"},
        common_annotations={},
        external_url="https://alertmanager.example.com",
        truncated=0,
    )
    return Notification(
        id=PREVIEW_ID, channel_id=channel_id, group=group, alerts=alerts, history_url=history_url + PREVIEW_ID
    )


def _alerts(firing: int, resolved: int, now: datetime) -> tuple[Alert, ...]:
    statuses = [Status.FIRING] * firing + [Status.RESOLVED] * resolved
    return tuple(_alert(f"checkout-{at}", status, now) for at, status in enumerate(statuses, start=1))


def _alert(instance: str, status: Status, now: datetime) -> Alert:
    labels = {
        "alertname": NAME,
        "cluster": "eu-1",
        "instance": instance,
        "job": "checkout",
        "severity": "critical",
    }
    started = now.replace(microsecond=0) - STARTED_BEFORE
    return Alert(
        status=status,
        labels=labels,
        annotations={
            "summary": f"{instance} answers many requests with errors",
            "description": "7.4 % of the requests of the last 5 minutes failed; at most 1 % should.",
            "runbook_url": f"https://runbooks.example.com/{NAME}",
        },
        starts_at=started,
        ends_at=None if status is Status.FIRING else started + DURATION,
        generator_url="https://prometheus.example.com/graph?g0.expr=job%3Ahttp_errors%3Aratio_rate5m+%3E+0.01",
        fingerprint=fingerprint(labels),
    )


def _digest(channel_id: str, now: datetime, history_url: str) -> Digest:
    counts = (
        AlertCount(severity="critical", alertname=NAME, firing=9, resolved=3),
        AlertCount(severity="critical", alertname="DatabaseDown", firing=1, resolved=0),
        AlertCount(severity="warning", alertname="HighLatency", firing=14, resolved=6),
        AlertCount(severity="warning", alertname="QueueGrows", firing=3, resolved=2),
        AlertCount(severity="info", alertname="DeployFinished", firing=0, resolved=4),
    )
    return Digest(
        id=PREVIEW_ID,
        channel_id=channel_id,
        groups=27,
        counts=counts,
        alerts=_alerts(DIGEST_ALERTS, 0, now),
        history_url=history_url + PREVIEW_ID,
    )
