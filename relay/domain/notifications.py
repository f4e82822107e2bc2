"""What is one channel told of one group?"""

import msgspec

from relay.domain.alerts import Alert, Group, Status, status_of


class Notification(msgspec.Struct, frozen=True, kw_only=True):
    """The alerts of a group that matched a channel, in the group's order; never empty.

    `id` names the delivery, and is the same on every attempt.
    """

    id: str
    channel_id: str
    group: Group
    alerts: tuple[Alert, ...]

    @property
    def firing(self) -> tuple[Alert, ...]:
        """The alerts that fire."""
        return tuple(alert for alert in self.alerts if alert.firing)

    @property
    def resolved(self) -> tuple[Alert, ...]:
        """The alerts that are resolved."""
        return tuple(alert for alert in self.alerts if not alert.firing)

    @property
    def status(self) -> Status:
        """Firing while one of its alerts is."""
        return status_of(self.alerts)
