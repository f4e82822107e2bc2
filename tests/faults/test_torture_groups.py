"""Tests of the groups of a torture run."""

from random import Random

from relay.domain.alerts import Status
from tests.faults.torture.groups import states


def test_each_state_of_a_group_differs_and_each_occurrence_is_resolved_once() -> None:
    before: dict[str, Status] = {}
    over: set[str] = set()
    for state in states("g001", 200, Random(20261123)):
        now = dict(state.record.alerts)
        assert now
        assert now != before
        assert not over & now.keys()
        resolved = {name for name, status in now.items() if status is Status.RESOLVED}
        assert all(before.get(name) is Status.FIRING for name in resolved)
        assert {name for name, status in before.items() if status is Status.FIRING} <= now.keys()
        over |= resolved
        before = now
    assert len(over) > 50
