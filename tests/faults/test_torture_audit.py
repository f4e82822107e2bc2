"""Would the audit of the torture run notice if a promise broke? Made-up records, each with one breach or none."""

from collections.abc import Iterable, Sequence

from relay.domain.alerts import Status
from tests.faults.torture.audit import Findings, audit
from tests.faults.torture.records import Acknowledged, Interruption, Request, Verdict

FIRES = Acknowledged("g1", 1, {"a": Status.FIRING})
FIRES_TOO = Acknowledged("g1", 2, {"a": Status.FIRING, "b": Status.FIRING})
ENDS = Acknowledged("g1", 3, {"a": Status.RESOLVED, "b": Status.FIRING})
ALL = (FIRES, FIRES_TOO, ENDS)


def message(
    delivery: str,
    seq: int,
    firing: str = "",
    resolved: str = "",
    untold: str = "",
    verdict: Verdict = Verdict.ACCEPTED,
) -> Request:
    """A message of the group; alerts are given by their letters."""
    return Request("ops", delivery, "g1", seq, frozenset(firing), frozenset(resolved), frozenset(untold), verdict)


def digest(delivery: str, firing: str = "", resolved: str = "") -> Request:
    """A digest that counts these alerts."""
    return Request("ops", delivery, None, 0, frozenset(firing), frozenset(resolved), verdict=Verdict.ACCEPTED)


def found(acknowledged: Iterable[Acknowledged], read: Sequence[Request], *interruptions: Interruption) -> Findings:
    """What the audit of one channel finds."""
    return audit(acknowledged, {"ops": read}, interruptions)


def wrong(findings: Findings) -> tuple[int, int, int]:
    """How much is lost, out of order, and unannounced."""
    return len(findings.lost), len(findings.out_of_order), len(findings.unannounced)


IN_FULL = [message("1", 1, "a"), message("2", 2, "ab"), message("3", 3, "b", "a")]


def test_all_told_in_order_is_clean() -> None:
    assert found(ALL, IN_FULL).clean


def test_one_message_that_tells_the_last_state_and_what_was_not_told_is_clean() -> None:
    assert found(ALL, [message("3", 3, "b", "a", untold="a")]).clean


def test_a_digest_tells_what_it_counts() -> None:
    assert found(ALL, [digest("9", "b", "a")]).clean
    assert found(ALL, [digest("8", "a"), message("3", 3, "b", "a")]).clean


def test_an_occurrence_that_no_message_tells_is_lost() -> None:
    findings = found(ALL, [message("1", 1, "a"), message("3", 3, resolved="a")])
    assert wrong(findings) == (1, 0, 0)
    assert "ops: b is firing" in findings.lost[0]
    assert not findings.clean


def test_an_alert_that_was_told_as_firing_only_although_it_is_resolved_is_lost() -> None:
    assert wrong(found(ALL, IN_FULL[:2])) == (1, 0, 0)


def test_what_a_sink_refused_or_broke_off_was_not_told() -> None:
    for verdict in (Verdict.REFUSED, Verdict.BROKEN):
        assert wrong(found(ALL, [*IN_FULL[:2], message("3", 3, "b", "a", verdict=verdict)])) == (1, 0, 0)


def test_what_one_channel_was_told_does_not_count_for_another() -> None:
    findings = audit(ALL, {"ops": IN_FULL, "dev": []}, [])
    assert [one.split(":")[0] for one in findings.lost] == ["dev", "dev"]


def test_what_was_not_acknowledged_need_not_be_told() -> None:
    assert found([FIRES], [message("1", 1, "a")]).clean


def test_an_older_state_after_a_newer_one_is_out_of_order() -> None:
    one, two, three = IN_FULL
    findings = found(ALL, [two, one, three])
    assert wrong(findings) == (0, 1, 0)
    assert not findings.clean


def test_a_resolved_before_its_firing_is_both_out_of_order_and_unannounced() -> None:
    one, two, three = IN_FULL
    assert wrong(found(ALL, [three, one, two])) == (0, 4, 1)


def test_a_digest_that_tells_as_firing_what_was_told_as_resolved_is_out_of_order() -> None:
    assert wrong(found(ALL, [*IN_FULL, digest("9", "ab")])) == (0, 1, 0)


def test_groups_are_ordered_by_themselves() -> None:
    other = Request("ops", "7", "g2", 1, frozenset("c"), frozenset(), verdict=Verdict.ACCEPTED)
    assert found(ALL, [*IN_FULL, other]).clean


def test_a_resolved_whose_firing_nobody_told_of_is_unannounced() -> None:
    findings = found(ALL, [message("3", 3, "b", "a")])
    assert wrong(findings) == (0, 0, 1)
    assert not findings.clean


def test_a_firing_that_was_read_and_broken_off_was_announced() -> None:
    broken = message("1", 1, "a", verdict=Verdict.BROKEN)
    refused = message("1", 1, "a", verdict=Verdict.REFUSED)
    assert wrong(found(ALL, [broken, message("3", 3, "b", "a")])) == (0, 0, 0)
    assert wrong(found(ALL, [refused, message("3", 3, "b", "a")])) == (0, 0, 1)


def test_duplicates_are_counted_and_no_more_than_were_on_their_way_at_the_kills() -> None:
    again = [IN_FULL[0], IN_FULL[0], *IN_FULL[1:], IN_FULL[2]]

    allowed = found(ALL, again, Interruption("SIGKILL", 1), Interruption("SIGKILL", 1))
    assert (allowed.duplicates, allowed.duplicates_allowed, allowed.clean) == (2, 2, True)

    too_many = found(ALL, again, Interruption("SIGKILL", 1))
    assert (too_many.duplicates, too_many.duplicates_allowed, too_many.clean) == (2, 1, False)
    assert wrong(too_many) == (0, 0, 0)


def test_what_a_sink_broke_off_and_took_the_next_time_is_no_duplicate() -> None:
    broken = message("1", 1, "a", verdict=Verdict.BROKEN)
    assert found(ALL, [broken, *IN_FULL]).duplicates == 0
