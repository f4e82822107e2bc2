"""Keeps the embedded Postgres running: after a full or read-only disk it goes on by itself."""

import asyncio
from typing import Final

import structlog

from relay.domain.errors import SettingsError
from relay.store.postgres.embedded import EmbeddedPostgres

WATCH_EVERY: Final = 1.0
"""Seconds between looks."""

log = structlog.get_logger(__name__)


async def watch_postgres(postgres: EmbeddedPostgres) -> None:
    """Start the server again whenever it has ended, until canceled. Each problem is logged once.

    Raises:
        SettingsError: its files were deleted, so that nothing that it stores is durable.
    """
    logged: str | None = None
    while True:
        await asyncio.sleep(WATCH_EVERY)
        problem = postgres.problem()
        if postgres.deleted():
            raise SettingsError(problem or "the data directory was deleted")
        if not postgres.running():
            try:
                await asyncio.to_thread(postgres.restart)
                log.warning("postgres_restarted", detail="the embedded Postgres had ended")
            except (SettingsError, OSError) as error:
                problem = problem or str(error)
        if problem is not None and problem != logged:
            log.error("postgres_unusable", detail=problem)
        if problem is None and logged is not None:
            log.info("postgres_usable")
        logged = problem
