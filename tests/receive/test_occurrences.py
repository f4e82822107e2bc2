"""Which occurrence a report opens, closes and belongs to."""

import pytest

from tests.receive.histories import History, firing, resolved


@pytest.fixture
def history() -> History:
    return History()


@pytest.mark.parametrize("starts", ["09:50", "10:00", "10:05", "10:10"])
def test_a_resolve_closes_the_open_occurrence_whatever_its_start(history: History, starts: str) -> None:
    history.send("10:00", firing(starts="10:00"))

    assert history.send("10:10", resolved(starts=starts, ends="10:10")) == "new"

    assert history.periods == ["10:00-10:10"]


def test_replicas_of_prometheus_share_an_occurrence_which_begins_with_the_earliest(history: History) -> None:
    history.send("10:01", firing(starts="10:00:05"))

    assert history.send("10:05", firing(starts="10:00:02")) == "new"

    assert history.periods == ["10:00:02-"]


def test_an_alert_that_fires_again_after_its_resolve_is_delivered_within_the_window(history: History) -> None:
    answers = [
        history.send("10:00:10", firing(starts="10:00")),
        history.send("10:00:20", resolved(starts="10:00", ends="10:00:15")),
        history.send("10:00:30", firing(starts="10:00")),
    ]

    assert answers == ["new", "new", "new"]
    assert history.periods == ["10:00-10:00:15", "10:00:15-"]


def test_one_fingerprint_with_other_labels_is_another_series(history: History) -> None:
    history.send("10:00", firing(fingerprint="f", instance="one"))

    assert history.send("10:00:10", firing(fingerprint="f", instance="two")) == "new"

    assert history.periods == ["10:00-", "10:00-"]


def test_the_labels_of_one_payload_with_other_fingerprints_are_other_series(history: History) -> None:
    # Grafana strips labels such as __alert_rule_uid__ from the payload.
    history.send("10:00", firing(fingerprint="f1"))

    assert history.send("10:00:10", firing(fingerprint="f2")) == "new"

    assert len(history.periods) == 2


def test_a_late_end_of_an_older_occurrence_closes_nothing_newer(history: History) -> None:
    history.send("10:00", firing(starts="10:00"))
    history.send("10:10", resolved(ends="10:10"))
    history.send("10:20", firing(starts="10:20"))

    assert history.send("10:25", resolved(ends="10:10"), sender="B") == "nothing"

    assert history.periods == ["10:00-10:10", "10:20-"]


def test_an_occurrence_begins_no_earlier_than_the_end_of_the_one_before(history: History) -> None:
    history.send("10:00", firing(starts="10:00"))
    history.send("10:10", resolved(ends="10:10"))
    history.send("10:12", firing(starts="10:00"))

    assert history.periods == ["10:00-10:10", "10:10-"]
    assert history.send("10:13", resolved(ends="10:10"), sender="B") == "nothing"
    assert history.periods == ["10:00-10:10", "10:10-"]


def test_a_resolve_of_another_group_is_delivered_once(history: History) -> None:
    history.send("10:00", firing())
    history.send("10:10", resolved())

    assert history.send("10:10:30", resolved(), group="h") == "new"
    assert history.send("10:15", resolved(), group="h") == "nothing"
    assert history.periods == ["10:00-10:10"]


def test_a_resolve_is_not_delivered_when_a_newer_occurrence_is_open(history: History) -> None:
    history.send("10:00", firing())
    history.send("10:10", resolved())
    history.send("10:20", firing(starts="10:20"))

    assert history.send("10:21", resolved(), group="h") == "nothing"


def test_a_resolve_that_overlaps_nothing_is_stored_closed_and_delivered(history: History) -> None:
    assert history.send("10:10", resolved(starts="10:00", ends="10:10")) == "new"

    assert history.periods == ["10:00-10:10"]


def test_a_resolve_of_a_time_before_the_open_occurrence_is_stored_closed(history: History) -> None:
    history.send("10:20", firing(starts="10:20"))

    assert history.send("10:21", resolved(starts="10:00", ends="10:10")) == "nothing"

    assert history.periods == ["10:00-10:10", "10:20-"]


def test_a_newer_start_after_the_last_report_proves_a_lost_resolve(history: History) -> None:
    history.send("10:01", firing(starts="10:00"))

    assert history.send("10:31", firing(starts="10:30")) == "new"

    assert history.periods == ["10:00-10:01 lost", "10:30-"]


def test_a_newer_start_before_the_last_report_is_the_same_occurrence(history: History) -> None:
    history.send("10:01", firing(starts="10:00"))

    history.send("10:31", firing(starts="10:00:30"))

    assert history.periods == ["10:00-"]


def test_the_newer_start_of_another_sender_proves_nothing(history: History) -> None:
    history.send("10:01", firing(starts="10:00"))

    history.send("10:31", firing(starts="10:30"), sender="B")

    assert history.periods == ["10:00-"]


def test_a_lagging_peer_does_not_close_the_occurrence_that_the_other_one_has_opened(history: History) -> None:
    history.send("10:00", firing(starts="10:00"))
    history.send("10:00:05", firing(starts="10:00"), sender="B")
    history.send("10:10", resolved(ends="10:10"), sender="B")
    history.send("10:20", firing(starts="10:20"), sender="B")

    history.send("10:21:30", firing(starts="10:20"))

    assert history.periods == ["10:00-10:10", "10:20-"]


def test_a_resolve_with_start_and_end_after_the_end_belongs_to_what_the_sender_reported(history: History) -> None:
    history.send("10:00", firing())
    history.send("10:00:05", firing(), sender="B")
    history.send("10:10", resolved(starts="10:10", ends="10:10"))

    # Grafana's peer reports its own end, with another alert of the group.
    own_end = resolved(starts="10:10:07", ends="10:10:07")
    assert history.send("10:10:30", own_end, resolved("b", ends="10:10:06"), sender="B") == "new"

    assert history.delivered() == [(1,)]
    assert history.periods == ["10:00-10:10", "10:00-10:10:06"]


def test_a_lost_resolve_that_arrives_later_is_not_delivered(history: History) -> None:
    history.send("10:01", firing(starts="10:00"))
    history.send("10:31", firing(starts="10:30"))

    assert history.send("10:32", resolved(starts="10:00", ends="10:05")) == "nothing"
    assert "10:30-" in history.periods


def test_an_alert_may_fire_end_and_fire_again_in_one_batch(history: History) -> None:
    from tests.receive.histories import incoming

    decisions = history.receive(
        incoming("10:00:10", firing(starts="10:00")),
        incoming("10:00:20", resolved(ends="10:00:15")),
        incoming("10:00:30", firing(starts="10:00")),
    )

    assert [decision.duplicate for decision in decisions] == [False] * 3
    assert history.periods == ["10:00-10:00:15", "10:00:15-"]
    rows = history.batches[-1].rows
    assert (len(rows.series), len(rows.alerts), len(rows.receipts), len(rows.deliveries)) == (1, 2, 3, 3)
