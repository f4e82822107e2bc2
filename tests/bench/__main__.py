"""python -m tests.bench: run all measurements and fail when one misses its bound; --base compares two commits."""

import argparse
import asyncio
import sys
from collections.abc import Sequence

import uvloop

from tests.bench import drain, ingest, latency, middleware, rendering, routing, silences
from tests.bench.compare import ROUNDS, compare
from tests.bench.figures import Figure
from tests.fixtures.postgres import server_url

PARTS = {
    "routing": routing.measure,
    "rendering": rendering.measure,
    "middleware": middleware.measure,
    "ingest": ingest.measure,
    "latency": latency.measure,
    "drain": drain.measure,
    "silences": silences.measure,
}


async def measure(url: str, parts: Sequence[str]) -> list[Figure]:
    """The figures of these parts, printed as they are measured."""
    figures: list[Figure] = []
    for part in parts:
        for figure in await PARTS[part](url):
            figures.append(figure)
            print(figure, flush=True)
    return figures


def main() -> None:
    """Measure on a Postgres that is chosen as for the tests."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--base", metavar="COMMIT", help="alternate this checkout with that commit")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="how often each part runs with --base")
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}; default: all")
    arguments = parser.parse_args()
    if unknown := set(arguments.parts) - PARTS.keys():
        parser.error(f"no such part: {', '.join(sorted(unknown))}")
    parts = arguments.parts or list(PARTS)
    with server_url() as url:
        if arguments.base is not None:
            missed = compare(arguments.base, parts, url, arguments.rounds)
        else:
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                missed = [figure.name for figure in runner.run(measure(url, parts)) if not figure.holds]
    sys.exit(f"missed: {', '.join(missed)}" if missed else 0)


if __name__ == "__main__":
    main()
