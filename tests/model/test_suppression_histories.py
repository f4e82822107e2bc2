"""Random histories of silences and acknowledgements: nothing suppressed is sent, and nothing is lost."""

import pytest

from tests.model.suppression.__main__ import lines
from tests.model.suppression.run import Plan, run_in_process, run_with_processes

FEW = Plan(seed=17, histories=5, seconds=2.5, pause=0.15)
MANY = Plan(seed=17, histories=24, seconds=20, kill_every=(3, 6))


async def test_what_is_sent_while_the_clock_moves(database_url: str) -> None:
    report = await run_in_process(FEW, database_url)

    assert report.violations == [], "\n".join(lines(FEW, report, log=True))
    assert report.settled
    assert report.suppressed > 0
    assert report.releases > 0


@pytest.mark.slow
async def test_what_is_sent_while_replicas_are_killed(database_url: str) -> None:
    report = await run_with_processes(MANY, database_url)

    assert report.violations == [], "\n".join(lines(MANY, report, log=True))
    assert report.settled
    assert report.faults > 1
    assert report.suppressed > 0
    assert report.releases > 0
    assert report.digests > 0
