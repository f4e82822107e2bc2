"""Which occurrence of its series a report belongs to, what it opens and closes, and whether it is delivered.

Pure: the stored state of the series and the clock come in; the functions change that state. An occurrence is a
period during which a series fires; at most one is open. A report is one alert in one webhook.
"""

from collections.abc import Callable
from datetime import datetime, timedelta

import msgspec

from relay.domain.series import MAX_REPORTS, EndReason, Occurrence, Report, SenderReport, Series


class Placement(msgspec.Struct, frozen=True, gc=False):
    """The occurrence that a report belongs to, and whether the report is delivered.

    `late`: the report is a late firing of an occurrence that another sender has closed.
    """

    occurrence: Occurrence
    delivered: bool
    late: bool = False


def place(series: Series, report: Report, window: timedelta, new_id: Callable[[], int]) -> Placement:
    """Apply a report of a new webhook; `new_id` returns the ids of the occurrences that it opens."""
    if not series.occurrences and not series.reports:
        return Placement(_first(series, report, new_id()), delivered=True)
    place_one = _place_firing if report.firing else _place_resolved
    placement = place_one(series, report, window, new_id)
    _record(series, report, placement.occurrence)
    return placement


def observe(series: Series, report: Report, window: timedelta) -> Occurrence | None:
    """Record a report of a duplicate webhook, which opens, closes and delivers nothing."""
    closed = series.closed
    if report.firing:
        occurrence = _late_for(series, report, window) or series.open or (closed[0][1] if closed else None)
        if occurrence is not None and occurrence.is_open:
            _extend(series, occurrence, report)
    else:
        occurrence = _ended_before(series, report)
    if occurrence is not None:
        _record(series, report, occurrence)
    return occurrence


def changes(series: Series, report: Report, window: timedelta) -> bool:
    """Whether a report would open or close an occurrence, or is the first in its group of the end of one.

    The end of an occurrence that nobody has reported as firing is one, too, unless startsAt is that end, as in
    Grafana's reports.
    """
    if report.firing:
        return series.open is None and _late_for(series, report, window) is None
    if series.open is not None:
        return _closes(series, report)
    ended = _ended_before(series, report)
    return report.starts_at < report.ends_at if ended is None else report.group not in ended.resolved_groups


def _first(series: Series, report: Report, alert_id: int) -> Occurrence:
    """The first occurrence of a series: most alerts are, and nothing has to be looked up for them."""
    start = report.starts_at if report.firing else min(report.starts_at, report.ends_at)
    occurrence = _add(series, report, alert_id, start)
    occurrence.groups = (report.group,)
    if report.firing:
        occurrence.receipt_id = report.receipt_id
    else:
        close(occurrence, report.ends_at, EndReason.RESOLVED, report.received_at, report.sender)
        occurrence.resolved_groups = (report.group,)
    series.reports = (_sender_report(report, occurrence, reopened=report.firing),)
    return occurrence


def _place_firing(series: Series, report: Report, window: timedelta, new_id: Callable[[], int]) -> Placement:
    # Late: another sender closed its occurrence within the window, and this sender lags behind.
    if (late_for := _late_for(series, report, window)) is not None:
        return Placement(late_for, delivered=False, late=True)
    opened = series.open
    # A lost resolve: a startsAt that is newer than in the sender's previous report, and later than its arrival, is
    # that of another occurrence, unless the open one began since, from a report of another sender.
    own = None if opened is None else series.report_of(report.sender)
    if (
        opened is not None
        and own is not None
        and own.firing
        and opened.starts_at <= own.received_at
        and report.starts_at > own.starts_at
        and report.starts_at > own.received_at
    ):
        end = max(opened.starts_at, min(opened.last_received_at, report.starts_at))
        close(opened, end, EndReason.LOST, report.received_at, report.sender)
        opened = None
    # A firing report belongs to the open occurrence, whose start becomes the earliest reported, or opens one.
    if opened is None:
        opened = _add(series, report, new_id(), not_before_last_end(series, report.starts_at))
    else:
        _extend(series, opened, report)
    opened.receipt_id = report.receipt_id
    return Placement(opened, delivered=True)


def _place_resolved(series: Series, report: Report, _window: timedelta, new_id: Callable[[], int]) -> Placement:
    opened = series.open
    if opened is not None and _closes(series, report):
        end = max(opened.starts_at, report.ends_at)
        close(opened, end, EndReason.RESOLVED, report.received_at, report.sender)
        opened.resolved_groups = (report.group,)
        return Placement(opened, delivered=True)
    # What closes nothing belongs to the closed occurrence that it overlaps. It is delivered only if no report of
    # its group resolved that one before and no newer one is open: the key of PagerDuty has no start, so that the
    # newer incident would be closed.
    if (occurrence := _ended_before(series, report)) is not None:
        first = report.group not in occurrence.resolved_groups
        if first:
            occurrence.resolved_groups = (*occurrence.resolved_groups, report.group)
        return Placement(occurrence, delivered=first and opened is None)
    # Otherwise it is stored closed.
    ends = [end for end, _ in series.closed if end <= report.ends_at]
    start = max([min(report.starts_at, report.ends_at), *ends])
    stored = _add(series, report, new_id(), start)
    close(stored, report.ends_at, EndReason.RESOLVED, report.received_at, report.sender)
    stored.resolved_groups = (report.group,)
    if opened is not None and stored is series.closed[0][1]:
        # It is the one before the open occurrence now, and nobody else has reported its end.
        series.reports = tuple(
            msgspec.structs.replace(known, reopened=known.firing and known.alert_id == opened.id)
            for known in series.reports
        )
    return Placement(stored, delivered=opened is None)


def _late_for(series: Series, report: Report, window: timedelta) -> Occurrence | None:
    """The occurrence that a firing report is late for, if another sender closed it within the window.

    Its startsAt is not after that end, and the sender has not reported that occurrence as resolved itself in this
    group; the webhooks of its groups may overtake each other. It is not late if it belongs to the open occurrence:
    that had begun at startsAt, or the sender has reported it.
    """
    if not series.occurrences:
        return None
    own = [known for known in series.reports if known.sender == report.sender]
    opened = series.open
    if opened is not None and (opened.starts_at <= report.starts_at or any(r.alert_id == opened.id for r in own)):
        return None
    for end, occurrence in series.closed[:1]:
        if (
            report.starts_at <= end
            and occurrence.resolved_by not in (None, report.sender)
            and occurrence.resolved_received_at is not None
            and report.received_at - occurrence.resolved_received_at < window
            and not any(
                known.alert_id == occurrence.id and known.group == report.group and not known.firing
                for known in own
            )
        ):
            return occurrence
    return None


def _closes(series: Series, report: Report) -> bool:
    """Whether a resolved report closes the open occurrence: if that began at or before its endsAt.

    Its startsAt does not matter. A report whose endsAt is not after the end of an older occurrence belongs to that
    one, with one exception: a peer that lags by more than the window reopens what others resolved, and then
    reports the same end. Nobody else reports that occurrence as firing, and nobody else will resolve it.
    """
    opened = series.open
    if opened is None:
        return False
    if all(end < report.ends_at for end, _ in series.closed):
        return opened.starts_at <= report.ends_at
    if _has_resolved(series.report_of(report.sender, report.group), series):
        return False
    firing = [known for known in series.reports if known.firing and known.alert_id == opened.id]
    own = [known for known in firing if known.sender == report.sender]
    reopened = any(known.reopened and known.starts_at <= report.ends_at for known in own)
    return reopened and len(own) == len(firing)


def _reopens(own: SenderReport | None, series: Series, report: Report, occurrence: Occurrence) -> bool:
    """Whether a sender that reports the open occurrence as firing has not reported the one before as resolved."""
    if not report.firing or not occurrence.is_open:
        return False
    if own is not None and own.alert_id == occurrence.id:
        return own.reopened
    return not _has_resolved(own, series)


def _has_resolved(own: SenderReport | None, series: Series) -> bool:
    """Whether a sender has reported the last closed occurrence as resolved, in the group of its last report."""
    if own is None:
        return False
    opened = series.open
    if opened is not None and own.alert_id == opened.id:
        return not own.reopened
    return not own.firing and any(own.alert_id == occurrence.id for _, occurrence in series.closed[:1])


def _ended_before(series: Series, report: Report) -> Occurrence | None:
    """The closed occurrence that a resolved report overlaps; of several, the oldest that has not ended at endsAt.

    Grafana reports startsAt = endsAt, which may be later than the end that another sender reported. Such a report
    is of the occurrence that its sender last reported as firing.
    """
    start = min(report.starts_at, report.ends_at)
    overlapping = [
        (end, occurrence)
        for end, occurrence in series.closed
        if occurrence.starts_at <= report.ends_at and start <= end
    ]
    if overlapping:
        reaching = [occurrence for end, occurrence in overlapping if end >= report.ends_at]
        return reaching[-1] if reaching else overlapping[0][1]
    own = series.report_of(report.sender)
    if own is None or not own.firing or report.starts_at < report.ends_at:
        return None
    return next((o for end, o in series.closed if own.alert_id == o.id and end <= report.ends_at), None)


def not_before_last_end(series: Series, start: datetime) -> datetime:
    """An occurrence begins no earlier than the end of the one before it."""
    return max([start, *(end for end, _ in series.closed)]) if series.occurrences else start


def _extend(series: Series, opened: Occurrence, report: Report) -> None:
    opened.starts_at = min(opened.starts_at, not_before_last_end(series, report.starts_at))


def _add(series: Series, report: Report, alert_id: int, starts_at: datetime) -> Occurrence:
    occurrence = Occurrence(
        id=alert_id,
        series_id=series.id,
        source=series.source,
        starts_at=starts_at,
        first_received_at=report.received_at,
        last_received_at=report.received_at,
        adopted=report.adopted,
    )
    series.occurrences.append(occurrence)
    return occurrence


def close(
    occurrence: Occurrence, end: datetime, reason: EndReason, received_at: datetime, by: int | None = None
) -> None:
    """End an occurrence; `by` is the sender whose report ended it."""
    occurrence.ends_at, occurrence.end_reason = end, reason
    occurrence.resolved_received_at, occurrence.resolved_by = received_at, by


def _is_newer(series: Series, alert_id: int, occurrence: Occurrence) -> bool:
    """Whether the occurrence with an id is newer than another one."""
    newest_first = [*([series.open] if series.open else []), *(closed for _, closed in series.closed)]
    return any(newer.id == alert_id for newer in newest_first[: newest_first.index(occurrence)])


def _record(series: Series, report: Report, occurrence: Occurrence) -> None:
    """Make the report the last one of its occurrence, and of its sender unless that reported a newer one."""
    occurrence.last_received_at = max(occurrence.last_received_at, report.received_at)
    occurrence.add_group(report.group)
    own = series.report_of(report.sender, report.group) if series.reports else None
    if own is not None and not report.firing and _is_newer(series, own.alert_id, occurrence):
        if occurrence is series.closed[0][1]:
            kept = msgspec.structs.replace(own, reopened=False)
            series.reports = tuple(kept if known is own else known for known in series.reports)
        return
    new = _sender_report(report, occurrence, reopened=_reopens(own, series, report, occurrence))
    others = [known for known in series.reports if known is not own]
    series.reports = (new, *others[: MAX_REPORTS - 1])


def _sender_report(report: Report, occurrence: Occurrence, *, reopened: bool) -> SenderReport:
    return SenderReport(
        report.sender,
        report.group,
        report.url,
        report.firing,
        report.starts_at,
        report.received_at,
        occurrence.id,
        reopened,
    )
