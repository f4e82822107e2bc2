"""What does a group's message say that is edited: what this delivery tells, and what was told in it before?"""

import hashlib
from collections.abc import Sequence
from datetime import datetime
from typing import Final

import msgspec

from relay.domain.alerts import Alert
from relay.domain.channel_types import Channel
from relay.domain.notifications import Message, Notification
from relay.domain.outcomes import Outcome, Sent
from relay.notify.registry import notifier_for
from relay.store.outbox.message_edits import EditableMessage

MAX_RESOLVED: Final = 100
"""Alerts resolved before that a message still tells, those that were resolved last."""
MAX_FIRING: Final = 1000
"""Alerts told before that still fire, though this webhook does not name them: silenced, or of another route."""


class PreparedMessage(msgspec.Struct, frozen=True):
    """A message, and what is to be kept of the platform's message of its group; None where that is not edited.

    The references in `living` are those from before.
    """

    message: Message
    living: EditableMessage | None = None


def destination_hash_of(channel: Channel | None) -> bytes | None:
    """A hash of where the channel's messages are that are edited; None if none are."""
    edit_destination = None if channel is None else notifier_for(channel).edit_destination(channel)
    return (
        None if edit_destination is None else hashlib.blake2b(edit_destination.encode(), digest_size=16).digest()
    )


def goes_on(living: EditableMessage, alert_ids: frozenset[int], *, fires: bool) -> bool:
    """Whether a message is to be edited into what a notification of these alerts tells; else it gets a new one.

    A message that says that something fires must not go on saying so. When all in it were resolved, what fires
    after that is another incident, and people want to hear of it.
    """
    return not living.ended or (not fires and not alert_ids.isdisjoint(living.alert_ids))


def telling(
    notification: Notification,
    alert_ids: Sequence[int],
    group_hash: int,
    living: EditableMessage | None,
    earlier: Sequence[tuple[int, Alert]],
) -> PreparedMessage:
    """A notification of a group whose message is edited. `alert_ids` are those of its alerts, by position.

    `earlier` are the other alerts of the message `living`, as they are by now: what fires first, then what was
    resolved last.
    """
    fires = bool(notification.firing)
    if living is None or not goes_on(living, frozenset(alert_ids), fires=fires):
        return PreparedMessage(notification, EditableMessage(group_hash, (), tuple(alert_ids), 0, ended=not fires))
    # What fires again was resolved before, though nobody told the relay.
    again = {alert.fingerprint: alert.starts_at for alert in notification.alerts}
    earlier = [one for one in earlier if not (one[1].firing and _is_before(one[1], again))]
    firing = [one for one in earlier if one[1].firing][:MAX_FIRING]
    resolved = [one for one in earlier if not one[1].firing][:MAX_RESOLVED]
    omitted = living.omitted + len(earlier) - len(firing) - len(resolved)
    message = msgspec.structs.replace(
        notification,
        alerts=(*notification.alerts, *(alert for _, alert in firing + resolved)),
        message_refs=living.message_refs,
        omitted=omitted,
    )
    told = (*alert_ids, *(alert_id for alert_id, _ in firing + resolved))
    return PreparedMessage(
        message, EditableMessage(group_hash, living.message_refs, told, omitted, ended=not message.firing)
    )


def _is_before(alert: Alert, again: dict[str, datetime]) -> bool:
    return alert.fingerprint in again and alert.starts_at < again[alert.fingerprint]


def after(living: EditableMessage, outcome: Outcome) -> EditableMessage | None:
    """What is to be kept after an attempt; None if that is what was kept before."""
    message_refs = outcome.message_refs if any(outcome.message_refs) else ()
    sent = isinstance(outcome, Sent)
    if not message_refs and not (sent and living.message_refs):
        return None
    if not sent and message_refs == living.message_refs:
        return None
    return msgspec.structs.replace(living, message_refs=message_refs, ended=living.ended and sent)
