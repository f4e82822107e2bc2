"""python -m tests.bench: run all measurements, print them, and fail when a figure misses its bound."""

import asyncio
import sys

import uvloop

from tests.bench import drain, ingest, latency, middleware, rendering, routing
from tests.bench.figures import Figure
from tests.fixtures.postgres import server_url

PARTS = (routing.measure, rendering.measure, middleware.measure, ingest.measure, latency.measure, drain.measure)


async def measure(url: str) -> list[Figure]:
    """All figures."""
    figures: list[Figure] = []
    for part in PARTS:
        for figure in await part(url):
            figures.append(figure)
            print(figure, flush=True)
    return figures


def main() -> None:
    """Measure on a Postgres chosen as for the tests."""
    with server_url() as url, asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        figures = runner.run(measure(url))
    missed = [figure.name for figure in figures if not figure.holds]
    sys.exit(f"missed: {', '.join(missed)}" if missed else 0)


if __name__ == "__main__":
    main()
