"""Folding of several notifications of one group into one, with each alert in its current state."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from types import MappingProxyType
from typing import Final

import msgspec

from relay.domain.alerts import Alert, Group, Status, Suppressed
from relay.domain.identity import key_source
from relay.domain.notifications import FallbackFor, Notification

NO_ALERTS: Final[Mapping[int, Alert]] = MappingProxyType({})


class MergedNotification(msgspec.Struct, frozen=True):
    """One notification that a delivery contains: its own, or that of a delivery merged into it.

    `positions` are those of its alerts in the webhook, None for all. `alert_ids` has the whole webhook's alerts.
    `stored_ids` are its alerts instead if these are not those of the webhook, such as those that are sent after a
    suppression, which ended at `released_at`; then it has the webhook's group key and receiver. `withheld` are
    alerts that are left out.
    """

    delivery_id: int
    """The delivery that contains it."""
    receipt_id: int
    received_at: datetime
    positions: tuple[int, ...] | None
    alert_ids: tuple[int, ...]
    stored_ids: tuple[int, ...] | None = None
    withheld: tuple[int, ...] = ()
    released_at: datetime | None = None
    was_acknowledged: bool = False
    group_key: str | None = None
    receiver: str | None = None

    @property
    def matched_alert_ids(self) -> tuple[int, ...]:
        """The ids of its alerts."""
        if self.stored_ids is not None:
            found = self.stored_ids
        elif self.positions is None:
            found = self.alert_ids
        else:
            found = tuple(self.alert_ids[position] for position in self.positions)
        return tuple(at for at in found if at not in self.withheld) if self.withheld else found


def left_out(notification: MergedNotification, alert_ids: tuple[int, ...]) -> MergedNotification:
    """The notification without some alerts."""
    return msgspec.structs.replace(notification, withheld=(*notification.withheld, *alert_ids))


def stored_group(notification: MergedNotification) -> Group | None:
    """The group of stored alerts whose webhook is not kept any longer."""
    if notification.group_key is None or notification.receiver is None:
        return None
    return Group(
        group_key=notification.group_key,
        receiver=notification.receiver,
        alerts=(),
        group_labels={},
        common_labels={},
        common_annotations={},
        external_url="",
        truncated=0,
    )


class Resolution(msgspec.Struct, frozen=True):
    """When a resolved alert ended, and when it was first received."""

    ends_at: datetime | None
    first_received_at: datetime


class FoldedGroup:
    """Several notifications of one group as one: each alert once, as it was last reported."""

    def __init__(self, group: Group, since: datetime) -> None:
        """Start without alerts. `since` is when the oldest of the notifications was received."""
        self._group = group
        self._since = since
        self._last: MergedNotification | None = None
        self._alerts: dict[int, Alert] = {}
        self._fired: set[int] = set()

    @property
    def alert_ids(self) -> list[int]:
        """The ids of its alerts, by position."""
        return list(self._alerts)

    @property
    def repeat(self) -> MergedNotification | None:
        """The last notification, if all alerts of its webhook fire: a repeat, unless one of them is new in it."""
        return self._last if all(alert.firing for alert in self._group.alerts) else None

    def add(self, notification: MergedNotification, group: Group, stored: Mapping[int, Alert] = NO_ALERTS) -> None:
        """Add a later notification; `stored` has alerts that are not those of its webhook."""
        if notification.stored_ids is not None:
            self._add_stored(notification, stored)
            return
        self._group, self._last = group, notification
        withheld = frozenset(notification.withheld)
        positions = range(len(group.alerts)) if notification.positions is None else notification.positions
        for position in positions:
            alert, alert_id = group.alerts[position], notification.alert_ids[position]
            if alert_id in withheld:
                continue
            self._alerts[alert_id] = alert
            if alert.firing:
                self._fired.add(alert_id)

    def _add_stored(self, notification: MergedNotification, stored: Mapping[int, Alert]) -> None:
        for alert_id in notification.matched_alert_ids:
            if (alert := stored.get(alert_id)) is not None:
                if notification.released_at is not None:
                    was = Suppressed(until=notification.released_at, acknowledged=notification.was_acknowledged)
                    alert = msgspec.structs.replace(alert, was_suppressed=was)
                self._alerts[alert_id] = alert
                self._fired.add(alert_id)

    def notification(
        self,
        delivery_id: int,
        channel_id: str,
        resolutions: Mapping[int, Resolution],
        history_url: str,
        fallback_for: FallbackFor | None,
        source: str = "",
        group_hash: int = 0,
    ) -> Notification:
        """The folded notification; alerts that were resolved since they were reported are resolved in it."""
        key = key_source(source, self._group.group_key, group_hash)
        alerts = [
            with_key_source(current_alert(alert, resolutions.get(alert_id)), key)
            for alert_id, alert in self._alerts.items()
        ]
        return Notification(
            id=str(delivery_id),
            channel_id=channel_id,
            group=self._group,
            alerts=tuple(alerts),
            unnotified=frozenset(
                position
                for position, (alert, alert_id) in enumerate(zip(alerts, self._alerts, strict=True))
                if not alert.firing and self._fired_first(alert_id, resolutions.get(alert_id))
            ),
            history_url=history_url,
            fallback_for=fallback_for,
            source=source,
            key_source=key,
        )

    def _fired_first(self, alert_id: int, resolution: Resolution | None) -> bool:
        """Whether the alert's first firing is in these notifications, and so was not sent before them."""
        if alert_id not in self._fired or resolution is None:
            return False
        return resolution.first_received_at >= self._since


def current_alert(alert: Alert, resolution: Resolution | None) -> Alert:
    """The alert, resolved if it was reported as firing and was resolved later."""
    if not alert.firing or resolution is None:
        return alert
    return msgspec.structs.replace(alert, status=Status.RESOLVED, ends_at=resolution.ends_at)


def with_key_source(alert: Alert, key: str) -> Alert:
    """The alert with the source that enters its keys."""
    return msgspec.structs.replace(alert, key_source=key) if key else alert


def matched_alert_ids(notifications: Sequence[MergedNotification]) -> list[int]:
    """The ids of all alerts of several notifications, each once."""
    return sorted({alert_id for notification in notifications for alert_id in notification.matched_alert_ids})
