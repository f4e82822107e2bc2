"""What is posted besides an edit, because an edit notifies nobody, and who is mentioned."""

from collections.abc import Sequence
from typing import Final

import msgspec

from relay.domain.message_settings import Change
from relay.domain.notifications import Announcement, Digest, Message, Notification
from relay.domain.severities import folded, is_critical
from relay.notify.text.content import Content, content_of, labels_line
from relay.notify.text.plain_text import one_line

MOST_NAMED: Final = 5
"""Alerts that an announcement names; it is short, and the edited message has them all."""
MAX_LINE: Final = 200
"""Characters of each of an announcement's lines, as the platform counts them."""
PREFIXES: Final = {Change.FIRING: "New: ", Change.REPEAT: "Repeated: ", Change.RESOLVED: ""}


class AnnouncementText(msgspec.Struct, frozen=True):
    """The text of an announcement: plain, not escaped. `critical`: it concerns a firing critical alert."""

    headline: str
    lines: tuple[str, ...]
    color: int
    critical: bool


def announcement_text(message: Notification, notify_on: Sequence[Change]) -> AnnouncementText | None:
    """The announcement of an edit that `notify_on` selects; None without a message to refer to."""
    announcement = _announcement(message, notify_on)
    if announcement is None or not any(message.message_refs[:1]):
        return None
    alone = msgspec.structs.replace(
        message, alerts=announcement.alerts, unnotified=frozenset(), rendered=None, omitted=0, fallback_for=None
    )
    content = content_of(alone)
    return AnnouncementText(
        headline=PREFIXES[announcement.change] + content.headline,
        lines=() if announcement.change is Change.RESOLVED else _lines(content),
        color=content.color,
        critical=any(alert.firing and is_critical(alert.severity) for alert in announcement.alerts),
    )


def is_mentioned(message: Message, notify_on: Sequence[Change], severities: Sequence[str]) -> bool:
    """Whether a post about this message concerns firing alerts of these severities, in any case of letters."""
    wanted = {folded(severity) for severity in severities}
    if isinstance(message, Digest):
        return any(count.firing and folded(count.severity) in wanted for count in message.counts)
    alerts = message.firing
    if any(message.message_refs):
        announcement = _announcement(message, notify_on)
        alerts = () if announcement is None else announcement.alerts
    return any(alert.firing and folded(alert.severity) in wanted for alert in alerts)


def _announcement(message: Notification, notify_on: Sequence[Change]) -> Announcement | None:
    announcement = message.announcement
    return announcement if announcement is not None and announcement.change in notify_on else None


def _lines(content: Content) -> tuple[str, ...]:
    named = [
        one_line(f"{alert.mark} {alert.title} {labels_line(alert.labels)}")
        for alert in content.alerts[:MOST_NAMED]
    ]
    rest = len(content.alerts) - len(named)
    return (*named, f"and {rest} more") if rest else tuple(named)
