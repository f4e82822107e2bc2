"""Random histories of silences and acknowledgements: nothing suppressed is sent, and nothing is lost."""

from tests.model.suppression.__main__ import lines
from tests.model.suppression.run import Plan, run_in_process

FEW = Plan(seed=17, histories=5, seconds=2.5, pause=0.15)


async def test_what_is_sent_while_the_clock_moves(database_url: str) -> None:
    report = await run_in_process(FEW, database_url)

    assert report.violations == [], "\n".join(lines(FEW, report, log=True))
    assert report.settled
    assert report.suppressed > 0
    assert report.releases > 0
