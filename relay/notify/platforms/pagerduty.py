"""Events for PagerDuty: one for each alert, so that its resolve closes the incident that its trigger opened.

https://developer.pagerduty.com/docs/events-api-v2/overview

A channel has as many incidents as alerts, regardless of their groups. A digest, which only a channel with its own
rate limit receives, is a separate incident.
"""

import hashlib
import re
from collections.abc import Iterable, Sequence
from datetime import datetime
from http import HTTPStatus
from typing import Any, Final

import msgspec

from relay.domain.alerts import NO_TIME, Alert
from relay.domain.channel_types import PagerDutyChannel
from relay.domain.errors import InvalidInput
from relay.domain.notifications import Digest, Message, Notification, Rendered
from relay.domain.outcomes import Outcome, Reason
from relay.domain.severities import level_of
from relay.notify.classify import accepted, failure, retry
from relay.notify.notifier import Notifier, require_url_without_secrets
from relay.notify.requests import Request, Response
from relay.notify.text.annotations import annotation_texts
from relay.notify.text.content import UNNOTIFIED, Content, content_of, severity_of
from relay.notify.text.links import alert_links
from relay.notify.text.plain_text import cut
from relay.notify.text.summary import SummaryLimits, summary_lines

MAX_SUMMARY: Final = 1024
"""https://developer.pagerduty.com/docs/events-api-v2/trigger-events#parameters"""
MAX_EVENT: Final = 512 * 1000
"""Bytes of an event: "512 KB". https://developer.pagerduty.com/docs/events-api-v2/overview#size-limits"""
OTHER_SEVERITY: Final = "error"
"""The severity of alerts with a severity that the table lacks, or none. PagerDuty's severities are the usual ones.

`warning` would have a low urgency where urgency depends on severity. Alertmanager has the same default.
"""
LATE_SEVERITY: Final = "info"
"""The severity of an alert that was resolved before its trigger was sent."""
MAX_FIELD: Final = 255
"""Characters of a source, component, group or class; no page has a limit."""
MAX_VALUES: Final = (16_384, 2048, 256, 32)
"""Characters of each label and annotation, tried in order until the event is small enough."""
MAX_DETAILS: Final = 200
"""Number of labels, and of annotations, that are kept with the last of MAX_VALUES."""
MAX_COUNTS: Final = 16_384
"""Characters of a digest's counts."""
CLIENT: Final = "Alert Relay"
SOURCES: Final = ("instance", "host", "hostname", "node", "pod", "service", "job")
COMPONENTS: Final = ("component", "service", "job", "container")
GROUPS: Final = ("group", "cluster", "namespace", "team")
"""Labels for the fields of PagerDuty's common event format, by preference.

https://support.pagerduty.com/main/docs/pd-cef
"""

_routing_key = re.compile(r"[A-Za-z0-9]{32}")


class _Keyed(msgspec.Struct, frozen=True):
    """The key of an event."""

    dedup_key: str


class PagerDutyNotifier(Notifier[PagerDutyChannel]):
    """PagerDuty. It has no default rate limit, because a digest would hide incidents.

    PagerDuty adjusts its limits dynamically, and a 429 is retried.
    https://developer.pagerduty.com/docs/events-api-v2/overview#rate-limits
    """

    def check(self, channel: PagerDutyChannel) -> None:
        """Check the format of the key, and that the URL contains no secret."""
        require_url_without_secrets("pagerduty_url", channel.pagerduty_url)
        if not _routing_key.fullmatch(channel.routing_key):
            raise InvalidInput("routing_key", "must be the 32 letters and digits of an Events API v2 integration")

    def urls(self, channel: PagerDutyChannel) -> dict[str, str]:
        """The URL of the Events API."""
        return {"pagerduty_url": channel.pagerduty_url}

    def requests(self, channel: PagerDutyChannel, message: Message) -> Sequence[Request]:
        """An event for each alert, firing ones first. For a digest, see `_digest_events`."""
        events = _digest_events(message) if isinstance(message, Digest) else _group_events(message)
        key = {"routing_key": channel.routing_key}
        # A rejected event does not affect the other alerts.
        return [
            Request(url=channel.pagerduty_url, body=_encoded(key | event), independent=True) for event in events
        ]

    def verdict(self, request: Request, response: Response) -> Outcome:
        """Classify a response. A 400 about the routing key is retried, because the key can be corrected.

        The success is `"status": "success"` with the event's `dedup_key`.
        """
        if 200 <= response.status < 300:
            body, event = response.json_object(), msgspec.json.decode(request.body, type=_Keyed)
            if body.get("status") == "success" and body.get("dedup_key") == event.dedup_key:
                return accepted(response)
        if response.status == HTTPStatus.BAD_REQUEST:
            errors = response.json_object().get("errors")
            text = " ".join(map(str, errors)).lower() if isinstance(errors, list) else ""
            if "routing_key" in text or "routing key" in text:
                return retry(Reason.AUTH_ERROR, f"{response.status} {response.text}", response)
        return failure(response)


def dedup_key(alert: Alert) -> str:
    """The key of an alert's incident, the same for its trigger and its resolve.

    It does not contain the start time: if the next firing overtook a resolve, an incident would stay open forever.
    It contains all labels because the tenant is one of them and the sender chooses the fingerprint.
    """
    digest = hashlib.blake2b(alert.fingerprint.encode(), digest_size=20)
    for name, value in sorted(alert.labels.items()):
        digest.update(f"\0{name}\0{value}".encode(errors="replace"))
    if alert.key_source:
        digest.update(f"\0\0{alert.key_source}".encode())
    return f"alert-relay-{digest.hexdigest()}"


def severity(text: str) -> str:
    """The PagerDuty severity of a label's value."""
    return level_of(text) or OTHER_SEVERITY


def _group_events(notification: Notification) -> list[dict[str, Any]]:
    alerts, content = notification.alerts, content_of(notification)
    # The key has no start: the resolve of an earlier occurrence would close the incident of the one that fires.
    open_keys = {dedup_key(alert) for alert in notification.firing}
    kept = (index for index, alert in enumerate(alerts) if alert.firing or dedup_key(alert) not in open_keys)
    order = sorted(kept, key=lambda index: not alerts[index].firing)
    rendered = notification.rendered or Rendered()
    return [
        event
        for index in order
        for event in _events(
            alerts[index], content, rendered.alert(index), unnotified=index in notification.unnotified
        )
    ]


def _events(alert: Alert, content: Content, rendered: str = "", *, unnotified: bool) -> list[dict[str, Any]]:
    """The event of an alert: a trigger or a resolve.

    An alert that was resolved before its trigger was sent gets both, so that it is on record. That trigger has
    LATE_SEVERITY, so that it pages nobody where urgency depends on severity.
    """
    body = {
        "dedup_key": dedup_key(alert),
        "client": CLIENT,
        "links": _link_objects([*alert_links(alert), *content.links]),
    }
    trigger = {"event_action": "trigger"} | body
    if alert.firing:
        return [trigger | {"payload": _payload(alert, content, rendered, alert.starts_at)}]
    ended = alert.ends_at or alert.starts_at
    resolve = {"event_action": "resolve"} | body | {"payload": _payload(alert, content, rendered, ended)}
    if not unnotified:
        return [resolve]
    late = _payload(alert, content, rendered, alert.starts_at)
    late |= {
        "severity": LATE_SEVERITY,
        "summary": cut(late["summary"], MAX_SUMMARY - len(UNNOTIFIED)) + UNNOTIFIED,
    }
    return [trigger | {"payload": late}, resolve]


def _payload(alert: Alert, content: Content, rendered: str, moment: datetime) -> dict[str, Any]:
    title = _title(content, rendered) or _summary(alert)
    optional: dict[str, Any] = {
        "timestamp": moment if moment > NO_TIME else None,
        "component": _first(alert.labels, COMPONENTS),
        "group": _first(alert.labels, GROUPS),
        "class": cut(_line(alert.shown_name), MAX_FIELD),
    }
    details: dict[str, Any] = {"status": alert.status, "notes": _notes(content)}
    details |= {"body": content.body, "alert": rendered}
    details |= {"labels": alert.labels, "annotations": alert.annotations}
    details |= {"values": None if alert.grafana is None else alert.grafana.values}
    return {
        "summary": cut(title, MAX_SUMMARY),
        "source": _first(alert.labels, SOURCES) or CLIENT,
        "severity": severity(alert.severity),
        **{name: value for name, value in optional.items() if value},
        "custom_details": {name: value for name, value in details.items() if value},
    }


def _title(content: Content, rendered: str) -> str:
    """The title that a template rendered, with the first line of the rendered alert."""
    return ": ".join(line for line in (_line(content.title), _line(rendered.partition("\n")[0])) if line)


def _summary(alert: Alert) -> str:
    """The alert's summary, or else its name and its text."""
    texts = annotation_texts(alert.annotations)
    name = _line(alert.shown_name) or "alert"
    return _line(texts.summary) or ": ".join(part for part in (name, _line(texts.text)) if part)


def _digest_events(digest: Digest) -> list[dict[str, Any]]:
    """An incident for the digest, resolved at once if no alert is firing, and a resolve for each resolved alert.

    Firing alerts get no incidents of their own: a digest has only some of them, and another digest may omit their
    resolves.
    """
    content = content_of(digest)
    lines = summary_lines(content.counts, SummaryLimits(total=MAX_COUNTS, line=MAX_COUNTS))
    numbers = {"groups": digest.groups, "firing": digest.firing, "resolved": digest.resolved}
    shown = [cut(_line(alert.title), MAX_FIELD) for alert in content.alerts]
    details = {"notes": _notes(content), **numbers, "counts": lines, "alerts": shown}
    body = {
        "dedup_key": f"alert-relay-digest-{digest.id}"[:MAX_FIELD],
        "client": CLIENT,
        "links": _link_objects(content.links),
        "payload": {
            "summary": cut(content.headline, MAX_SUMMARY),
            "source": CLIENT,
            "severity": severity(severity_of(digest)) if digest.firing else LATE_SEVERITY,
            "custom_details": {name: value for name, value in details.items() if value},
        },
    }
    events = [{"event_action": "trigger"} | body]
    if not digest.firing:
        events.append({"event_action": "resolve"} | body)
    resolved = (alert for alert in digest.alerts if not alert.firing)
    return [*events, *(event for alert in resolved for event in _events(alert, content, unnotified=False))]


def _notes(content: Content) -> list[str]:
    return [note for note in (*content.notes, content.truncated) if note]


def _link_objects(links: Iterable[tuple[str, str]]) -> list[dict[str, str]]:
    return [{"href": url, "text": text} for text, url in links]


def _first(labels: dict[str, str], names: Iterable[str]) -> str:
    return next((cut(value, MAX_FIELD) for name in names if (value := _line(labels.get(name, "")))), "")


def _line(text: str) -> str:
    """The start of a text, in one line; no field is longer."""
    return " ".join(text[: 2 * MAX_SUMMARY].split())


def _encoded(event: dict[str, Any]) -> bytes:
    """The event as JSON, with labels and annotations cut if it is too large."""
    body = msgspec.json.encode(event)
    for limit in MAX_VALUES:
        if len(body) <= MAX_EVENT:
            break
        body = msgspec.json.encode(_shortened(event, limit))
    return body


def _shortened(event: dict[str, Any], limit: int) -> dict[str, Any]:
    details = dict(event["payload"]["custom_details"])
    count = MAX_DETAILS if limit == MAX_VALUES[-1] else None
    for field in ("labels", "annotations"):
        first = list(details.get(field, {}).items())[:count]
        details[field] = {cut(name, limit): cut(value, limit) for name, value in first}
    details["notes"] = [*details.get("notes", []), "Labels and annotations were cut: they were too large"]
    return event | {"payload": event["payload"] | {"custom_details": details}}
