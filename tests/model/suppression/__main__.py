"""python -m tests.model.suppression [--histories N] [--seed N] [--in-process]: exits with 1 on a violation."""

import argparse
import asyncio
import logging
import random
import sys
from typing import Final

import structlog

from tests.fixtures import postgres
from tests.model.suppression.records import Story
from tests.model.suppression.run import Plan, Report, run_in_process, run_with_processes

MAX_SEED: Final = 2**32
AT_ONCE: Final = 20
"""Histories that are played at the same time, on a database of their own."""
MAX_SHOWN: Final = 10


def main() -> None:
    """Play the histories, and print what they violate."""
    parser = argparse.ArgumentParser(prog="python -m tests.model.suppression", description=__doc__)
    parser.add_argument("--histories", type=int, default=60)
    parser.add_argument("--seed", type=int, default=random.randrange(MAX_SEED))
    parser.add_argument("--seconds", type=float, default=12.0, help="duration of each history")
    parser.add_argument("--in-process", action="store_true", help="move the clock, in place of killing replicas")
    parser.add_argument("--log", action="store_true", help="print what happened in histories with violations")
    arguments = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    sys.exit(asyncio.run(_play(arguments)))


def report_line(text: str) -> None:
    """Print immediately, even into a pipe."""
    print(text, flush=True)  # noqa: T201 - the output of this program


async def _play(arguments: argparse.Namespace) -> int:
    report_line(f"seed {arguments.seed}: {arguments.histories} histories")
    count, played = 0, 0
    with postgres.server_url() as server:
        for name in ("fsync", "full_page_writes"):
            await postgres.execute(server, f"ALTER SYSTEM SET {name} = off")
        await postgres.execute(server, "SELECT pg_reload_conf()")
        while played < arguments.histories:
            share = min(AT_ONCE, arguments.histories - played)
            plan = Plan(arguments.seed + played, share, arguments.seconds)
            async with postgres.migrated_database(server) as url:
                run = run_in_process if arguments.in_process else run_with_processes
                report = await run(plan, url)
            count, played = count + len(report.violations), played + share
            report_line("\n".join(lines(plan, report, log=arguments.log)))
    return 1 if count else 0


def lines(plan: Plan, report: Report, *, log: bool = False) -> list[str]:
    """The report as text; `log`: with what happened."""
    counts = (
        f"{report.suppressed} suppressed",
        f"{report.releases} releases",
        f"{report.digests} digests",
        f"{report.faults} faults",
        f"{sum(len(story.received) for story in report.stories)} messages",
        f"{len(report.violations)} violations",
    )
    shown = [f"  ! {text}" for text in report.violations[:MAX_SHOWN]]
    if log:
        for story in report.stories:
            if any(text.startswith(f"{story.name} ") for text in report.violations):
                shown += history_lines(story, report)
    return [
        f"seed {plan.seed}: {len(report.stories)} histories, {', '.join(counts)}",
        *shown,
    ]


def history_lines(story: Story, report: Report) -> list[str]:
    """What happened in a history, and what is stored of it."""
    events = [*story.log, *((one.at, str(one)) for one in story.received)]
    own = [row for row in report.stored.deliveries if row["channel_id"] in story.channels]
    alerts = [(at, key) for at, key in report.stored.alerts.items() if key[0] in story.labels]
    return [
        *(f"{story.name} {at:9.2f} {text}" for at, text in sorted(events)),
        *(f"{story.name} {row}" for row in own),
        *(f"{story.name} {at} {key}" for at, key in alerts),
    ]


if __name__ == "__main__":
    main()
