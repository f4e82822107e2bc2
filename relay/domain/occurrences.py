"""Which occurrence of its series a report belongs to, what it opens and closes, and whether it is delivered.

Pure: the stored state of the series and the clock come in; the functions change that state. An occurrence is a
period during which a series fires; at most one is open. A report is one alert in one webhook.
"""

from collections.abc import Callable
from datetime import datetime, timedelta

import msgspec

from relay.domain.series import MAX_REPORTS, EndReason, Occurrence, SenderReport, Series


class Report(msgspec.Struct, frozen=True, kw_only=True):
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


class Placement(msgspec.Struct, frozen=True):
    """The occurrence that a report belongs to, and whether the report is delivered.

    `late`: the report is a late firing of an occurrence that another sender has closed.
    """

    occurrence: Occurrence
    delivered: bool
    late: bool = False


def place(series: Series, report: Report, window: timedelta, new_id: Callable[[], int]) -> Placement:
    """Apply a report of a new webhook; `new_id` returns the ids of the occurrences that it opens."""
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
        occurrence = _ended_before(series, report) or series.open
    if occurrence is not None:
        _record(series, report, occurrence)
    return occurrence


def adopt(series: Series, without_source: Series, url: int, received_at: datetime) -> bool:
    """Move the open occurrence of the empty source to the series of a source; return whether one was moved.

    Only that of the same externalURL: other Alertmanagers may still report it without a source. Reports that were
    received before this was recorded have no externalURL, and match any.
    """
    opened = without_source.open
    if opened is None:
        return False
    reports = [report for report in without_source.reports if report.alert_id == opened.id and report.firing]
    if reports and all(report.url != url for report in reports):
        return False
    if series.open is not None:
        _close(opened, max(opened.starts_at, opened.last_received_at), EndReason.SUPERSEDED, received_at)
        return False
    without_source.occurrences.remove(opened)
    opened.series_id, opened.source, opened.adopted = series.id, series.source, True
    series.occurrences.append(opened)
    series.reports = without_source.reports[:MAX_REPORTS]
    return True


def _place_firing(series: Series, report: Report, window: timedelta, new_id: Callable[[], int]) -> Placement:
    # Late: another sender closed its occurrence within the window, and this sender lags behind.
    if (late_for := _late_for(series, report, window)) is not None:
        return Placement(late_for, delivered=False, late=True)
    opened = series.open
    # A lost resolve: the same sender reported the open occurrence before, and a startsAt that is newer than in
    # that report, and later than its arrival, can only be that of another occurrence.
    own = series.report_of(report.sender)
    if (
        opened is not None
        and own is not None
        and own.firing
        and own.alert_id == opened.id
        and report.starts_at > own.starts_at
        and report.starts_at > own.received_at
    ):
        end = max(opened.starts_at, min(opened.last_received_at, report.starts_at))
        _close(opened, end, EndReason.LOST, report.received_at)
        opened = None
    # A firing report belongs to the open occurrence, whose start becomes the earliest reported, or opens one.
    if opened is None:
        opened = _add(series, report, new_id(), _not_before_last_end(series, report.starts_at))
    else:
        _extend(series, opened, report)
    opened.receipt_id = report.receipt_id
    return Placement(opened, delivered=True)


def _place_resolved(series: Series, report: Report, _window: timedelta, new_id: Callable[[], int]) -> Placement:
    opened = series.open
    # A resolved report closes the open occurrence if that began at or before its endsAt, whatever its startsAt.
    if opened is not None and opened.starts_at <= report.ends_at and not _is_of_older(series, report):
        _close(opened, report.ends_at, EndReason.RESOLVED, report.received_at, report.sender)
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
    _close(stored, report.ends_at, EndReason.RESOLVED, report.received_at, report.sender)
    stored.resolved_groups = (report.group,)
    return Placement(stored, delivered=opened is None)


def _late_for(series: Series, report: Report, window: timedelta) -> Occurrence | None:
    """The occurrence that a firing report is late for, if another sender closed it within the window.

    Its startsAt is not after that end, and the sender has neither reported that occurrence as resolved itself nor
    reported the next one.
    """
    for end, occurrence in series.closed[:1]:
        own, opened = series.report_of(report.sender), series.open
        reported = own is not None and (
            (own.alert_id == occurrence.id and not own.firing)
            or (opened is not None and own.alert_id == opened.id)
        )
        if (
            not reported
            and report.starts_at <= end
            and occurrence.resolved_by not in (None, report.sender)
            and occurrence.resolved_received_at is not None
            and report.received_at - occurrence.resolved_received_at < window
        ):
            return occurrence
    return None


def _is_of_older(series: Series, report: Report) -> bool:
    """Whether a resolved report is of an older occurrence: its endsAt is not after the end of that one."""
    return any(report.ends_at <= end for end, _ in series.closed)


def _ended_before(series: Series, report: Report) -> Occurrence | None:
    """The closed occurrence that a resolved report is of: one that it overlaps.

    If it overlaps none, the one that the sender last reported as firing: Grafana reports startsAt = endsAt, which
    is later than the end that another sender reported.
    """
    start = min(report.starts_at, report.ends_at)
    for end, occurrence in series.closed:
        if occurrence.starts_at <= report.ends_at and start <= end:
            return occurrence
    own = series.report_of(report.sender)
    for _, occurrence in series.closed:
        if own is not None and own.alert_id == occurrence.id and occurrence.starts_at <= report.ends_at:
            return occurrence
    return None


def _not_before_last_end(series: Series, start: datetime) -> datetime:
    """An occurrence begins no earlier than the end of the one before it."""
    return max([start, *(end for end, _ in series.closed)])


def _extend(series: Series, opened: Occurrence, report: Report) -> None:
    opened.starts_at = min(opened.starts_at, _not_before_last_end(series, report.starts_at))


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


def _close(
    occurrence: Occurrence, end: datetime, reason: EndReason, received_at: datetime, by: int | None = None
) -> None:
    occurrence.ends_at, occurrence.end_reason = end, reason
    occurrence.resolved_received_at, occurrence.resolved_by = received_at, by


def _record(series: Series, report: Report, occurrence: Occurrence) -> None:
    """Make the report the last one of its sender and of its occurrence."""
    occurrence.last_received_at = max(occurrence.last_received_at, report.received_at)
    if report.group not in occurrence.groups:
        occurrence.groups = (*occurrence.groups, report.group)
    new = SenderReport(
        report.sender, report.url, report.firing, report.starts_at, report.received_at, occurrence.id
    )
    others = [one for one in series.reports if one.sender != report.sender]
    series.reports = (new, *others[: MAX_REPORTS - 1])
