"""The peers of a pair, of which each leaves out what the other one has sent."""

import pytest

from tests.receive.histories import History, firing, resolved


@pytest.fixture
def history() -> History:
    return History()


def test_a_second_equal_resolve_closes_what_the_peer_reported_in_between(history: History) -> None:
    history.send("10:00:00", firing(starts="10:00"))
    history.send("10:00:20", resolved(ends="10:00:20"))
    history.send("10:00:40", firing(starts="10:00:40"), sender="B")

    assert history.send("10:01:00", resolved(starts="10:00:40", ends="10:01")) == "new"

    assert history.periods == ["10:00-10:00:20", "10:00:40-10:01"]


def test_a_firing_that_opens_an_occurrence_is_no_duplicate_of_an_older_one(history: History) -> None:
    history.send("10:00:00", firing(starts="10:00"))
    history.send("10:00:20", resolved(ends="10:00:20"), sender="C")

    assert history.send("10:00:40", firing(starts="10:00:30"), sender="B") == "new"

    assert history.periods == ["10:00-10:00:20", "10:00:30-"]


def test_a_firing_is_no_duplicate_of_a_late_one(history: History) -> None:
    history.send("10:00:00", firing(starts="10:00"))
    history.send("10:00:20", resolved(ends="10:00:20"))
    history.send("10:00:30", firing(starts="10:00"), sender="B")

    assert history.send("10:00:40", firing(starts="10:00:35")) == "new"

    assert history.periods == ["10:00-10:00:20", "10:00:35-"]


def test_a_peer_that_reopens_an_alert_after_the_window_closes_it_with_the_older_end(history: History) -> None:
    history.send("10:00:00", firing(), firing("b"))
    history.send("10:00:10", firing(), firing("b"), sender="B")
    history.send("10:10:00", resolved(ends="10:09:50"), firing("b"))
    history.send("10:11:10", firing(), firing("b"), firing("c"), sender="B")

    assert history.send("10:11:40", resolved(ends="10:09:50"), firing("b"), firing("c"), sender="B") == "new"

    assert history.delivered() == [None]
    assert "10:09:50-" not in history.periods


def test_a_late_resolve_of_a_sender_that_fired_again_closes_nothing(history: History) -> None:
    history.send("10:00", firing())
    history.send("10:10", resolved(ends="10:09:50"))
    history.send("10:12", firing())

    assert history.send("10:14", resolved(ends="10:09:50")) == "nothing"
    assert history.send("10:15", resolved(ends="10:09:50"), sender="B") == "nothing"

    assert history.periods == ["10:00-10:09:50", "10:09:50-"]


def test_a_resolve_that_ends_with_an_older_occurrence_belongs_to_that_one(history: History) -> None:
    history.send("10:00", firing())
    history.send("10:10", resolved(ends="10:10"))
    history.send("10:12", firing(starts="10:05"))
    history.send("10:20", resolved(ends="10:20"))

    assert history.send("10:30", resolved(starts="10:10", ends="10:10"), sender="B") == "nothing"

    assert history.periods == ["10:00-10:10", "10:10-10:20"]
    assert history.batches[-1].rows.receipts[0].alert_ids == (history.occurrences[0].id,)


def test_the_end_of_a_short_occurrence_that_nobody_reported_firing_is_no_duplicate(history: History) -> None:
    history.send("10:00:00", firing(starts="10:00"))
    history.send("10:10:00", resolved(ends="10:09:55"))

    assert history.send("10:10:50", resolved(starts="10:10:05", ends="10:10:40"), sender="B") == "new"
    assert history.send("10:10:55", firing(starts="10:10:05")) == "nothing"

    assert history.periods == ["10:00-10:09:55", "10:10:05-10:10:40"]


def test_a_stored_end_does_not_keep_an_older_one_from_closing(history: History) -> None:
    history.send("10:01:00", resolved(starts="10:00", ends="10:00:30"), group="g2")
    history.send("10:02:00", firing(starts="10:01:30"), group="g2")
    history.send("10:02:30", resolved(starts="10:01:00", ends="10:01:20"), group="g1")
    history.send("10:03:00", firing(starts="10:01:10"), group="g2")

    assert history.send("10:04:00", resolved(starts="10:01:05", ends="10:01:15"), group="g2") == "new"

    assert all(not occurrence.is_open for occurrence in history.occurrences)


def test_a_late_firing_of_one_group_opens_nothing_after_the_resolve_of_another_group(history: History) -> None:
    for group in ("g1", "g2"):
        history.send("10:00:00", firing(), group=group)
        history.send("10:00:05", firing(), group=group, sender="B")
    history.send("10:10:00", resolved(ends="10:09:55"), group="g1")
    history.send("10:10:05", resolved(ends="10:09:55"), group="g2", sender="B")

    assert history.send("10:10:15", firing(), firing("b"), group="g1", sender="B") == "new"

    assert history.delivered() == [(1,)]
    assert "10:00-10:09:55" in history.periods
