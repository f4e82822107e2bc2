"""Comparison of this checkout with another commit: both run in turn, on one machine and one Postgres.

Each part runs in a separate process, with the commit's own measuring code. Absolute amounts are compared, so that
a slower statement cannot hide behind a slower baseline.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple

ROUNDS: Final = 3
LEAST: Final = 0.95
"""The median speed of this checkout over that of the base, below which a figure misses."""
ROOT: Final = Path(__file__).parents[2]

# Runs in each checkout. A commit whose figures have no amounts is compared by their values.
MEASURE: Final = """
import asyncio, json, sys, uvloop
from importlib import import_module
part = import_module(f"tests.bench.{sys.argv[1]}")
with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
    figures = runner.run(part.measure(sys.argv[2]))
found = {}
for figure in figures:
    amounts = getattr(figure, "amounts", ()) or [("", figure.value, figure.at_least is not None)]
    for name, value, is_rate in amounts:
        found[f"{figure.name}: {name}" if name else figure.name] = (value, is_rate)
print(json.dumps(found))
"""


class Measured(NamedTuple):
    """An amount as one run of one checkout measured it."""

    value: float
    is_rate: bool


def compare(base: str, parts: Sequence[str], url: str, rounds: int) -> list[str]:
    """Run the parts in turn in both checkouts, print the ratios, and return the names of those that miss."""
    missed: list[str] = []
    with _worktree(base) as other:
        for part in parts:
            pairs: list[tuple[dict[str, Measured], dict[str, Measured]]] = []
            for number in range(rounds):
                # The second one may run on a warmer or a more throttled machine.
                order = (other, ROOT) if number % 2 == 0 else (ROOT, other)
                results = {checkout: _run(checkout, part, url) for checkout in order}
                pairs.append((results[other], results[ROOT]))
            missed += _report(pairs)
    return missed


def _report(pairs: Sequence[tuple[dict[str, Measured], dict[str, Measured]]]) -> list[str]:
    missed = []
    for name in pairs[0][1]:
        if name not in pairs[0][0]:
            print(f"      {name:<78} only in this checkout", flush=True)
            continue
        before = [old[name].value for old, _ in pairs]
        after = [new[name].value for _, new in pairs]
        speeds = [
            (new if pairs[0][1][name].is_rate else old) / (old if pairs[0][1][name].is_rate else new)
            for old, new in zip(before, after, strict=True)
        ]
        speed = statistics.median(speeds)
        verdict = "  ok" if speed >= LEAST else "MISS"
        each = ", ".join(f"{one:.2f}" for one in speeds)
        medians = f"{statistics.median(before):,.2f} → {statistics.median(after):,.2f}"
        print(f"{verdict}  {name:<78} {speed:5.2f}  ({each})  {medians}", flush=True)
        if speed < LEAST:
            missed.append(name)
    return missed


def _run(checkout: Path, part: str, url: str) -> dict[str, Measured]:
    """The amounts of one part, measured by a process in the checkout.

    Raises:
        subprocess.CalledProcessError: the measurement failed.
    """
    environ = os.environ | {"PYTHONPATH": str(checkout)}
    command = [sys.executable, "-c", MEASURE, part, url]
    done = subprocess.run(command, cwd=checkout, env=environ, stdout=subprocess.PIPE, text=True, check=True)
    found = json.loads(done.stdout.splitlines()[-1])
    return {name: Measured(*values) for name, values in found.items()}


@contextmanager
def _worktree(commit: str) -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as directory:
        checkout = Path(directory) / "base"
        git = ["git", "-C", str(ROOT), "worktree"]
        subprocess.run([*git, "add", "--quiet", "--detach", str(checkout), commit], check=True)
        try:
            yield checkout
        finally:
            subprocess.run([*git, "remove", "--force", str(checkout)], check=True)
