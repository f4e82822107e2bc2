"""python -m tests.faults.torture [--seed N] [--webhooks 2000] [--seconds 60]: exits with 1 on a breach."""

import argparse
import asyncio
import random
import sys
from collections import Counter
from typing import Final

from tests.faults.torture.records import Verdict
from tests.faults.torture.run import Plan, Report, run
from tests.faults.torture.sinks import Sink

MOST_SHOWN: Final = 20
MAX_SEED: Final = 2**32


def main() -> None:
    """One run, a report, and an exit code."""
    plan = chosen()
    say(f"seed {plan.seed}: {plan.webhooks} webhooks over {plan.seconds:g} s in {plan.groups} groups")
    report = asyncio.run(run(plan))
    say("\n".join(lines(report)))
    sys.exit(1 if report.breaches else 0)


def say(words: str) -> None:
    """Print at once, whatever the output is piped into."""
    print(words, flush=True)  # noqa: T201 - the report is what this program is for


def chosen() -> Plan:
    """The plan that the command line asks for; without a seed, a new one."""
    usual = Plan(seed=0)
    parser = argparse.ArgumentParser(prog="python -m tests.faults.torture", description=__doc__)
    parser.add_argument("--seed", type=int, default=random.randrange(MAX_SEED))
    parser.add_argument("--webhooks", type=int, default=usual.webhooks)
    parser.add_argument("--seconds", type=float, default=usual.seconds, help="over which they are sent")
    parser.add_argument("--groups", type=int, default=usual.groups)
    parser.add_argument("--failing", type=float, default=usual.failing, help="share of requests the sinks fail")
    parser.add_argument("--limit", type=float, default=usual.limit, help="of the limited channel, a second")
    parser.add_argument("--patience", type=float, default=usual.patience, help="seconds to wait at the end")
    return Plan(**vars(parser.parse_args()))


def lines(report: Report) -> list[str]:
    """The report, for people."""
    findings = report.findings
    kills = Counter(one.what for one in report.interruptions)
    ends = ", ".join(f"{count} {state}" for state, count in sorted(report.ends.items()))
    written = [
        f"took          {report.seconds:.0f} s",
        f"acknowledged  {len(report.acknowledged)} webhooks",
        f"interrupted   {', '.join(f'{what} ({count})' for what, count in sorted(kills.items()))}",
        f"cut off       {report.outages} times a platform or a channel's URL",
        f"deliveries    {ends}; {report.waiting} waiting",
        *map(sink_line, report.sinks),
        f"lost          {len(findings.lost)}",
        f"out of order  {len(findings.out_of_order)}",
        f"unannounced   {len(findings.unannounced)}",
        f"duplicates    {findings.duplicates}; {findings.duplicates_allowed} were on their way at the kills",
        f"tracebacks    {report.tracebacks} in the replicas' logs",
    ]
    shown = [f"  {words}" for words in report.breaches[:MOST_SHOWN]]
    more = len(report.breaches) - len(shown)
    shown += [f"  … and {more} more"] if more > 0 else []
    return [*written, *(["BREACHED:", *shown] if shown else ["all promises held"])]


def sink_line(sink: Sink) -> str:
    """What one sink read, and what it did with that."""
    verdicts = Counter(one.verdict for one in sink.requests)
    digests = sum(one.group is None for one in sink.requests)
    counts = ", ".join(f"{verdicts[verdict]} {verdict}" for verdict in Verdict)
    return f"{sink.channel:<14}{len(sink.requests)} requests: {counts}; {digests} of them digests"


if __name__ == "__main__":
    main()
