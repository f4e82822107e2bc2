"""The messages that are edited: what a delivery writes into its group's message, and what is stored afterwards."""

import hashlib
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

import msgspec

from relay.domain.acknowledgements import Acknowledgement
from relay.domain.alerts import Alert
from relay.domain.channel_types import Channel
from relay.domain.message_settings import Change
from relay.domain.notifications import Announcement, Message, Notification
from relay.domain.outcomes import Outcome, Sent
from relay.domain.severities import is_critical
from relay.notify.registry import notifier_for
from relay.store.outbox.message_edits import EditableMessage

MAX_RESOLVED: Final = 100
"""Alerts resolved earlier that an edited message still shows, the most recently resolved ones."""
MAX_FIRING: Final = 1000
"""Firing alerts of earlier webhooks that an edited message still shows: silenced, or of another route."""


class PreparedMessage(msgspec.Struct, frozen=True):
    """A message, and for an edited one what to store of it; its references are those from before the attempt."""

    message: Message
    editable: EditableMessage | None = None


def destination_hash_of(channel: Channel | None) -> bytes | None:
    """A hash of the destination of the channel's edited messages; None if its messages are not edited."""
    edit_destination = None if channel is None else notifier_for(channel).edit_destination(channel)
    return (
        None if edit_destination is None else hashlib.blake2b(edit_destination.encode(), digest_size=16).digest()
    )


def is_same_incident(editable: EditableMessage, alert_ids: frozenset[int], *, firing: bool) -> bool:
    """Whether a notification of these alerts edits the message; otherwise the group gets a new message.

    A message that shows firing alerts is always edited, so that none stays firing in it. When all of its alerts
    are resolved, a firing alert is a new incident that requires a notification.
    """
    return not editable.all_resolved or (not firing and not alert_ids.isdisjoint(editable.alert_ids))


def prepare_edit(
    notification: Notification,
    alert_ids: Sequence[int],
    group_hash: int,
    editable: EditableMessage | None,
    earlier: Sequence[tuple[int, Alert]],
    *,
    silent: bool = False,
    repeated: bool = False,
) -> PreparedMessage:
    """The message of a group whose message is edited. `alert_ids` are those of the notification, by position.

    `earlier` are the other alerts of the message `editable` in their current state: firing ones first, then the
    most recently resolved. `silent`: people heard of these alerts already. `repeated`: the notification is a
    deliberate repeat.
    """
    firing = bool(notification.firing)
    if editable is None or not is_same_incident(editable, frozenset(alert_ids), firing=firing):
        new = EditableMessage(group_hash, (), tuple(alert_ids), 0, all_resolved=not firing)
        return PreparedMessage(notification, new)
    # An alert that fires with a later start was resolved in between, even if no webhook reported that.
    starts = {alert.fingerprint: alert.starts_at for alert in notification.alerts}
    earlier = [(alert_id, alert) for alert_id, alert in earlier if not _is_superseded(alert, starts)]
    still_firing = [(alert_id, alert) for alert_id, alert in earlier if alert.firing][:MAX_FIRING]
    resolved = [(alert_id, alert) for alert_id, alert in earlier if not alert.firing][:MAX_RESOLVED]
    omitted = editable.omitted + len(earlier) - len(still_firing) - len(resolved)
    shown = still_firing + resolved
    message = msgspec.structs.replace(
        notification,
        alerts=(*notification.alerts, *(alert for _, alert in shown)),
        message_refs=editable.message_refs,
        omitted=omitted,
    )
    if not silent:
        announcement = _announcement(
            message, dict(zip(alert_ids, notification.alerts, strict=True)), editable, repeated
        )
        message = msgspec.structs.replace(message, announcement=announcement)
    all_ids = (*alert_ids, *(alert_id for alert_id, _ in shown))
    return PreparedMessage(
        message,
        EditableMessage(group_hash, editable.message_refs, all_ids, omitted, all_resolved=not message.firing),
    )


def _announcement(
    message: Notification, reported: Mapping[int, Alert], editable: EditableMessage, repeated: bool
) -> Announcement | None:
    """What people should hear of an edit; `reported` are the alerts of the delivery alone, by id."""
    known = frozenset(editable.alert_ids)
    # Also what is no longer suppressed: people have not heard of it meanwhile.
    news = ((at not in known or alert.was_suppressed is not None, alert) for at, alert in reported.items())
    if joined := tuple(alert for is_news, alert in news if is_news and alert.firing):
        return Announcement(change=Change.FIRING, alerts=joined)
    if not message.firing:
        over = Announcement(change=Change.RESOLVED, alerts=message.alerts)
        return None if editable.all_resolved else over
    critical = tuple(alert for alert in reported.values() if alert.firing and is_critical(alert.severity))
    return Announcement(change=Change.REPEAT, alerts=critical) if repeated and critical else None


def firing_ids(prepared: PreparedMessage) -> tuple[int, ...]:
    """The ids of the firing alerts of an edited message."""
    message, editable = prepared.message, prepared.editable
    if not isinstance(message, Notification) or editable is None:
        return ()
    pairs = zip(editable.alert_ids, message.alerts, strict=True)
    return tuple(alert_id for alert_id, alert in pairs if alert.firing)


def mark_firing(
    prepared: PreparedMessage, since: Mapping[int, datetime], acknowledged: Mapping[int, Acknowledgement]
) -> PreparedMessage:
    """Show firing alerts that are acknowledged, or not reported any longer, as such; both by the alerts' ids.

    `since` has the times of the last reports.
    """
    message, editable = prepared.message, prepared.editable
    marked = since.keys() | acknowledged.keys()
    if not marked or editable is None or not isinstance(message, Notification):
        return prepared
    alerts = tuple(
        msgspec.structs.replace(
            alert, unreported_since=since.get(alert_id), acknowledgement=acknowledged.get(alert_id)
        )
        if alert.firing and alert_id in marked
        else alert
        for alert_id, alert in zip(editable.alert_ids, message.alerts, strict=True)
    )
    return PreparedMessage(msgspec.structs.replace(message, alerts=alerts), editable)


def _is_superseded(alert: Alert, starts: Mapping[str, datetime]) -> bool:
    return alert.firing and alert.fingerprint in starts and alert.starts_at < starts[alert.fingerprint]


def updated(editable: EditableMessage, outcome: Outcome) -> EditableMessage | None:
    """What to store of the message after an attempt; None if nothing changed."""
    message_refs = outcome.message_refs if any(outcome.message_refs) else ()
    sent = isinstance(outcome, Sent)
    if not message_refs and not (sent and editable.message_refs):
        return None
    if not sent and message_refs == editable.message_refs:
        return None
    return msgspec.structs.replace(
        editable, message_refs=message_refs, all_resolved=editable.all_resolved and sent
    )
