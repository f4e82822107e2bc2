"""Which webhooks are duplicates, which alerts are late, and which reports are new."""

import pytest

from tests.receive.histories import History, firing, incoming, resolved


@pytest.fixture
def history() -> History:
    return History()


def repeats(history: History) -> list[tuple[int, str, int]]:
    return [(row.receipt_id, row.kind, row.count) for row in history.batches[-1].rows.repeats]


def test_the_last_state_of_a_sender_is_a_duplicate_within_the_window(history: History) -> None:
    history.send("10:00:00", firing())

    assert history.send("10:00:59", firing()) == "duplicate"
    assert repeats(history) == [(history.batches[0].rows.receipts[0].id, "duplicate", 1)]


def test_the_last_state_of_a_sender_is_a_deliberate_repeat_after_the_window(history: History) -> None:
    history.send("10:00:00", firing())

    assert history.send("10:01:00", firing()) == "new"


def test_other_starts_make_no_other_state(history: History) -> None:
    history.send("10:00:30", firing(starts="10:00"))

    assert history.send("10:00:40", firing(starts="10:00:20")) == "duplicate"
    assert history.send("10:00:45", firing(starts="09:59:50")) == "duplicate"
    assert history.periods == ["09:59:50-"]


def test_a_start_after_the_last_report_makes_another_state(history: History) -> None:
    history.send("10:00:10", firing(starts="10:00"))

    assert history.send("10:00:40", firing(starts="10:00:30")) == "new"
    assert history.periods == ["10:00-10:00:10 lost", "10:00:30-"]


@pytest.mark.parametrize(
    "second",
    [
        incoming("10:00:30", resolved("a"), firing("b")),
        incoming("10:00:30", firing("a")),
        incoming("10:00:30", firing("a"), firing("b"), firing("c")),
        incoming("10:00:30", firing("a"), firing("b"), truncated=1),
        incoming("10:00:30", firing("a"), firing("b"), group="h"),
        incoming("10:00:30", firing("a"), firing("b"), source="eu"),
    ],
)
def test_another_state_of_a_group_is_new(history: History, second: object) -> None:
    history.send("10:00:00", firing("a"), firing("b"))

    assert [decision.duplicate for decision in history.receive(second)] == [False]  # type: ignore[arg-type]


def test_the_order_of_alerts_and_their_annotations_make_no_other_state(history: History) -> None:
    history.send("10:00:00", firing("a"), firing("b"))

    assert history.send("10:00:30", firing("b"), firing("a")) == "duplicate"


@pytest.mark.parametrize("sender", [{"sender": "B"}, {"url": "http://other"}])
def test_the_state_that_another_sender_had_accepted_is_a_duplicate(
    history: History, sender: dict[str, str]
) -> None:
    history.send("10:00:00", firing(starts="10:00"))

    assert history.send("10:00:59", firing(starts="09:59:57"), **sender) == "duplicate"
    assert repeats(history) == [(history.batches[0].rows.receipts[0].id, "duplicate", 1)]


def test_of_two_peers_that_both_repeat_one_is_delivered(history: History) -> None:
    answers = [
        history.send("10:00:00", firing()),
        history.send("10:00:15", firing(), sender="B"),
        history.send("14:00:00", firing()),
        history.send("14:00:15", firing(), sender="B"),
        history.send("18:00:10", firing(), sender="B"),
        history.send("18:00:15", firing()),
    ]

    assert answers == ["new", "duplicate"] * 3


def test_a_state_accepted_before_the_senders_previous_report_is_no_duplicate(history: History) -> None:
    history.send("10:00:00", firing())
    history.send("10:00:10", resolved(ends="10:00:05"), sender="B")

    # B saw the alert fire again after it had resolved it.
    assert history.send("10:00:20", firing(), sender="B") == "new"
    assert history.periods == ["10:00-10:00:05", "10:00:05-"]


def test_a_firing_is_late_if_another_sender_closed_its_occurrence(history: History) -> None:
    history.send("10:00:00", firing())
    history.send("10:00:30", resolved(ends="10:00:25"))

    assert history.send("10:00:40", firing(), sender="B") == "nothing"

    assert history.periods == ["10:00-10:00:25"]
    assert repeats(history) == [(history.batches[0].rows.receipts[0].id, "late", 1)]
    [receipt] = history.batches[-1].rows.receipts
    assert receipt.late == (0,)


def test_only_the_late_alerts_of_a_webhook_are_held_back(history: History) -> None:
    history.send("10:00:00", firing("a"))
    history.send("10:00:30", resolved("a", ends="10:00:25"))

    assert history.send("10:00:40", firing("a"), firing("b"), sender="B") == "new"
    assert history.delivered() == [(1,)]


def test_a_firing_that_began_after_the_end_is_not_late(history: History) -> None:
    history.send("10:00:00", firing())
    history.send("10:00:30", resolved(ends="10:00:25"))

    assert history.send("10:00:40", firing(starts="10:00:26"), sender="B") == "new"
    assert history.periods == ["10:00-10:00:25", "10:00:26-"]


def test_a_firing_after_the_window_is_not_late(history: History) -> None:
    history.send("10:00:00", firing())
    history.send("10:00:30", resolved(ends="10:00:25"))

    assert history.send("10:01:30", firing(), sender="B") == "new"


def test_a_sender_that_reported_the_end_itself_is_not_late(history: History) -> None:
    history.send("10:00:00", firing())
    history.send("10:00:30", resolved(ends="10:00:25"))
    assert history.send("10:00:35", resolved(ends="10:00:25"), sender="B") == "duplicate"

    assert history.send("10:00:40", firing(), sender="B") == "new"


def test_a_lagging_peer_repeats_an_older_occurrence_while_a_newer_one_is_open(history: History) -> None:
    history.send("10:00:00", firing(), firing("b"))
    history.send("10:00:10", resolved(ends="10:00:05"), firing("b"))
    history.send("10:00:20", firing(starts="10:00:15"), firing("b"))

    history.send("10:00:30", firing(), sender="B")
    history.send("10:00:40", resolved(ends="10:00:08"), sender="B")

    assert history.periods == ["10:00-10:00:05", "10:00-", "10:00:15-"]


def test_unrelated_senders_in_one_group_are_reported(history: History) -> None:
    def send(clock: str, name: str) -> bool:
        [decision] = history.receive(incoming(clock, firing(name), sender=name, url=f"http://{name}"))
        return decision.alternating

    found = [send(f"10:{minute:02d}", "ab"[minute % 2]) for minute in range(8)]

    assert found[:3] == [False] * 3
    assert found[-1] is True


def test_peers_that_differ_for_one_flush_are_not_reported(history: History) -> None:
    def send(clock: str, sender: str, *names: str) -> bool:
        [decision] = history.receive(incoming(clock, *map(firing, names), sender=sender))
        return decision.alternating

    found = [
        send("10:00:00", "A", "a"),
        send("10:00:15", "B", "a", "b"),
        send("10:05:00", "A", "a", "b"),
        send("10:05:15", "B", "a", "b"),
        send("10:10:00", "A", "a", "b", "c"),
        send("10:10:15", "B", "a", "b", "c"),
    ]

    assert not any(found)
