"""Times and durations as texts."""

from datetime import datetime

from relay.domain.alerts import Alert


def times_line(alert: Alert) -> str:
    """The start and the end of an alert."""
    start = _format_time(alert.starts_at)
    if alert.unreported_since is not None:
        return f"since {start} UTC; not reported since {_format_time(alert.unreported_since)} UTC"
    if alert.ends_at is None:
        return f"since {start} UTC"
    end = _format_time(alert.ends_at)
    if alert.ends_at.date() == alert.starts_at.date():
        end = end.partition(" ")[2]
    return f"{start} to {end} UTC ({format_duration((alert.ends_at - alert.starts_at).total_seconds())})"


def _format_time(time: datetime) -> str:
    return time.replace(tzinfo=None).isoformat(" ", "seconds")


def format_duration(seconds: float) -> str:
    """A duration in its two largest units: `1h 30m`."""
    seconds = max(int(seconds), 0)
    numbers = (seconds // 86400, seconds // 3600 % 24, seconds // 60 % 60, seconds % 60)
    first = next((at for at, number in enumerate(numbers) if number), len(numbers) - 1)
    units = list(zip(numbers, "dhms", strict=True))[first : first + 2]
    return " ".join(f"{number}{unit}" for number, unit in units if number) or "0s"
