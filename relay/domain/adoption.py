"""Adoption: a source takes over what is open without a source, so that adding `?source=` leaves nothing firing.

Pure, as `relay.domain.occurrences`.
"""

from datetime import datetime

import msgspec

from relay.domain.occurrences import close, not_before_last_end
from relay.domain.series import MAX_REPORTS, EndReason, Series


def adopts(without_source: Series, url: int) -> bool:
    """Whether a source adopts the open occurrence of the empty source: only if externalURL is the same.

    Other Alertmanagers may still report it without a source. Reports that were received before this was recorded
    have no externalURL, and match any.
    """
    opened = without_source.open
    if opened is None:
        return False
    reports = [report for report in without_source.reports if report.alert_id == opened.id and report.firing]
    return not reports or any(report.url == url for report in reports)


def adopt(series: Series, without_source: Series, url: int, received_at: datetime) -> bool:
    """Move the open occurrence of the empty source to the series of a source; return whether one was moved."""
    opened = without_source.open
    if opened is None or not adopts(without_source, url):
        return False
    if series.open is not None:
        close(opened, max(opened.starts_at, opened.last_received_at), EndReason.SUPERSEDED, received_at)
        return False
    without_source.occurrences.remove(opened)
    opened.series_id, opened.source, opened.adopted = series.id, series.source, True
    opened.starts_at = not_before_last_end(series, opened.starts_at)
    series.occurrences.append(opened)
    # In this series their senders have not reported an earlier occurrence as resolved.
    moved = [msgspec.structs.replace(old, reopened=old.alert_id == opened.id) for old in without_source.reports]
    reports = sorted((*moved, *series.reports), key=lambda known: known.received_at, reverse=True)
    series.reports = tuple(reports[:MAX_REPORTS])
    return True
