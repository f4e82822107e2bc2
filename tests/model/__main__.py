"""python -m tests.model [--histories N] [--seed N]: exits with 1 if the relay differs from the model."""

import argparse
import asyncio
import logging
import random
import sys
import time
from typing import Final

import structlog

from relay.store.postgres.database import Database
from tests.fixtures import postgres
from tests.model.play import Player
from tests.model.run import SHARE, histories, report, run

MAX_SEED: Final = 2**32
MAX_SHOWN: Final = 5


def main() -> None:
    """Play the histories, and print what differs."""
    parser = argparse.ArgumentParser(prog="python -m tests.model", description=__doc__)
    parser.add_argument("--histories", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=random.randrange(MAX_SEED))
    arguments = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    sys.exit(asyncio.run(_play(arguments.histories, arguments.seed)))


def _print(line: str) -> None:
    print(line, flush=True)  # noqa: T201 - the output of this program


async def _play(count: int, seed: int) -> int:
    """Play `count` histories in shares, each on a fresh database; return the exit status."""
    _print(f"seed {seed}: {count} histories")
    started, failing, webhooks = time.monotonic(), 0, 0
    with postgres.server_url() as server:
        for name in ("fsync", "full_page_writes"):
            await postgres.execute(server, f"ALTER SYSTEM SET {name} = off")
        await postgres.execute(server, "SELECT pg_reload_conf()")
        for first in range(0, count, SHARE):
            share = histories(seed, range(first, min(first + SHARE, count)))
            async with postgres.migrated_database(server) as url:
                database = Database(url)
                async with Player(database).running() as player:
                    found = await run(player, share, max(0, MAX_SHOWN - failing))
                await database.close()
            failing += found.count
            webhooks += sum(len(history.webhooks) for history in share)
            for history, differences in found.smallest:
                _print(report(history, differences))
            seconds = time.monotonic() - started
            _print(f"{first + len(share)} histories, {webhooks} webhooks, {failing} differ, {seconds:.0f} s")
    return 1 if failing else 0


if __name__ == "__main__":
    main()
