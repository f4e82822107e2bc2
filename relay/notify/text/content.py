"""What does a message say, whatever the platform?

Plain text throughout: each platform escapes and cuts it in its own way.
"""

import re
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Final
from urllib.parse import quote, urlsplit

import msgspec

from relay.domain.alerts import SEVERITY_ORDER, Alert, Status, severity_rank
from relay.domain.notifications import AlertCount, Digest, FallbackFor, Message, Notification, Rendered
from relay.notify.text.graphemes import start_of

ELLIPSIS: Final = "…"
RUNBOOK: Final = "runbook_url"
UNTOLD: Final = ": it fired, and was resolved before that could be told"
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
WORD_JOINER: Final = "\u2060"

_name = re.compile(r"@(?<!\w@)(?=\w)")


class AlertText(msgspec.Struct, frozen=True):
    """One alert in words. `labels` are those that the message's alerts don't share; `links` are (text, URL).

    `times` says when it fired, and that this was not told before if so. `rendered` is what a template made of the
    alert, in the platform's markup, and stands for all of it.
    """

    status: Status
    title: str
    description: str
    labels: dict[str, str]
    times: str
    links: tuple[tuple[str, str], ...]
    rendered: str = ""


class Content(msgspec.Struct, frozen=True, kw_only=True):
    """A message in words: firing alerts first, then resolved ones, the worst of each first. `colour` is 0xRRGGBB.

    `notes` stand near the top. `counts` are a digest's, to be put in words by how much room there is for
    them. `total` is how many alerts there are to tell, be they in `alerts` or not. `links` stand at the end;
    `history` leads to what did not fit, and is said where something did not.

    What a template made is in the platform's markup: `title` stands for the headline unless it is empty, and
    `body`, unless it is None, for the labels.
    """

    headline: str
    status: Status
    colour: int
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

    def links_after(self, left: int) -> tuple[tuple[str, str], ...]:
        """The links at the end of a message in which so many of the alerts are counted and not shown."""
        return self.links + self.history if left else self.links


def content_of(message: Message) -> Content:
    """Put a message in words."""
    return _digest_content(message) if isinstance(message, Digest) else _group_content(message)


def _group_content(notification: Notification) -> Content:
    alerts = notification.alerts
    ordered = sorted(range(len(alerts)), key=lambda at: _urgency(alerts[at]))
    shared = _shared_labels(alerts)
    severity = severity_of(notification)
    truncated = notification.group.truncated
    rendered = notification.rendered or Rendered()
    told = [
        _alert_text(alerts[at], shared, rendered.alert(at), unnotified=at in notification.unnotified)
        for at in ordered
    ]
    return Content(
        headline=_headline(notification, shared),
        status=notification.status,
        colour=_colour(severity, notification.status),
        severity=severity,
        notes=_notes(notification.fallback_for),
        labels={name: value for name, value in shared.items() if name != "alertname" and rendered.body is None},
        alerts=tuple(told),
        total=len(ordered) + notification.omitted,
        truncated=f"{truncated} more alerts were left out by Alertmanager (max_alerts)" if truncated else "",
        links=_group_links(notification),
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
        colour=_colour(severity, digest.status),
        severity=severity,
        notes=_notes(digest.fallback_for),
        counts=digest.counts,
        alerts=tuple(
            _alert_text(alert, {}, unnotified=at in digest.unnotified) for at, alert in enumerate(digest.alerts)
        ),
        total=max(digest.total, len(digest.alerts)),
        links=_history_links(digest.history_url),
    )


def severity_of(message: Message) -> str:
    """The worst severity of what fires in a message; of what is resolved, when nothing fires."""
    if isinstance(message, Digest):
        return _worst({count.severity for count in message.counts if count.firing or not message.firing})
    return _worst({alert.severity for alert in message.firing or message.alerts})


def _worst(found: set[str]) -> str:
    """The worst of some severities; one that is not in the usual order counts as the least."""
    for severity in SEVERITY_ORDER:
        if severity in found:
            return severity
    return max(found, default="")


def _colour(severity: str, status: Status) -> int:
    return COLOURS.get(severity, OTHER_COLOUR) if status is Status.FIRING else RESOLVED_COLOUR


def _notes(fallback_for: FallbackFor | None) -> tuple[str, ...]:
    if fallback_for is None:
        return ()
    return (f"Meant for the channel {fallback_for.channel_id}, which could not be told: {fallback_for.reason}",)


def cut(text: str, limit: int) -> str:
    """The text, or its start and an ellipsis, in at most `limit` characters."""
    if len(text) <= limit:
        return text
    return text[: start_of(text, limit - len(ELLIPSIS))].rstrip() + ELLIPSIS if limit >= len(ELLIPSIS) else ""


def fit(text: str, limit: int, escape: Callable[[str], str] = str, size: Callable[[str], int] = len) -> str:
    """The escaped text, of at most `limit` as `size` measures it; what is too long ends in an ellipsis.

    It is cut between what people see as characters, never inside an escape. `escape` takes each character by
    itself, and `size` is at least one for each.
    """
    head = text[: max(limit, 0) + 1]
    if len(head) <= limit and size(whole := escape(text)) <= limit:
        return whole
    room = limit - size(ELLIPSIS)
    if room < 0:
        return ""
    at, beyond = 0, len(head)
    while at < beyond:  # halves what is left, so that each character is escaped about once
        middle = (at + beyond + 1) // 2
        needed = size(escape(head[at:middle]))
        if needed <= room:
            at, room = middle, room - needed
        else:
            beyond = middle - 1
    return escape(text[: start_of(text, at)]).rstrip() + ELLIPSIS


def unaddressed(text: str) -> str:
    """The text with a sign that nobody sees behind each `@` before a name, for platforms that look for names."""
    return _name.sub(f"@{WORD_JOINER}", text)


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


def _urgency(alert: Alert) -> tuple[bool, int]:
    """What sorts alerts: what fires first, and of that the worst."""
    return not alert.firing, severity_rank(alert.severity)


def _headline(notification: Notification, shared: dict[str, str]) -> str:
    ordered = sorted(notification.alerts, key=lambda alert: (*_urgency(alert), alert.name))
    names = list(dict.fromkeys(alert.name for alert in ordered if alert.name))
    subject = shared.get("alertname") or ", ".join(names[:3]) + (
        f" and {len(names) - 3} more" if len(names) > 3 else ""
    )
    resolved = len(notification.resolved) + notification.omitted
    return f"[{_tally(len(notification.firing), resolved)}] {subject or 'alert'}"


def _tally(firing: int, resolved: int) -> str:
    counts = (("FIRING", firing), ("RESOLVED", resolved))
    return ", ".join(f"{status}:{count}" for status, count in counts if count)


def _alert_text(
    alert: Alert, shared: dict[str, str], rendered: str = "", *, unnotified: bool = False
) -> AlertText:
    notes = alert.annotations
    links = (("Source", web_url(alert.generator_url)), ("Runbook", web_url(notes.get(RUNBOOK, ""))))
    summary, description = notes.get("summary", ""), notes.get("description", "")
    return AlertText(
        status=alert.status,
        title=summary or alert.name or "alert",
        description=description if description != summary else "",
        labels={name: value for name, value in sorted(alert.labels.items()) if name not in shared},
        times=_times(alert) + (UNTOLD if unnotified and not alert.firing else ""),
        links=tuple((text, url) for text, url in links if url is not None),
        rendered=rendered,
    )


def _times(alert: Alert) -> str:
    began = _clock(alert.starts_at)
    if alert.ends_at is None:
        return f"since {began} UTC"
    ended = _clock(alert.ends_at)
    if alert.ends_at.date() == alert.starts_at.date():
        ended = ended.partition(" ")[2]
    return f"{began} to {ended} UTC ({spelled((alert.ends_at - alert.starts_at).total_seconds())})"


def _clock(moment: datetime) -> str:
    return moment.replace(tzinfo=None).isoformat(" ", "seconds")


def spelled(seconds: float) -> str:
    """A time by its two largest units: `1h 30m`."""
    seconds = max(int(seconds), 0)
    numbers = (seconds // 86400, seconds // 3600 % 24, seconds // 60 % 60, seconds % 60)
    first = next((at for at, number in enumerate(numbers) if number), len(numbers) - 1)
    units = list(zip(numbers, "dhms", strict=True))[first : first + 2]
    return " ".join(f"{number}{unit}" for number, unit in units if number) or "0s"


def _shared_labels(alerts: Iterable[Alert]) -> dict[str, str]:
    first, *others = [alert.labels for alert in alerts]
    return {
        name: value for name, value in sorted(first.items()) if all(labels.get(name) == value for labels in others)
    }


def _history_links(history_url: str) -> tuple[tuple[str, str], ...]:
    url = web_url(history_url)
    return () if url is None else (("All of them", url),)


def _group_links(notification: Notification) -> tuple[tuple[str, str], ...]:
    base = web_url(notification.group.external_url.rstrip("/"))
    if base is None:
        return ()
    # The receiver's name arrives as a regular expression, quoted: `web\\.hook`.
    receiver = notification.group.receiver.replace("\\", "")
    return (("Alertmanager", f"{base}/#/alerts?receiver={quote(receiver, safe='')}"),)
