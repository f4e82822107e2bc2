"""The message that a silence is about to end while alerts that it matches still fire."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

import msgspec

from relay.domain.alerts import Alert, Status, fingerprint
from relay.domain.durations import parse_duration
from relay.domain.identity import RESERVED_SOURCE, group_hash
from relay.domain.recurrence import occurrences, window_at
from relay.domain.silences import MAX_WAIT, Silence

ALERTNAME: Final = "SilenceEnds"
SEVERITY: Final = "info"
MAX_NAMES: Final = 5
MAX_TEXT: Final = 500
"""Characters of the silence's matchers and comment in the message."""


class Reminder(msgspec.Struct, frozen=True):
    """The alert of a message, its group, and the webhook's body that is stored with it."""

    alert: Alert
    group_key: str
    group_hash: int
    body: bytes


def end_of(silence: Silence, now: datetime) -> datetime | None:
    """When the silence ends, a recurring one with its last window; None if that is not in sight."""
    if silence.ends_at is not None or silence.rrule is None:
        return silence.ends_at
    window = window_at(silence, now)
    return None if window is None or occurrences(silence, now, 1) else window[1]


def is_due(silence: Silence, ends_at: datetime, now: datetime) -> bool:
    """Whether its reminder is to be sent, if it matches a firing alert."""
    if silence.remind_before is None:
        return False
    return ends_at - parse_duration("remind_before", silence.remind_before, MAX_WAIT) <= now < ends_at


def reminder(
    silence: Silence, ends_at: datetime, now: datetime, firing: int, names: Sequence[str], tenant_label: str
) -> Reminder:
    """Make the message. `firing` alerts that the silence matches fire, which have these names."""
    labels = {
        "alertname": ALERTNAME,
        "severity": SEVERITY,
        "silence_id": silence.id,
        "ends_at": ends_at.isoformat(timespec="seconds").replace("+00:00", "Z"),
    }
    if silence.tenant_id is not None:
        labels[tenant_label] = silence.tenant_id
    alert = Alert(
        status=Status.FIRING,
        labels=labels,
        annotations=_annotations(silence, ends_at, now, firing, names),
        starts_at=now,
        ends_at=None,
        generator_url="",
        fingerprint=fingerprint(labels),
    )
    key = group_key(silence.id, ends_at)
    return Reminder(alert, key, reminder_hash(silence.id, ends_at), _body(alert, key))


def group_key(silence_id: str, ends_at: datetime) -> str:
    """The key of the group of a reminder, of which each end has its own."""
    return f'{{}}:{{silence_id="{silence_id}", ends_at="{ends_at.isoformat()}"}}'


def reminder_hash(silence_id: str, ends_at: datetime) -> int:
    """The hash of that group."""
    return group_hash(group_key(silence_id, ends_at), RESERVED_SOURCE)


def _annotations(
    silence: Silence, ends_at: datetime, now: datetime, firing: int, names: Sequence[str]
) -> dict[str, str]:
    matchers = _cut(", ".join(map(str, silence.matchers)))
    shown = ", ".join(name or "(no name)" for name in names[:MAX_NAMES])
    more = ", …" if len(names) > MAX_NAMES else ""
    alerts = "1 alert still fires" if firing == 1 else f"{firing} alerts still fire"
    description = f"{alerts}: {shown}{more}. Silenced by {silence.created_by or 'nobody'}"
    return {
        "summary": f"The silence of {matchers} ends {_in(ends_at, now)}",
        "description": _cut(description + (f": {silence.comment}" if silence.comment else "")),
    }


def _in(ends_at: datetime, now: datetime) -> str:
    minutes = max(round((ends_at - now).total_seconds() / 60), 0)
    hours, rest = divmod(minutes, 60)
    span = f"{hours} h {rest} min" if hours else f"{rest} min"
    return f"in {span}, at {ends_at:%Y-%m-%d %H:%M} UTC" if minutes else "in less than a minute"


def _cut(text: str) -> str:
    return text if len(text) <= MAX_TEXT else f"{text[: MAX_TEXT - 1]}…"


def _body(alert: Alert, key: str) -> bytes:
    """The webhook's body, as Alertmanager would post it."""
    return msgspec.json.encode(
        {
            "version": "4",
            "groupKey": key,
            "receiver": "",
            "status": alert.status,
            "alerts": [
                {
                    "status": alert.status,
                    "labels": alert.labels,
                    "annotations": alert.annotations,
                    "startsAt": alert.starts_at,
                    "endsAt": "0001-01-01T00:00:00Z",
                    "generatorURL": "",
                    "fingerprint": alert.fingerprint,
                }
            ],
            "groupLabels": {"alertname": ALERTNAME},
            "commonLabels": alert.labels,
            "commonAnnotations": alert.annotations,
            "externalURL": "",
            "truncatedAlerts": 0,
        }
    )
