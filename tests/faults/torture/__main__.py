"""python -m tests.faults.torture [--seed N] [--webhooks 2000] [--seconds 60]: exits with 1 on a violation."""

import argparse
import asyncio
import random
import sys
from collections import Counter
from typing import Final

from tests.faults.torture.records import Verdict
from tests.faults.torture.run import Plan, Report, run
from tests.faults.torture.sinks import Sink

MAX_SHOWN: Final = 20
MAX_SEED: Final = 2**32


def main() -> None:
    """Run once, print the report, and exit."""
    plan = parse_arguments()
    report_line(f"seed {plan.seed}: {plan.webhooks} webhooks over {plan.seconds:g} s in {plan.groups} groups")
    report = asyncio.run(run(plan))
    report_line("\n".join(lines(report)))
    sys.exit(1 if report.violations else 0)


def report_line(text: str) -> None:
    """Print immediately, even into a pipe."""
    print(text, flush=True)  # noqa: T201 - the report is the output of this program


def parse_arguments() -> Plan:
    """The plan of the command line; without a seed, a random one."""
    defaults = Plan(seed=0)
    parser = argparse.ArgumentParser(prog="python -m tests.faults.torture", description=__doc__)
    parser.add_argument("--seed", type=int, default=random.randrange(MAX_SEED))
    parser.add_argument("--webhooks", type=int, default=defaults.webhooks)
    parser.add_argument("--seconds", type=float, default=defaults.seconds, help="duration of sending")
    parser.add_argument("--groups", type=int, default=defaults.groups)
    parser.add_argument(
        "--failing", type=float, default=defaults.failing, help="share of requests that sinks fail"
    )
    parser.add_argument(
        "--limit", type=float, default=defaults.limit, help="messages per second of the limited channel"
    )
    parser.add_argument("--timeout", type=float, default=defaults.timeout, help="seconds to wait at the end")
    return Plan(**vars(parser.parse_args()))


def lines(report: Report) -> list[str]:
    """The report as text."""
    findings = report.findings
    kills = Counter(interruption.kind for interruption in report.interruptions)
    ends = ", ".join(f"{count} {state}" for state, count in sorted(report.ends.items()))
    summary = [
        f"took          {report.seconds:.0f} s",
        f"acknowledged  {len(report.acknowledged)} webhooks",
        f"interrupted   {', '.join(f'{kind} ({count})' for kind, count in sorted(kills.items()))}",
        f"outages       {report.outages} of a platform or a channel's URL",
        f"deliveries    {ends}; {report.waiting} waiting",
        *map(sink_line, report.sinks),
        f"lost          {len(findings.lost)}",
        f"out of order  {len(findings.out_of_order)}",
        f"unannounced   {len(findings.unannounced)}",
        f"duplicates    {findings.duplicates}; {findings.duplicates_allowed} were in flight at the kills",
        f"tracebacks    {report.tracebacks} in the replicas' logs",
    ]
    shown = [f"  {violation}" for violation in report.violations[:MAX_SHOWN]]
    more = len(report.violations) - len(shown)
    shown += [f"  … and {more} more"] if more > 0 else []
    return [*summary, *(["VIOLATIONS:", *shown] if shown else ["no violations"])]


def sink_line(sink: Sink) -> str:
    """The requests of one sink, by verdict."""
    verdicts = Counter(request.verdict for request in sink.requests)
    digests = sum(request.group is None for request in sink.requests)
    counts = ", ".join(f"{verdicts[verdict]} {verdict}" for verdict in Verdict)
    return f"{sink.channel:<14}{len(sink.requests)} requests: {counts}; {digests} of them digests"


if __name__ == "__main__":
    main()
