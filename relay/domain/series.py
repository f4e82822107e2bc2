"""A series: one label set of one tenant and source, with the periods during which it fires."""

from datetime import datetime
from enum import StrEnum
from typing import Final

import msgspec

MAX_REPORTS: Final = 16
"""Last reports of a series that are kept, one for each sender and group."""


class EndReason(StrEnum):
    """Why an occurrence ended. Lost: no resolve was received. Superseded: another open occurrence replaced it."""

    RESOLVED = "resolved"
    LOST = "lost"
    SUPERSEDED = "superseded"


class Occurrence(msgspec.Struct, kw_only=True, gc=False):
    """A period during which a series fires; open until `end_reason` is set.

    `resolved_by` is the sender whose report ended it, and `resolved_groups` are the groups that reported the end.
    `receipt_id` is the last accepted webhook that reported it as firing.
    """

    id: int
    series_id: int
    source: str
    starts_at: datetime
    first_received_at: datetime
    last_received_at: datetime
    ends_at: datetime | None = None
    end_reason: EndReason | None = None
    resolved_received_at: datetime | None = None
    resolved_by: int | None = None
    resolved_groups: tuple[int, ...] = ()
    groups: tuple[int, ...] = ()
    receipt_id: int | None = None
    adopted: bool = False

    @property
    def is_open(self) -> bool:
        """Whether it has not ended."""
        return self.end_reason is None

    def add_group(self, group_hash: int) -> None:
        """Add a group that contains it."""
        if group_hash not in self.groups:
            self.groups = (*self.groups, group_hash)


class Report(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One alert in one webhook. `ends_at` is the time of receipt if a resolved alert has no endsAt.

    `receipt_id` is the webhook's receipt, None for a duplicate. `adopted`: the group keeps the keys and messages
    that it had without a source.
    """

    sender: int
    url: int
    group: int
    receipt_id: int | None
    received_at: datetime
    firing: bool
    starts_at: datetime
    ends_at: datetime
    adopted: bool = False


class SenderReport(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The last report of a sender on a series in one group, and the occurrence that it belongs to.

    `url` hashes externalURL. `reopened`: the sender reports the open occurrence as firing, and has not reported
    the one before as resolved.
    """

    sender: int
    group: int
    url: int
    firing: bool
    starts_at: datetime
    received_at: datetime
    alert_id: int
    reopened: bool = False


class Series(msgspec.Struct, kw_only=True, gc=False):
    """A series with its last occurrences, and the last reports of senders, the most recent first.

    `version` is that of the stored row, None if there is none.
    """

    id: int
    tenant_id: str
    source: str
    identity: bytes
    version: int | None = None
    occurrences: list[Occurrence] = msgspec.field(default_factory=list)
    reports: tuple[SenderReport, ...] = ()

    @property
    def open(self) -> Occurrence | None:
        """The open occurrence."""
        for occurrence in self.occurrences:
            if occurrence.end_reason is None:
                return occurrence
        return None

    @property
    def closed(self) -> list[tuple[datetime, Occurrence]]:
        """The closed occurrences with their ends, the last one first."""
        ended = [
            (occurrence.ends_at, occurrence)
            for occurrence in self.occurrences
            if occurrence.end_reason and occurrence.ends_at is not None
        ]
        return (
            ended
            if len(ended) < 2
            else sorted(ended, key=lambda end: (end[0], end[1].starts_at, end[1].id), reverse=True)
        )

    def report_of(self, sender: int, group: int | None = None) -> SenderReport | None:
        """The last report of a sender, in one group or in any."""
        for report in self.reports:
            if report.sender == sender and group in (None, report.group):
                return report
        return None
