"""Messages to a channel: a notification of one group, or a digest of many groups."""

from collections.abc import Iterable
from typing import Final

import msgspec

from relay.domain.alerts import Alert, Group, Status, status_of
from relay.domain.message_settings import Change
from relay.domain.severities import SEVERITY_ORDER, severity_rank


class FallbackFor(msgspec.Struct, frozen=True, kw_only=True):
    """The channel that this message was originally for, and why it could not be delivered there."""

    channel_id: str
    reason: str


class Rendered(msgspec.Struct, frozen=True, kw_only=True):
    """The result of a message template, in the platform's markup, with all values escaped.

    `title` replaces the headline, `body` precedes the alerts, and `alerts` has the text of each alert by position.
    The built-in text is used for an empty title, a body that is None, and an alert without text.
    """

    title: str = ""
    body: str | None = None
    alerts: tuple[str, ...] = ()

    def alert(self, position: int) -> str:
        """Return the text of one alert, or an empty string."""
        return self.alerts[position] if self.alerts else ""


class Announcement(msgspec.Struct, frozen=True, kw_only=True):
    """What an edit changes in a message, for a post that is heard; `alerts` are those that it concerns."""

    change: Change
    alerts: tuple[Alert, ...]


class Notification(msgspec.Struct, frozen=True, kw_only=True):
    """The alerts of a group that matched a channel; never empty.

    `id` is the delivery's id, the same on every attempt. If several notifications of the group were pending, they
    are merged: each alert occurs once, in its last reported state.

    `unnotified` holds the positions of resolved alerts whose firing was not sent before; the message reports both.
    `history_url` links to all of its alerts, and is empty if there is no such page.

    On a platform that edits a group's message, `message_refs` are the platform's references to the messages sent
    so far ("" for a part that can't be edited), and `alerts` has the full content of the edited message: the
    alerts of this delivery, then those of earlier deliveries. `omitted` counts old alerts that are no longer
    included. `announcement` is what people should hear of the edit, None if it may be silent.

    `source` is where the group came from. `key_source` is the source that enters the platform's keys: it is empty
    while the group keeps messages that it had without a source.

    `rendered` is the result of the channel's message template. `body`, here and in a digest, is the result of a
    template for the whole body, if the channel has one.
    """

    id: str
    channel_id: str
    group: Group
    alerts: tuple[Alert, ...]
    unnotified: frozenset[int] = frozenset()
    history_url: str = ""
    fallback_for: FallbackFor | None = None
    rendered: Rendered | None = None
    body: str | None = None
    message_refs: tuple[str, ...] = ()
    omitted: int = 0
    announcement: Announcement | None = None
    source: str = ""
    key_source: str = ""

    @property
    def firing(self) -> tuple[Alert, ...]:
        """The alerts that are firing."""
        return tuple(alert for alert in self.alerts if alert.firing)

    @property
    def resolved(self) -> tuple[Alert, ...]:
        """The alerts that are resolved."""
        return tuple(alert for alert in self.alerts if not alert.firing)

    @property
    def status(self) -> Status:
        """FIRING if any of its alerts is firing."""
        return status_of(self.alerts)


class AlertCount(msgspec.Struct, frozen=True, kw_only=True):
    """The number of alerts of one severity and name in a digest."""

    severity: str
    alertname: str
    firing: int
    resolved: int


class Digest(msgspec.Struct, frozen=True, kw_only=True):
    """Many groups in one message, because more were pending than the channel's rate limit allows.

    `counts` has every severity and name, most severe first, and within a severity the most frequent name first.
    `alerts` is a selection: firing before resolved, then most severe first, then newest first. `history_url` links
    to all alerts.

    Message templates do not apply to digests, because a digest belongs to no single group.
    """

    id: str
    channel_id: str
    groups: int
    counts: tuple[AlertCount, ...]
    alerts: tuple[Alert, ...]
    history_url: str
    unnotified: frozenset[int] = frozenset()
    """Positions of resolved alerts whose firing was not sent before."""
    fallback_for: FallbackFor | None = None
    body: str | None = None

    @property
    def total(self) -> int:
        """The number of alerts."""
        return self.firing + self.resolved

    @property
    def firing(self) -> int:
        """The number of firing alerts."""
        return sum(count.firing for count in self.counts)

    @property
    def resolved(self) -> int:
        """The number of resolved alerts."""
        return sum(count.resolved for count in self.counts)

    @property
    def status(self) -> Status:
        """FIRING if any of its alerts is firing."""
        return Status.FIRING if self.firing else Status.RESOLVED


Message = Notification | Digest

LOWEST_RANK: Final = 100
"""The rank of refreshes, below that of any notification."""


def rank_of(alerts: Iterable[Alert]) -> int:
    """Return the queue rank of a message: that of its most severe firing alert; only resolved alerts come last."""
    ranks = [severity_rank(alert.severity) for alert in alerts if alert.status is Status.FIRING]
    return min(ranks, default=len(SEVERITY_ORDER) + 1)
