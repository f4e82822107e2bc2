"""The rules of series and occurrences, one by one, on plain data: half of the model.

A comment that starts with "Choice" marks a decision that the rules do not state.
"""

from dataclasses import dataclass, field

from tests.model.webhooks import Report, Sender

Group = tuple[str, str]
"""Source and group key."""


@dataclass(frozen=True)
class Arrival:
    """What all reports of a webhook have in common. `group` names the source and the group."""

    at: float
    sender: Sender
    group: Group


@dataclass(eq=False)
class Occurrence:
    """A period during which a series fires. It is open while `end` is None."""

    id: int
    start: float
    last_report: float
    end: float | None = None
    end_reason: str | None = None
    closed_at: float | None = None
    closed_by: Sender | None = None
    resolved_by: set[tuple[Sender, Group]] = field(default_factory=set)
    """The senders that reported it as resolved, and in which groups."""
    resolved_in: set[Group] = field(default_factory=set)
    """The groups whose webhooks reported it as resolved, without duplicates."""

    def close(self, end: float, reason: str, arrival: Arrival) -> None:
        """End it."""
        self.end, self.end_reason = end, reason
        self.closed_at, self.closed_by = arrival.at, arrival.sender


@dataclass(frozen=True)
class LastReport:
    """The last report of a sender in a group, its arrival, and the occurrence that it belongs to."""

    report: Report
    at: float
    occurrence: Occurrence


@dataclass(frozen=True)
class Placed:
    """The occurrence that a report belongs to."""

    occurrence: Occurrence
    delivered: bool
    late: bool = False


class Series:
    """One series with its occurrences."""

    def __init__(self, window: float) -> None:
        """Start without occurrences."""
        self.window = window
        self.occurrences: list[Occurrence] = []
        self.last_reports: dict[tuple[Sender, Group], LastReport] = {}
        """The last report of each sender in each group, the most recent last."""

    @property
    def open(self) -> Occurrence | None:
        """The open occurrence."""
        return next((one for one in self.occurrences if one.end is None), None)

    @property
    def closed(self) -> list[tuple[float, Occurrence]]:
        """The closed occurrences with their ends, oldest first."""
        found = [(one.end, one) for one in self.occurrences if one.end is not None]
        return sorted(found, key=lambda one: (one[0], one[1].start, one[1].id))

    def place(self, arrival: Arrival, report: Report, new_id: int) -> Placed:
        """Apply a report that is not a duplicate."""
        if not report.firing:
            placed = self._resolved(arrival, report, new_id)
        elif (late := self.late(arrival, report)) is not None:
            placed = Placed(late, delivered=False, late=True)
        else:
            placed = Placed(self._fires(arrival, report, new_id), delivered=True)
        self._record(arrival, report, placed.occurrence)
        return placed

    def _fires(self, arrival: Arrival, report: Report, new_id: int) -> Occurrence:
        """A firing report belongs to the open occurrence, whose start becomes the earliest, or opens one."""
        found = self.open
        if found is not None and self._lost_resolve(arrival, report, found):
            # The open occurrence is closed at its last report.
            # Choice: but not after the new start, so that the new occurrence does not begin too late, and not
            # before its own start, which adoption may have moved past its last report.
            found.close(max(found.start, min(found.last_report, report.starts_at)), "lost", arrival)
            found = None
        if found is None:
            start = self._not_before_last_end(report.starts_at)
            found = Occurrence(new_id, start, arrival.at)
            self.occurrences.append(found)
        self._extend(found, report)
        return found

    def _resolved(self, arrival: Arrival, report: Report, new_id: int) -> Placed:
        """A resolved report closes the open occurrence, else belongs to a closed one, else is stored closed."""
        assert report.ends_at is not None
        found = self.closed_by(arrival, report)
        if found is not None:
            found.close(max(found.start, report.ends_at), "resolved", arrival)
            delivered = True
        else:
            found = self._ended_before(arrival, report)
            if found is None:
                start = min(report.starts_at, report.ends_at)
                found = Occurrence(new_id, start, arrival.at)
                found.close(report.ends_at, "resolved", arrival)
                self.occurrences.append(found)
            # Delivered only if no report of its group resolved that occurrence before and no newer one is open.
            delivered = arrival.group not in found.resolved_in and self.open is None
        found.resolved_by.add((arrival.sender, arrival.group))
        found.resolved_in.add(arrival.group)
        return Placed(found, delivered)

    def late(self, arrival: Arrival, report: Report) -> Occurrence | None:
        """Rule 3 of senders: the occurrence for which a firing report is late, or None.

        Another sender closed it within the window, startsAt is not after its end, and this sender has not
        reported it as resolved. Choice: not in this group. Choice: this also holds while a newer occurrence is
        open, unless that had begun at startsAt or this sender has reported it.
        """
        if not self.closed:
            return None
        end, closed = self.closed[-1]
        open_, own = self.open, self._reports_of(arrival.sender)
        if open_ is not None and (open_.start <= report.starts_at or any(one.occurrence is open_ for one in own)):
            return None
        by_another = self._closed_by_another(closed, arrival)
        own_resolve = (arrival.sender, arrival.group) in closed.resolved_by
        return closed if by_another and report.starts_at <= end and not own_resolve else None

    def _lost_resolve(self, arrival: Arrival, report: Report, open_: Occurrence) -> bool:
        """A startsAt newer than in the sender's previous report, and later than its arrival: a resolve was lost.

        Choice: the previous report was firing, and the open occurrence had begun when it arrived; otherwise the
        open occurrence is already the new one, reported by another sender.
        """
        reports = self._reports_of(arrival.sender)
        if not reports or not reports[-1].report.firing:
            return False
        previous, arrived = reports[-1].report, reports[-1].at
        return report.starts_at > previous.starts_at and report.starts_at > arrived and open_.start <= arrived

    def changed_by(self, arrival: Arrival, report: Report) -> bool:
        """Whether a report would open or close an occurrence, or is the first in its group of the end of one.

        Choice: also if nobody has reported that occurrence as firing, unless startsAt is its end.
        """
        if not report.firing:
            assert report.ends_at is not None
            if self.open is not None:
                return self.closed_by(arrival, report) is not None
            ended = self._ended_before(arrival, report)
            if ended is None:
                return report.starts_at < report.ends_at
            return arrival.group not in ended.resolved_in
        return self.late(arrival, report) is None and self.open is None

    def closed_by(self, arrival: Arrival, report: Report) -> Occurrence | None:
        """The open occurrence, if it began at or before endsAt, and endsAt is after the end of the one before."""
        assert report.ends_at is not None
        found = self.open
        if found is None:
            return None
        if not self.closed or report.ends_at > self.closed[-1][0]:
            return found if found.start <= report.ends_at else None
        return found if self._reopened(arrival, report, found) else None

    def _reopened(self, arrival: Arrival, report: Report, open_: Occurrence) -> bool:
        """Choice: whether a resolved report of the occurrence before closes the open one all the same.

        A peer that lags behind the window reopens an alert that others resolved, and later reports the same
        resolve. It closes what it opened if no other sender's last report says that it fires, and if it did not
        report that resolve in this group before. Otherwise the alert is left firing.
        """
        assert report.ends_at is not None
        before = self.closed[-1][1]
        firing = {
            (sender, group): last.report
            for (sender, group), last in self.last_reports.items()
            if last.occurrence is open_ and last.report.firing
        }
        alone = {sender for sender, _ in firing} == {arrival.sender}
        lagging = any(
            by not in before.resolved_by and known.starts_at <= report.ends_at for by, known in firing.items()
        )
        return alone and lagging and (arrival.sender, arrival.group) not in before.resolved_by

    def _ended_before(self, arrival: Arrival, report: Report) -> Occurrence | None:
        """The closed occurrence that a resolved report overlaps.

        Choice: of several, the oldest that ends at or after endsAt, else the newest. Grafana's startsAt = endsAt
        may be later than the end that a peer reported: such a report is of the occurrence that its sender last
        reported as firing.
        """
        assert report.ends_at is not None
        start = min(report.starts_at, report.ends_at)
        overlapping = [(end, one) for end, one in self.closed if start <= end and one.start <= report.ends_at]
        reaching = [one for end, one in overlapping if end >= report.ends_at]
        if overlapping:
            return reaching[0] if reaching else overlapping[-1][1]
        reports = self._reports_of(arrival.sender)
        if not reports or not reports[-1].report.firing or report.starts_at < report.ends_at:
            return None
        fired = reports[-1].occurrence
        ended = fired in self.occurrences and fired.end is not None and fired.end <= report.ends_at
        return fired if ended else None

    def _closed_by_another(self, occurrence: Occurrence, arrival: Arrival) -> bool:
        """Whether another sender closed an occurrence within the window."""
        if occurrence.closed_at is None or occurrence.closed_by in (None, arrival.sender):
            return False
        return arrival.at - occurrence.closed_at < self.window

    def mention(self, arrival: Arrival, report: Report) -> None:
        """Choice: a duplicate counts as a report of its occurrence, and opens, closes and delivers nothing."""
        newest = self.closed[-1][1] if self.closed else None
        if report.firing:
            found = self.late(arrival, report)
            if found is None and (found := self.open) is not None:
                self._extend(found, report)
            found = found or newest
        else:
            found = self._ended_before(arrival, report)
            if found is not None:
                found.resolved_by.add((arrival.sender, arrival.group))
        if found is not None:
            self._record(arrival, report, found)

    def adopts(self, without_source: "Series", external_url: str) -> bool:
        """Whether the open occurrence of the empty source was reported with the same externalURL."""
        found = without_source.open
        return found is not None and any(
            last.occurrence is found and last.report.firing and sender.external_url == external_url
            for (sender, _), last in without_source.last_reports.items()
        )

    def adopt(self, without_source: "Series", arrival: Arrival) -> None:
        """Take over the open occurrence of the empty source.

        Choice: if one is open here, the other is superseded by it.
        """
        found = without_source.open
        assert found is not None
        if self.open is not None:
            found.close(max(found.start, found.last_report), "superseded", arrival)
            found.closed_by = None
            return
        without_source.occurrences.remove(found)
        found.start = self._not_before_last_end(found.start)
        self.occurrences.append(found)
        merged = {**self.last_reports, **without_source.last_reports}
        self.last_reports = dict(sorted(merged.items(), key=lambda item: item[1].at))

    def _record(self, arrival: Arrival, report: Report, occurrence: Occurrence) -> None:
        """Choice: the late resolve of an older occurrence is not the last report of its sender."""
        occurrence.last_report = arrival.at
        own = self.last_reports.get((arrival.sender, arrival.group))
        if own is not None and not report.firing and own.occurrence in self._newer_than(occurrence):
            return
        self.last_reports.pop((arrival.sender, arrival.group), None)
        self.last_reports[arrival.sender, arrival.group] = LastReport(report, arrival.at, occurrence)

    def _newer_than(self, occurrence: Occurrence) -> list[Occurrence]:
        in_order = [one for _, one in self.closed] + [one for one in self.occurrences if one.end is None]
        return in_order[in_order.index(occurrence) + 1 :]

    def _reports_of(self, sender: Sender) -> list["LastReport"]:
        """The last report of a sender in each group, the most recent last."""
        return [last for (one, _), last in self.last_reports.items() if one == sender]

    def _not_before_last_end(self, start: float) -> float:
        """An occurrence begins no earlier than the end of the one before it."""
        return max(start, self.closed[-1][0]) if self.closed else start

    def _extend(self, open_: Occurrence, report: Report) -> None:
        open_.start = min(open_.start, self._not_before_last_end(report.starts_at))
