"""The content of a message, the same for all platforms.

It is plain text: each platform escapes and cuts it by its own rules.
"""

from collections.abc import Iterable
from typing import Final

import msgspec

from relay.domain.alerts import Alert, Status
from relay.domain.notifications import AlertCount, Digest, FallbackFor, Message, Notification, Rendered
from relay.domain.severities import level_of, severity_rank
from relay.notify.text.annotations import annotation_texts
from relay.notify.text.bidi import confined
from relay.notify.text.links import alert_links, group_links
from relay.notify.text.plain_text import ELLIPSIS, one_line, web_url
from relay.notify.text.times import acknowledged_line, times_line

UNNOTIFIED: Final = ": fired and resolved before a notification was sent"
MAX_ACKNOWLEDGED: Final = 300
"""Characters of an escaped acknowledgement."""
COLORS: Final = {
    "critical": 0xD32F2F,
    "error": 0xE64A19,
    "warning": 0xF9A825,
    "info": 0x1976D2,
}
OTHER_COLOR: Final = 0x757575
RESOLVED_COLOR: Final = 0x2E7D32
MARKS: Final = {Status.FIRING: "🔥", Status.STALE: "❔", Status.RESOLVED: "✅"}


class AlertText(msgspec.Struct, frozen=True):
    """The texts of one alert. `labels` are those that the message's alerts do not share; `links` are (text, URL).

    `status` is stale for an alert that is not reported any longer. `times` has the start and the end, and a note
    on such an alert, or on one that was resolved before a notification of it was sent. `acknowledged` is one line,
    empty unless the message is edited. `rendered` is the output of a template for the alert, in the platform's
    markup; it replaces all other fields.
    """

    status: Status
    title: str
    description: str
    labels: dict[str, str]
    times: str
    links: tuple[tuple[str, str], ...]
    acknowledged: str = ""
    rendered: str = ""

    @property
    def mark(self) -> str:
        """The symbol of its status."""
        return MARKS[self.status]


class Content(msgspec.Struct, frozen=True, kw_only=True):
    """The texts of one message. Firing alerts precede resolved ones, each by severity. `color` is 0xRRGGBB.

    `notes` go near the top and `links` at the end. `counts` are those of a digest; the platform summarizes them in
    the space it has. `total` is the number of alerts, including those that are not in `alerts`. `history` is the
    link to all alerts, for a message that does not show all of them.

    `title` and `body` are the output of a template, in the platform's markup. `title` replaces the headline unless
    it is empty; `body` replaces the labels unless it is None.
    """

    headline: str
    status: Status
    color: int
    severity: str
    notes: tuple[str, ...]
    counts: tuple[AlertCount, ...] = ()
    labels: dict[str, str] = {}
    alerts: tuple[AlertText, ...]
    total: int
    truncated: str = ""
    links: tuple[tuple[str, str], ...]
    history: tuple[tuple[str, str], ...] = ()
    title: str = ""
    body: str | None = None

    def closing_links(self, not_shown: int) -> tuple[tuple[str, str], ...]:
        """The links at the end of a message that does not show this number of its alerts."""
        return self.links + self.history if not_shown else self.links


def content_of(message: Message) -> Content:
    """Build the content of a message."""
    return _digest_content(message) if isinstance(message, Digest) else _group_content(message)


def _group_content(notification: Notification) -> Content:
    alerts = notification.alerts
    ordered = sorted(range(len(alerts)), key=lambda index: _urgency(alerts[index]))
    shared = _shared_labels(alerts)
    severity = severity_of(notification)
    truncated = notification.group.truncated
    rendered = notification.rendered or Rendered()
    texts = [
        _alert_text(alerts[index], shared, rendered.alert(index), unnotified=index in notification.unnotified)
        for index in ordered
    ]
    return Content(
        headline=_headline(notification, shared),
        status=notification.status,
        color=_color(severity, notification.status),
        severity=severity,
        notes=_notes(notification.fallback_for),
        labels={name: value for name, value in shared.items() if name != "alertname" and rendered.body is None},
        alerts=tuple(texts),
        total=len(ordered) + notification.omitted,
        truncated=f"{truncated} more alerts were left out by Alertmanager (max_alerts)" if truncated else "",
        links=group_links(notification.group),
        history=_history_links(notification.history_url),
        title=rendered.title,
        body=rendered.body or None,
    )


def _digest_content(digest: Digest) -> Content:
    severity = severity_of(digest)
    groups = f"{digest.groups} group{'s' if digest.groups != 1 else ''}"
    return Content(
        headline=f"[DIGEST of {groups}] {_tally(digest.firing, digest.resolved)}",
        status=digest.status,
        color=_color(severity, digest.status),
        severity=severity,
        notes=_notes(digest.fallback_for),
        counts=digest.counts,
        alerts=tuple(
            _alert_text(alert, {}, unnotified=index in digest.unnotified)
            for index, alert in enumerate(digest.alerts)
        ),
        total=max(digest.total, len(digest.alerts)),
        links=_history_links(digest.history_url),
    )


def severity_of(message: Message) -> str:
    """The worst severity of the firing alerts; of the resolved alerts if none is firing."""
    if isinstance(message, Digest):
        return _worst({count.severity for count in message.counts if count.firing or not message.firing})
    return _worst({alert.severity for alert in message.firing or message.alerts})


def _worst(severities: set[str]) -> str:
    """The worst of some severities; of several with one rank, the usual name."""
    return min(
        severities,
        key=lambda severity: (severity_rank(severity), severity != level_of(severity), severity),
        default="",
    )


def _color(severity: str, status: Status) -> int:
    return COLORS.get(level_of(severity), OTHER_COLOR) if status is Status.FIRING else RESOLVED_COLOR


def _notes(fallback_for: FallbackFor | None) -> tuple[str, ...]:
    if fallback_for is None:
        return ()
    return (f"Fallback for channel {fallback_for.channel_id}: {fallback_for.reason}",)


def labels_line(labels: dict[str, str]) -> str:
    """Labels as one line."""
    return ", ".join(f"{confined(name)}={confined(value)}" for name, value in labels.items())


def values_line(alert: Alert) -> str:
    """The values of a Grafana rule's queries as one line; empty if there are none."""
    values = {} if alert.grafana is None else alert.grafana.values
    return f"Values: {labels_line(values)}" if values else ""


def not_shown_line(count: int) -> str:
    """The line for the alerts that did not fit into a message."""
    return f"{ELLIPSIS} and {count} more alert{'s' if count != 1 else ''} that did not fit here"


def _urgency(alert: Alert) -> tuple[bool, int]:
    """The sort key of an alert: firing ones first, by severity."""
    return not alert.firing, severity_rank(alert.severity)


def _headline(notification: Notification, shared: dict[str, str]) -> str:
    ordered = sorted(notification.alerts, key=lambda alert: (*_urgency(alert), alert.name))
    names = list(dict.fromkeys(name for alert in ordered if (name := alert.shown_name)))
    subject = shared.get("alertname") or ", ".join(names[:3]) + (
        f" and {len(names) - 3} more" if len(names) > 3 else ""
    )
    resolved = len(notification.resolved) + notification.omitted
    unreported = sum(alert.unreported_since is not None for alert in notification.firing)
    tally = _tally(len(notification.firing) - unreported, resolved, unreported)
    return f"[{tally}] {one_line(subject) or 'alert'}"


def _tally(firing: int, resolved: int, unreported: int = 0) -> str:
    counts = (("FIRING", firing), ("NOT REPORTED", unreported), ("RESOLVED", resolved))
    return ", ".join(f"{status}:{count}" for status, count in counts if count)


def _alert_text(
    alert: Alert, shared: dict[str, str], rendered: str = "", *, unnotified: bool = False
) -> AlertText:
    texts = annotation_texts(alert.annotations)
    return AlertText(
        status=alert.status if alert.unreported_since is None else Status.STALE,
        title=one_line(texts.summary) or one_line(alert.shown_name) or "alert",
        description="\n".join(text for text in (values_line(alert), texts.text) if text),
        labels={name: value for name, value in sorted(alert.labels.items()) if name not in shared},
        times=times_line(alert) + (UNNOTIFIED if unnotified and not alert.firing else ""),
        links=alert_links(alert),
        acknowledged=acknowledged_line(alert),
        rendered=rendered,
    )


def _shared_labels(alerts: Iterable[Alert]) -> dict[str, str]:
    first, *others = [alert.labels for alert in alerts]
    return {
        name: value for name, value in sorted(first.items()) if all(labels.get(name) == value for labels in others)
    }


def _history_links(history_url: str) -> tuple[tuple[str, str], ...]:
    url = web_url(history_url)
    return () if url is None else (("All of them", url),)
