"""The body of Alertmanager's own webhook, version 4.

https://prometheus.io/docs/alerting/latest/configuration/#webhook_config
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

import msgspec

from relay.domain.alerts import Group, Status
from relay.domain.notifications import Digest, Message
from relay.notify.text.alerts_json import encode_with_alerts

VERSION: Final = "4"
NOT_ENDED: Final = "0001-01-01T00:00:00Z"
"""Go's zero time, which Alertmanager sends as the `endsAt` of a firing alert."""


class _AlertPayload(msgspec.Struct, rename="camel", gc=False):
    status: Status
    labels: dict[str, str]
    annotations: dict[str, str]
    starts_at: datetime
    ends_at: datetime | str
    generator_url: str = msgspec.field(name="generatorURL")
    fingerprint: str


def alertmanager_payload_of(message: Message) -> bytes:
    """The message as Alertmanager would send it; times are RFC 3339 in UTC.

    Common labels and annotations are those of the alerts in the message. A digest is one group, with a key of its
    own, and counts the alerts that it omits as truncated.
    """
    alerts = message.alerts
    head = {
        "version": VERSION,
        **(_digest(message) if isinstance(message, Digest) else _group(message.group)),
        "status": message.status,
        "commonLabels": _common([alert.labels for alert in alerts]),
        "commonAnnotations": _common([alert.annotations for alert in alerts]),
    }
    return encode_with_alerts(
        head,
        (
            _AlertPayload(
                status=alert.status,
                labels=alert.labels,
                annotations=alert.annotations,
                starts_at=alert.starts_at,
                ends_at=NOT_ENDED if alert.firing or alert.ends_at is None else alert.ends_at,
                generator_url=alert.generator_url,
                fingerprint=alert.fingerprint,
            )
            for alert in alerts
        ),
    )


def _group(group: Group) -> dict[str, Any]:
    return {
        "groupKey": group.group_key,
        "truncatedAlerts": group.truncated,
        "receiver": group.receiver,
        "groupLabels": group.group_labels,
        "externalURL": group.external_url,
    }


def _digest(digest: Digest) -> dict[str, Any]:
    return {
        "groupKey": f"alert-relay-digest:{digest.id}",
        "truncatedAlerts": digest.total - len(digest.alerts),
        "receiver": digest.channel_id,
        "groupLabels": {},
        "externalURL": digest.history_url,
    }


def _common(sets: Sequence[dict[str, str]]) -> dict[str, str]:
    first, *others = sets or [{}]
    return {name: value for name, value in first.items() if all(other.get(name) == value for other in others)}
