"""Tests of the torture run's audit, with records that have one violation or none."""

from collections.abc import Iterable, Sequence

from relay.domain.alerts import Status
from tests.faults.torture.audit import Findings, audit
from tests.faults.torture.records import Acknowledged, Interruption, Request, Verdict

A_FIRES = Acknowledged("g1", 1, {"a": Status.FIRING})
B_FIRES = Acknowledged("g1", 2, {"a": Status.FIRING, "b": Status.FIRING})
A_RESOLVED = Acknowledged("g1", 3, {"a": Status.RESOLVED, "b": Status.FIRING})
ALL = (A_FIRES, B_FIRES, A_RESOLVED)


def message(
    delivery: str,
    seq: int,
    firing: str = "",
    resolved: str = "",
    unnotified: str = "",
    verdict: Verdict = Verdict.ACCEPTED,
) -> Request:
    """A message of the group; each letter is an alert."""
    return Request(
        "ops", delivery, "g1", seq, frozenset(firing), frozenset(resolved), frozenset(unnotified), verdict
    )


def digest(delivery: str, firing: str = "", resolved: str = "") -> Request:
    """A digest that counts these alerts."""
    return Request("ops", delivery, None, 0, frozenset(firing), frozenset(resolved), verdict=Verdict.ACCEPTED)


def found(acknowledged: Iterable[Acknowledged], read: Sequence[Request], *interruptions: Interruption) -> Findings:
    """What the audit of one channel finds."""
    return audit(acknowledged, {"ops": read}, interruptions)


def violations(findings: Findings) -> tuple[int, int, int]:
    """The numbers of lost, out-of-order and unannounced alerts."""
    return len(findings.lost), len(findings.out_of_order), len(findings.unannounced)


IN_FULL = [message("1", 1, "a"), message("2", 2, "ab"), message("3", 3, "b", "a")]


def test_all_states_in_order_are_clean() -> None:
    assert found(ALL, IN_FULL).clean


def test_one_message_with_the_last_state_and_its_unnotified_alerts_is_clean() -> None:
    assert found(ALL, [message("3", 3, "b", "a", unnotified="a")]).clean


def test_a_digest_contains_what_it_counts() -> None:
    assert found(ALL, [digest("9", "b", "a")]).clean
    assert found(ALL, [digest("8", "a"), message("3", 3, "b", "a")]).clean


def test_an_occurrence_in_no_message_is_lost() -> None:
    findings = found(ALL, [message("1", 1, "a"), message("3", 3, resolved="a")])
    assert violations(findings) == (1, 0, 0)
    assert "ops: b is firing" in findings.lost[0]
    assert not findings.clean


def test_an_alert_sent_as_firing_only_although_it_is_resolved_is_lost() -> None:
    assert violations(found(ALL, IN_FULL[:2])) == (1, 0, 0)


def test_a_message_that_a_sink_rejected_or_aborted_does_not_count() -> None:
    for verdict in (Verdict.REJECTED, Verdict.ABORTED):
        assert violations(found(ALL, [*IN_FULL[:2], message("3", 3, "b", "a", verdict=verdict)])) == (1, 0, 0)


def test_messages_of_one_channel_do_not_count_for_another() -> None:
    findings = audit(ALL, {"ops": IN_FULL, "dev": []}, [])
    assert [one.split(":")[0] for one in findings.lost] == ["dev", "dev"]


def test_states_that_were_not_acknowledged_need_no_message() -> None:
    assert found([A_FIRES], [message("1", 1, "a")]).clean


def test_an_older_state_after_a_newer_one_is_out_of_order() -> None:
    one, two, three = IN_FULL
    findings = found(ALL, [two, one, three])
    assert violations(findings) == (0, 1, 0)
    assert not findings.clean


def test_a_resolution_before_its_firing_is_both_out_of_order_and_unannounced() -> None:
    one, two, three = IN_FULL
    assert violations(found(ALL, [three, one, two])) == (0, 4, 1)


def test_a_digest_with_a_firing_alert_sent_as_resolved_before_is_out_of_order() -> None:
    assert violations(found(ALL, [*IN_FULL, digest("9", "ab")])) == (0, 1, 0)


def test_groups_are_ordered_independently() -> None:
    other = Request("ops", "7", "g2", 1, frozenset("c"), frozenset(), verdict=Verdict.ACCEPTED)
    assert found(ALL, [*IN_FULL, other]).clean


def test_a_resolution_whose_firing_was_never_sent_is_unannounced() -> None:
    findings = found(ALL, [message("3", 3, "b", "a")])
    assert violations(findings) == (0, 0, 1)
    assert not findings.clean


def test_a_firing_in_an_aborted_request_was_announced() -> None:
    aborted = message("1", 1, "a", verdict=Verdict.ABORTED)
    rejected = message("1", 1, "a", verdict=Verdict.REJECTED)
    assert violations(found(ALL, [aborted, message("3", 3, "b", "a")])) == (0, 0, 0)
    assert violations(found(ALL, [rejected, message("3", 3, "b", "a")])) == (0, 0, 1)


def test_duplicates_are_limited_to_the_deliveries_in_flight_at_the_kills() -> None:
    duplicated = [IN_FULL[0], IN_FULL[0], *IN_FULL[1:], IN_FULL[2]]

    allowed = found(ALL, duplicated, Interruption("SIGKILL", 1), Interruption("SIGKILL", 1))
    assert (allowed.duplicates, allowed.duplicates_allowed, allowed.clean) == (2, 2, True)

    too_many = found(ALL, duplicated, Interruption("SIGKILL", 1))
    assert (too_many.duplicates, too_many.duplicates_allowed, too_many.clean) == (2, 1, False)
    assert violations(too_many) == (0, 0, 0)


def test_an_aborted_request_and_its_retry_are_no_duplicates() -> None:
    aborted = message("1", 1, "a", verdict=Verdict.ABORTED)
    assert found(ALL, [aborted, *IN_FULL]).duplicates == 0
