"""How do many askers share one statement: one at a time, each with all that was asked during the one before?"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

import msgspec

A = TypeVar("A")
B = TypeVar("B")


class _Asked(msgspec.Struct, Generic[A, B], frozen=True):
    ask: A
    answer: "asyncio.Future[B]"


class Batches(Generic[A, B]):
    """Calls `work` with what was asked; it answers in the same order. Its error is that of all who asked."""

    def __init__(self, work: Callable[[Sequence[A]], Awaitable[Sequence[B]]], limit: int) -> None:
        """At most `limit` at once; nothing happens before `run`."""
        self._work = work
        self._limit = limit
        self._waiting: list[_Asked[A, B]] = []
        self._arrived = asyncio.Event()

    def ask(self, ask: A) -> "asyncio.Future[B]":
        """Ask; the answer comes with the next batch."""
        answer: asyncio.Future[B] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Asked(ask, answer))
        self._arrived.set()
        return answer

    async def run(self) -> None:
        """Work on what is asked, until cancelled."""
        while True:
            await self._arrived.wait()
            batch, self._waiting = self._waiting[: self._limit], self._waiting[self._limit :]
            if not self._waiting:
                self._arrived.clear()
            await self._answer(batch)

    async def _answer(self, batch: Sequence[_Asked[A, B]]) -> None:
        try:
            answers = await self._work([asked.ask for asked in batch])
        except Exception as error:  # theirs to judge, who asked
            for asked in batch:
                if not asked.answer.done():
                    asked.answer.set_exception(error)
            return
        for asked, answer in zip(batch, answers, strict=True):
            if not asked.answer.done():
                asked.answer.set_result(answer)
