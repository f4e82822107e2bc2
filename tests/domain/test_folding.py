"""Tests of the folding of several notifications of one group into one."""

from datetime import UTC, datetime, timedelta

from relay.domain.alerts import Alert, Status
from relay.domain.folding import FoldedGroup, MergedNotification, Resolution, matched_alert_ids
from relay.domain.notifications import Notification
from tests.notify.factories import alert, notification

RECEIVED = datetime(2026, 11, 23, 16, tzinfo=UTC)
ENDED = RECEIVED + timedelta(minutes=5)
FIRING, RESOLVED, OTHER = alert("A"), alert("A", "resolved"), alert("B")


def merged(*alert_ids: int, positions: tuple[int, ...] | None = None, receipt_id: int = 1) -> MergedNotification:
    return MergedNotification(
        delivery_id=7, receipt_id=receipt_id, received_at=RECEIVED, positions=positions, alert_ids=alert_ids
    )


def fold(
    *parts: tuple[MergedNotification, tuple[Alert, ...]], resolutions: dict[int, Resolution] | None = None
) -> Notification:
    folded: FoldedGroup | None = None
    for part, alerts in parts:
        group = notification(*alerts).group
        folded = folded or FoldedGroup(group, part.received_at)
        folded.add(part, group)
    assert folded is not None
    return folded.notification(7, "ops", resolutions or {}, "", None)


def test_each_alert_appears_once_as_it_was_last_reported() -> None:
    folded = fold((merged(1, 2), (FIRING, OTHER)), (merged(1, receipt_id=2), (RESOLVED,)))

    assert folded.alerts == (RESOLVED, OTHER)


def test_only_matched_alerts_are_included() -> None:
    assert fold((merged(1, 2, positions=(1,)), (FIRING, OTHER))).alerts == (OTHER,)


def test_an_alert_resolved_since_its_report_is_resolved() -> None:
    folded = fold((merged(1), (FIRING,)), resolutions={1: Resolution(ENDED, RECEIVED)})

    [resolved] = folded.alerts
    assert (resolved.status, resolved.ends_at) == (Status.RESOLVED, ENDED)


def test_an_alert_whose_first_firing_is_folded_in_is_unnotified() -> None:
    first_received_here = {1: Resolution(ENDED, RECEIVED)}
    first_received_before = {1: Resolution(ENDED, RECEIVED - timedelta(hours=1))}

    assert fold((merged(1), (FIRING,)), resolutions=first_received_here).unnotified == {0}
    assert fold((merged(1), (FIRING,)), resolutions=first_received_before).unnotified == set()


def test_an_alert_reported_only_as_resolved_was_notified_before() -> None:
    assert fold((merged(1), (RESOLVED,)), resolutions={1: Resolution(ENDED, RECEIVED)}).unnotified == set()


def test_matched_alert_ids_are_collected_once() -> None:
    assert matched_alert_ids([merged(3, 1), merged(1, 2, 4, positions=(0, 2))]) == [1, 3, 4]
