"""Batching of requests into shared statements: one batch at a time, with all that was submitted meanwhile."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

import msgspec

A = TypeVar("A")
B = TypeVar("B")


class _Submitted(msgspec.Struct, Generic[A, B], frozen=True):
    request: A
    result: "asyncio.Future[B]"


class Batcher(Generic[A, B]):
    """Calls `process` with batches of requests; it returns their results in the same order.

    An error of `process` is raised to every caller of the batch.
    """

    def __init__(self, process: Callable[[Sequence[A]], Awaitable[Sequence[B]]], limit: int) -> None:
        """A batch has at most `limit` requests; nothing is processed before `run`."""
        self._process = process
        self._limit = limit
        self._queue: list[_Submitted[A, B]] = []
        self._submitted = asyncio.Event()

    def submit(self, request: A) -> "asyncio.Future[B]":
        """Queue a request for the next batch; the future gets its result."""
        result: asyncio.Future[B] = asyncio.get_running_loop().create_future()
        self._queue.append(_Submitted(request, result))
        self._submitted.set()
        return result

    async def run(self) -> None:
        """Process batches until canceled."""
        while True:
            await self._submitted.wait()
            batch, self._queue = self._queue[: self._limit], self._queue[self._limit :]
            if not self._queue:
                self._submitted.clear()
            await self._process_batch(batch)

    async def _process_batch(self, batch: Sequence[_Submitted[A, B]]) -> None:
        try:
            results = await self._process([submitted.request for submitted in batch])
        except Exception as error:  # raised to the callers, who can handle it
            for submitted in batch:
                if not submitted.result.done():
                    submitted.result.set_exception(error)
            return
        for submitted, result in zip(batch, results, strict=True):
            if not submitted.result.done():
                submitted.result.set_result(result)
