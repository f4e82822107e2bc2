"""What does a message say, whatever the platform?

Plain text throughout: each platform escapes and cuts it in its own way.
"""

from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from typing import Final
from urllib.parse import quote, urlsplit

import msgspec

from relay.domain.alerts import SEVERITY_ORDER, Alert, Status
from relay.domain.notifications import Notification

ELLIPSIS: Final = "…"
RUNBOOK: Final = "runbook_url"
MAX_URL: Final = 2048
URL_SAFE: Final = "!#$%&'()*+,-./:;=?@[]~_"
COLOURS: Final = {
    "critical": 0xD32F2F,
    "error": 0xE64A19,
    "warning": 0xF9A825,
    "info": 0x1976D2,
}
OTHER_COLOUR: Final = 0x757575
RESOLVED_COLOUR: Final = 0x2E7D32


class AlertText(msgspec.Struct, frozen=True):
    """One alert in words. `labels` are those that the message's alerts don't share; `links` are (text, URL)."""

    status: Status
    title: str
    description: str
    labels: dict[str, str]
    times: str
    links: tuple[tuple[str, str], ...]


class Content(msgspec.Struct, frozen=True):
    """A message in words: firing alerts first, then resolved ones. `colour` is 0xRRGGBB."""

    headline: str
    status: Status
    colour: int
    severity: str
    labels: dict[str, str]
    alerts: tuple[AlertText, ...]
    truncated: str
    links: tuple[tuple[str, str], ...]


def content_of(notification: Notification) -> Content:
    """Put a notification in words."""
    ordered = (*notification.firing, *notification.resolved)
    shared = _shared_labels(ordered)
    severity = worst_severity(notification.firing or notification.resolved)
    truncated = notification.group.truncated
    return Content(
        headline=_headline(notification, shared),
        status=notification.status,
        colour=COLOURS.get(severity, OTHER_COLOUR) if notification.firing else RESOLVED_COLOUR,
        severity=severity,
        labels={name: value for name, value in shared.items() if name != "alertname"},
        alerts=tuple(_alert_text(alert, shared) for alert in ordered),
        truncated=f"{truncated} more alerts were left out by Alertmanager (max_alerts)" if truncated else "",
        links=_group_links(notification),
    )


def worst_severity(alerts: Iterable[Alert]) -> str:
    """The worst severity of some alerts; one that is not in the usual order counts as the least."""
    found = {alert.severity for alert in alerts}
    for severity in SEVERITY_ORDER:
        if severity in found:
            return severity
    return max(found, default="")


def cut(text: str, limit: int) -> str:
    """The text, or its start and an ellipsis, in at most `limit` characters."""
    return text if len(text) <= limit else text[: max(limit - len(ELLIPSIS), 0)].rstrip() + ELLIPSIS


def fit(text: str, limit: int, escape: Callable[[str], str]) -> str:
    """The escaped text, cut between characters so that it has at most `limit` of them when escaped."""
    escaped = escape(text)
    if len(escaped) <= limit:
        return escaped
    parts: list[str] = []
    room = limit - len(ELLIPSIS)
    for character in text:
        part = escape(character)
        room -= len(part)
        if room < 0:
            break
        parts.append(part)
    return "".join(parts).rstrip() + ELLIPSIS


def labels_line(labels: dict[str, str]) -> str:
    """Labels in one line."""
    return ", ".join(f"{name}={value}" for name, value in labels.items())


def left_out(count: int) -> str:
    """The line that stands for alerts that did not fit."""
    return f"{ELLIPSIS} and {count} more alert{'s' if count != 1 else ''} that did not fit here"


def web_url(text: str) -> str | None:
    """A URL that is safe to link to, odd characters percent-encoded.

    None for anything but http and https, and for what no platform would take.
    """
    if len(text) > MAX_URL:
        return None
    url = quote(text.strip(), safe=URL_SAFE)
    try:
        parts = urlsplit(url)
    except ValueError:
        return None
    return url if parts.scheme in ("http", "https") and parts.netloc else None


def _headline(notification: Notification, shared: dict[str, str]) -> str:
    firing, resolved = len(notification.firing), len(notification.resolved)
    counts = [f"FIRING:{firing}"] if firing else []
    counts += [f"RESOLVED:{resolved}"] if resolved else []
    names = sorted({alert.name for alert in notification.alerts if alert.name})
    subject = shared.get("alertname") or ", ".join(names[:3]) + (
        f" and {len(names) - 3} more" if len(names) > 3 else ""
    )
    return f"[{', '.join(counts)}] {subject or 'alert'}"


def _alert_text(alert: Alert, shared: dict[str, str]) -> AlertText:
    notes = alert.annotations
    links = (("Source", web_url(alert.generator_url)), ("Runbook", web_url(notes.get(RUNBOOK, ""))))
    summary, description = notes.get("summary", ""), notes.get("description", "")
    return AlertText(
        status=alert.status,
        title=summary or alert.name or "alert",
        description=description if description != summary else "",
        labels={name: value for name, value in sorted(alert.labels.items()) if name not in shared},
        times=_times(alert),
        links=tuple((text, url) for text, url in links if url is not None),
    )


def _times(alert: Alert) -> str:
    if alert.ends_at is None:
        return f"since {_clock(alert.starts_at)}"
    lasted = timedelta(seconds=int((alert.ends_at - alert.starts_at).total_seconds()))
    return f"from {_clock(alert.starts_at)} to {_clock(alert.ends_at)} ({lasted})"


def _clock(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC"


def _shared_labels(alerts: Iterable[Alert]) -> dict[str, str]:
    first, *others = [alert.labels for alert in alerts]
    return {
        name: value for name, value in sorted(first.items()) if all(labels.get(name) == value for labels in others)
    }


def _group_links(notification: Notification) -> tuple[tuple[str, str], ...]:
    base = web_url(notification.group.external_url.rstrip("/"))
    if base is None:
        return ()
    # The receiver's name arrives as a regular expression, quoted: `web\\.hook`.
    receiver = notification.group.receiver.replace("\\", "")
    return (("Alertmanager", f"{base}/#/alerts?receiver={quote(receiver, safe='')}"),)
