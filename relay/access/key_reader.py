"""Look-ups of API keys: every request sees the keys as they are in the database."""

import asyncio
import contextlib
from typing import Final

from relay.store.configuration import api_keys
from relay.store.configuration.api_keys import FoundKey
from relay.store.postgres.database import FAILED, Database, HeldConnection

MAX_BATCH: Final = 500


class KeyReader:
    """Looks keys up by their hashes. Requests that arrive during a look-up share the next one."""

    def __init__(self, database: Database) -> None:
        """Nothing is looked up yet."""
        self._connection = HeldConnection(database)
        self._waiting: dict[bytes, list[asyncio.Future[FoundKey | None]]] = {}
        self._working: asyncio.Task[None] | None = None

    async def find(self, secret: str) -> FoundKey | None:
        """Return the key with a secret, revoked or expired or not; None if there is none.

        Raises:
            OSError, PostgresError: the database is unavailable.
        """
        result: asyncio.Future[FoundKey | None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(api_keys.hash_of(secret), []).append(result)
        if self._working is None or self._working.done():
            self._working = asyncio.create_task(self._work())
        return await result

    async def close(self) -> None:
        """End the look-ups."""
        if self._working is not None:
            self._working.cancel()
            await asyncio.gather(self._working, return_exceptions=True)
        await self._connection.drop()

    async def _work(self) -> None:
        while self._waiting:
            hashes = list(self._waiting)[:MAX_BATCH]
            taken = {key_hash: self._waiting.pop(key_hash) for key_hash in hashes}
            results = [result for waiting in taken.values() for result in waiting]
            try:
                async with self._connection.use() as driver:
                    found = await api_keys.find(driver, hashes)
            except FAILED as error:
                _fail(results, error)
                continue
            except BaseException:
                _fail(results, ConnectionError("the look-up of the API key was ended"))
                raise
            for key_hash, waiting in taken.items():
                for result in waiting:
                    if not result.done():
                        result.set_result(found.get(key_hash))
            await self._write_use(
                [key.id for key in found.values() if key.unused and not (key.revoked or key.expired)]
            )

    async def _write_use(self, key_ids: list[str]) -> None:
        if key_ids:
            with contextlib.suppress(*FAILED):  # written with the next use
                async with self._connection.use() as driver:
                    await api_keys.write_use(driver, key_ids)


def _fail(results: list[asyncio.Future[FoundKey | None]], error: Exception) -> None:
    for result in results:
        if not result.done():
            result.set_exception(error)
