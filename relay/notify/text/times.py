"""The times of an alert as text, and who acknowledged it until when."""

from datetime import datetime
from typing import Final

from relay.domain.alerts import Alert
from relay.notify.text.plain_text import cut, format_duration, one_line

MAX_NAME: Final = 60
MAX_COMMENT: Final = 120
"""Characters of who acknowledged an alert, and of the comment, that a message shows."""


def times_line(alert: Alert) -> str:
    """The start and the end of an alert, and until when it was suppressed."""
    line = _times(alert)
    if (was := alert.was_suppressed) is None:
        return line
    how = "acknowledged" if was.acknowledged else "silenced"
    return f"{line}; was {how} until {_format_time(was.until)} UTC"


def _times(alert: Alert) -> str:
    start = _format_time(alert.starts_at)
    since = f"since {start} UTC" if alert.has_start else "since an unknown time"
    if alert.unreported_since is not None:
        return f"{since}; not reported since {_format_time(alert.unreported_since)} UTC"
    if alert.firing:
        return since
    if alert.ends_at is None:
        return f"started {start} UTC" if alert.has_start else "at an unknown time"
    end = _format_time(alert.ends_at)
    # Grafana reports the end of an alert as its start, too.
    if not alert.has_start or (alert.grafana is not None and alert.starts_at >= alert.ends_at):
        return f"until {end} UTC"
    if alert.ends_at.date() == alert.starts_at.date():
        end = end.partition(" ")[2]
    return f"{start} to {end} UTC ({format_duration((alert.ends_at - alert.starts_at).total_seconds())})"


def acknowledged_line(alert: Alert) -> str:
    """Who acknowledged an alert that fires, as one line; empty if nobody did."""
    acknowledgement = alert.acknowledgement
    if acknowledgement is None or not alert.firing:
        return ""
    name, comment = one_line(acknowledgement.by_name), one_line(acknowledgement.comment)
    until = "" if acknowledgement.until is None else f" until {_format_time(acknowledgement.until)} UTC"
    return f"acknowledged by {cut(name, MAX_NAME)}{until}" + (f" ({cut(comment, MAX_COMMENT)})" if comment else "")


def _format_time(time: datetime) -> str:
    return time.replace(tzinfo=None).isoformat(" ", "seconds")
