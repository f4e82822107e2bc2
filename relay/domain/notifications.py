"""What is one channel told: a notification of one group, or a digest of many?"""

from collections.abc import Iterable
from typing import Final

import msgspec

from relay.domain.alerts import SEVERITY_ORDER, Alert, Group, Status, severity_rank, status_of


class FallbackFor(msgspec.Struct, frozen=True, kw_only=True):
    """Why a channel is told what was meant for another one."""

    channel_id: str
    reason: str


class Rendered(msgspec.Struct, frozen=True, kw_only=True):
    """What a template made of a message, in the platform's own markup, with all values in it escaped.

    `title` stands for the headline, `body` before the alerts, and `alerts` has the text of each by its position.
    An empty title, a body that is None, no alerts or an empty one: these are told in the relay's own words.
    """

    title: str = ""
    body: str | None = None
    alerts: tuple[str, ...] = ()

    def alert(self, position: int) -> str:
        """The text of one alert, or nothing."""
        return self.alerts[position] if self.alerts else ""


class Notification(msgspec.Struct, frozen=True, kw_only=True):
    """The alerts of a group that matched a channel; never empty.

    `id` names the delivery, and is the same on every attempt. When several notifications of the group waited,
    this is all of them in one: each alert once, as it was reported last.

    `untold` holds the positions of resolved alerts whose firing was not told before, so that this message
    tells both. `history_url` leads to all of its alerts; empty where there is nothing to lead to.

    Where the platform's message of a group is edited, `posted` are the platform's references of what it is told
    in so far ("" for a part that can't be edited), and `alerts` has all that is told in it: what this delivery
    tells, then what the ones before told. `let_go` counts those of long ago that are told no more.

    `rendered` is what the channel's message template made of it, and `body`, here and in a digest, what a template
    of the whole body did, where the channel has one.
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


class AlertCount(msgspec.Struct, frozen=True, kw_only=True):
    """How many alerts of one severity and name a digest tells of."""

    severity: str
    alertname: str
    firing: int
    resolved: int


class Digest(msgspec.Struct, frozen=True, kw_only=True):
    """Many groups in one message, because more waited than the channel's limit lets through.

    `counts` has every severity and name, worst severity first, the most frequent name first within one.
    `alerts` are the worst and newest ones: firing before resolved, then by severity, then newest first; they
    are as many as a message may show, not all. `history_url` leads to all of them.

    It is the relay's own message, and not one of a group: no message template has a say in it.
    """

    id: str
    channel_id: str
    groups: int
    counts: tuple[AlertCount, ...]
    alerts: tuple[Alert, ...]
    history_url: str
    unnotified: frozenset[int] = frozenset()
    """Positions of resolved alerts whose firing was not told before."""
    fallback_for: FallbackFor | None = None
    body: str | None = None

    @property
    def total(self) -> int:
        """All the alerts that it tells of."""
        return self.firing + self.resolved

    @property
    def firing(self) -> int:
        """How many of them fire."""
        return sum(count.firing for count in self.counts)

    @property
    def resolved(self) -> int:
        """How many of them are resolved."""
        return sum(count.resolved for count in self.counts)

    @property
    def status(self) -> Status:
        """Firing while one of its alerts is."""
        return Status.FIRING if self.firing else Status.RESOLVED


Message = Notification | Digest

REFRESH: Final = 100
"""The rank of what only sets a message right that is edited, after a digest told what it says.

It is urgent to nobody: it is neither gathered into digests nor counted as waiting, and goes to no fallback.
"""


def rank_of(alerts: Iterable[Alert]) -> int:
    """The place of a message in a queue: by its worst firing alert; what is only resolved comes last."""
    return min(
        (severity_rank(alert.severity) for alert in alerts if alert.firing), default=len(SEVERITY_ORDER) + 1
    )
