"""Alerts for tests of routing."""

from datetime import UTC, datetime

from relay.domain.alerts import Alert, Status, fingerprint


def alert(labels: dict[str, str], status: Status = Status.FIRING) -> Alert:
    return Alert(
        status=status,
        labels=labels,
        annotations={},
        starts_at=datetime(2026, 11, 23, tzinfo=UTC),
        ends_at=None,
        generator_url="",
        fingerprint=fingerprint(labels),
    )
