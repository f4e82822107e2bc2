"""Are the promises held while replicas are killed, Postgres crashes and platforms fail? The run in short."""

from random import Random

from relay.domain.alerts import Status
from tests.faults.torture.__main__ import lines
from tests.faults.torture.groups import states
from tests.faults.torture.records import Verdict
from tests.faults.torture.run import Plan, run

PLAN = Plan(
    seed=20261123,
    webhooks=150,
    seconds=8,
    groups=25,
    kill_every=(0.5, 1.5),
    restarts=("immediate",),
    patience=90,
)


async def test_nothing_is_lost_or_told_out_of_order_while_everything_fails() -> None:
    report = await run(PLAN)

    told = "\n".join(lines(report))
    assert report.breaches == [], told
    assert len(report.acknowledged) == PLAN.webhooks, told
    assert len(report.interruptions) > PLAN.least_kills, told
    assert {one.verdict for sink in report.sinks for one in sink.requests} == set(Verdict), told
    assert report.ends["merged"] > 0, told
    limited = next(sink for sink in report.sinks if sink.channel == "limited")
    assert any(one.group is None for one in limited.requests), told


def test_each_state_of_a_group_is_news_and_each_occurrence_fires_until_it_is_resolved_once() -> None:
    before: dict[str, Status] = {}
    over: set[str] = set()
    for state in states("g001", 200, Random(PLAN.seed)):
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
