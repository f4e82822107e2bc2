"""The data of a message, as the webhook's JSON and for templates."""

from datetime import datetime
from typing import Any

import msgspec

from relay.domain.acknowledgements import Acknowledgement
from relay.domain.alerts import Status, Suppressed
from relay.domain.grafana import GrafanaFields
from relay.domain.notifications import Digest, Message, Notification
from relay.notify.text.alerts_json import encode_with_alerts
from relay.notify.text.content import severity_of


class _AlertPayload(msgspec.Struct, gc=False):
    status: Status
    untold_firing: bool
    fingerprint: str
    alertname: str
    severity: str
    labels: dict[str, str]
    annotations: dict[str, str]
    starts_at: datetime
    ends_at: datetime | None
    generator_url: str
    unreported_since: datetime | None
    acknowledgement: Acknowledgement | None
    was_suppressed: Suppressed | None
    grafana: GrafanaFields | None


def payload_of(message: Message) -> bytes:
    """The body that docs/webhook.md documents, which is also the data of a template. Times are RFC 3339 in UTC.

    A digest has the same keys as a group, so that one consumer can read both. `rendered` is the output of the
    channel's message template.
    """
    head = {
        "id": message.id,
        "channel_id": message.channel_id,
        "kind": "digest" if isinstance(message, Digest) else "group",
        "source": message.source if isinstance(message, Notification) else "",
        "status": message.status,
        "severity": severity_of(message),
        "fallback_for": message.fallback_for,
        "rendered": message.rendered if isinstance(message, Notification) else None,
        **(_digest(message) if isinstance(message, Digest) else _group(message)),
    }
    alerts = (
        _AlertPayload(
            status=alert.status,
            untold_firing=index in message.unnotified and not alert.firing,
            fingerprint=alert.fingerprint,
            alertname=alert.name,
            severity=alert.severity,
            labels=alert.labels,
            annotations=alert.annotations,
            starts_at=alert.starts_at,
            ends_at=alert.ends_at,
            generator_url=alert.generator_url,
            unreported_since=alert.unreported_since,
            acknowledgement=alert.acknowledgement,
            was_suppressed=alert.was_suppressed,
            grafana=alert.grafana,
        )
        for index, alert in enumerate(message.alerts)
    )
    return encode_with_alerts(head, alerts)


def _group(notification: Notification) -> dict[str, Any]:
    group = notification.group
    return {
        "group_key": group.group_key,
        "receiver": group.receiver,
        "group_labels": group.group_labels,
        "common_labels": group.common_labels,
        "common_annotations": group.common_annotations,
        "external_url": group.external_url,
        "truncated_alerts": group.truncated,
        "digest": None,
    }


def _digest(digest: Digest) -> dict[str, Any]:
    return {
        "group_key": "",
        "receiver": "",
        "group_labels": {},
        "common_labels": {},
        "common_annotations": {},
        "external_url": "",
        "truncated_alerts": 0,
        "digest": {
            "groups": digest.groups,
            "firing": digest.firing,
            "resolved": digest.resolved,
            "counts": digest.counts,
            "history_url": digest.history_url,
        },
    }
