"""Suppression: whether an alert is sent to a channel at a moment, and if not, what holds it back.

An alert that fires is held back by what suppresses it. The end of an alert is sent to a channel that got its
firing, and not to one whose firing was held back.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from enum import StrEnum
from typing import Final

import msgspec

from relay.domain.silences import Silence

SILENCE: Final = "silence:"
ACKNOWLEDGED: Final = "acknowledged:"
"""Prefixes of the names of suppressors: that of a silence ends with its id, that of an acknowledgement with the id
of the alert."""


class SuppressionReason(StrEnum):
    """The kind of what suppresses, as a label of metrics."""

    SILENCE = "silence"
    ACKNOWLEDGED = "acknowledged"


class Judged(msgspec.Struct, frozen=True, kw_only=True):
    """An alert of a delivery's message as it is now.

    `via` are the channels in whose place the delivery is sent to its own, and `in_place_of` the delivery that it
    replaces there. `redelivered`: a person asked for it,
    whatever suppresses it. `held_by`: what suppressed its firing for this channel before. `receipt_id`, `source`
    and `group_hash` are those of a webhook that reported it.
    """

    delivery_id: int
    alert_id: int
    channel_id: str
    group_hash: int
    receipt_id: int
    source: str
    labels: dict[str, str]
    resolved: bool
    acknowledged: bool
    redelivered: bool
    via: tuple[str, ...]
    in_place_of: int | None
    held_by: tuple[str, ...]


Suppressing = Callable[[Mapping[str, str], str], Collection[Silence]]
"""Return the silences that suppress labels for a channel now."""


class Withheld(msgspec.Struct, frozen=True):
    """An alert that is left out of a message, and what suppresses it; `firing`: it is sent when that ends."""

    alert: Judged
    suppressors: tuple[str, ...]

    @property
    def firing(self) -> bool:
        """Whether it fires."""
        return not self.alert.resolved


def suppressors_of(alert: Judged, suppressing: Suppressing) -> tuple[str, ...]:
    """The names of what suppresses the firing of an alert now."""
    if alert.redelivered:
        return ()
    names = [
        SILENCE + silence.id
        for channel_id in (alert.channel_id, *alert.via)
        for silence in suppressing(alert.labels, channel_id)
    ]
    if alert.acknowledged:
        names.append(f"{ACKNOWLEDGED}{alert.alert_id}")
    return tuple(dict.fromkeys(names))


def doubtful(alerts: Iterable[Judged], suppressing: Suppressing) -> list[Judged]:
    """The ended alerts of which it matters whether the channel got their firing."""
    return [
        alert
        for alert in alerts
        if alert.resolved and not alert.redelivered and (alert.held_by or _silences_of(alert, suppressing))
    ]


def withhold(
    alerts: Iterable[Judged], suppressing: Suppressing, got_firing: Collection[tuple[str, int]]
) -> list[Withheld]:
    """The alerts that are left out of a message. `got_firing`: channels, and alerts whose firing they got."""
    withheld = []
    for alert in alerts:
        if not alert.resolved:
            if names := suppressors_of(alert, suppressing):
                withheld.append(Withheld(alert, names))
            continue
        if alert.redelivered:
            continue
        silences = _silences_of(alert, suppressing)
        if any((channel_id, alert.alert_id) in got_firing for channel_id in (alert.channel_id, *alert.via)):
            # A message that shows it firing must not stay so, unless a silence says otherwise.
            silent = [silence for silence in silences if not silence.send_resolved]
            if silent:
                withheld.append(Withheld(alert, tuple(SILENCE + silence.id for silence in silent)))
        elif silences or alert.held_by:
            names = tuple(SILENCE + silence.id for silence in silences) or alert.held_by
            withheld.append(Withheld(alert, names))
    return withheld


def _silences_of(alert: Judged, suppressing: Suppressing) -> list[Silence]:
    found = {
        silence.id: silence
        for channel_id in (alert.channel_id, *alert.via)
        for silence in suppressing(alert.labels, channel_id)
    }
    return list(found.values())


def by_suppressor(withheld: Iterable[Withheld]) -> dict[str, list[int]]:
    """The ids of alerts by the name of what suppresses them."""
    found: dict[str, list[int]] = {}
    for one in withheld:
        for name in one.suppressors:
            found.setdefault(name, []).append(one.alert.alert_id)
    return found


def reason_of(suppressor: str) -> SuppressionReason:
    """The kind of a suppressor."""
    return SuppressionReason.SILENCE if suppressor.startswith(SILENCE) else SuppressionReason.ACKNOWLEDGED
