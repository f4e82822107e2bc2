"""A short torture run: nothing is lost or sent out of order while everything fails."""

import pytest

from tests.faults.torture.__main__ import lines
from tests.faults.torture.records import Verdict
from tests.faults.torture.run import Plan, run

PLAN = Plan(
    seed=20261123,
    webhooks=150,
    seconds=8,
    groups=25,
    kill_every=(0.5, 1.5),
    restarts=("immediate",),
    timeout=90,
)


@pytest.mark.slow
async def test_nothing_is_lost_or_sent_out_of_order_while_everything_fails() -> None:
    report = await run(PLAN)

    text = "\n".join(lines(report))
    assert report.violations == [], text
    assert len(report.acknowledged) == PLAN.webhooks, text
    assert len(report.interruptions) > PLAN.min_kills, text
    assert {request.verdict for sink in report.sinks for request in sink.requests} == set(Verdict), text
    assert report.ends["merged"] > 0, text
    limited = next(sink for sink in report.sinks if sink.channel == "limited")
    assert any(request.group is None for request in limited.requests), text
