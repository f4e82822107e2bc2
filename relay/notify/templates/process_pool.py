"""How are templates kept from holding anybody up: rendered in processes of their own, which are killed in time?

A process is started when the first template is to be rendered, and started anew after one was killed. A template
that took too long is not tried again for a while, so that messages of others need not wait for it.
"""

import asyncio
import contextlib
import hashlib
import os
import sys
import time
from typing import Final, Self

import msgspec

from relay.notify.templates.child_process import (
    LENGTH,
    ChildMessage,
    PartsTask,
    Ready,
    RenderFailed,
    RenderResult,
    Task,
    framed,
)

MAX_SECONDS: Final = 2.0
"""For one message; that the process starts takes no part."""
MAX_WAIT: Final = 5.0
"""Seconds that a message waits for a process to be free, before it is told in the relay's own words."""
START_SECONDS: Final = 30.0
PROCESSES: Final = 2
MAX_DATA: Final = 8 * 1024 * 1024
MAX_ANSWER: Final = 32 * 1024 * 1024
"""Bytes."""
FIRST_PAUSE: Final = 60.0
LAST_PAUSE: Final = 3600.0
"""Seconds in which a template that took too long is not tried again; they double each time."""
MAX_KNOWN: Final = 1000
KEPT_ENVIRONMENT: Final = ("PATH", "PYTHONPATH", "PYTHONHOME", "LD_LIBRARY_PATH", "LANG", "LC_ALL", "TZ")
"""All else, secrets above all, is none of a template's business."""


class ProcessPool:
    """The processes, of one relay; to be closed."""

    def __init__(self, max_seconds: float = MAX_SECONDS, max_wait: float = MAX_WAIT) -> None:
        """No process is started yet."""
        self._max_seconds = max_seconds
        self._max_wait = max_wait
        self._places = asyncio.Semaphore(PROCESSES)
        self._idle: list[_Process] = []
        self._pauses: dict[bytes, _Pause] = {}
        self._closed = False

    async def render(self, task: Task) -> RenderResult:
        """Render a template. Whatever goes wrong is in the answer; raises nothing but cancellation."""
        if len(task.data) > MAX_DATA:
            return RenderFailed(f"the message's data is larger than {MAX_DATA} bytes")
        key = _key(task)
        if (refused := self._paused(key)) is not None:
            return refused
        try:
            async with asyncio.timeout(self._max_wait):
                await self._places.acquire()
        except TimeoutError:
            return RenderFailed(
                f"other templates took so long that it did not get its turn in {self._max_wait:g} s"
            )
        try:
            # Another message may have shown meanwhile that it takes too long.
            return self._paused(key) or await self._rendered(task, key)
        finally:
            self._places.release()

    async def close(self) -> None:
        """End the processes; what is being rendered must have been cancelled."""
        self._closed = True
        while self._idle:
            await self._idle.pop().end()

    async def _rendered(self, task: Task, key: bytes) -> RenderResult:
        try:
            process = await self._process()
        except (OSError, EOFError, TimeoutError) as error:
            return RenderFailed(
                f"the process that renders templates did not start: {type(error).__name__}: {error}"
            )
        answer: RenderResult | None = None
        words = "the process that rendered it came to its end"
        try:
            async with asyncio.timeout(self._max_seconds):
                answer = await process.ask(task)
        except TimeoutError:
            words = f"it took longer than {self._max_seconds:g} s"
        except (OSError, EOFError):
            pass
        finally:  # also when this was cancelled: what it would still answer is for nobody
            if answer is None or self._closed:
                await asyncio.shield(process.end())
            else:
                self._idle.append(process)
        if answer is not None:
            self._pauses.pop(key, None)
            return answer
        return RenderFailed(f"{words}; it is not tried again for {self._pause(key):g} s")

    async def _process(self) -> "_Process":
        while self._idle:
            process = self._idle.pop()
            if process.lives:
                return process
            await process.end()
        return await _Process.started()

    def _paused(self, key: bytes) -> RenderFailed | None:
        pause = self._pauses.get(key)
        if pause is None or (left := pause.until - time.monotonic()) <= 0:
            return None
        return RenderFailed(f"it took too long a moment ago, and is not tried again for {max(left, 1):.0f} s")

    def _pause(self, key: bytes) -> float:
        before = self._pauses.pop(key, None)
        seconds = FIRST_PAUSE if before is None else min(2 * before.seconds, LAST_PAUSE)
        while len(self._pauses) >= MAX_KNOWN:
            self._pauses.pop(next(iter(self._pauses)))
        self._pauses[key] = _Pause(seconds, time.monotonic() + seconds)
        return seconds


class _Pause(msgspec.Struct, frozen=True):
    seconds: float
    until: float


class _Process:
    """One process that renders, from its start to its end."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    @classmethod
    async def started(cls) -> Self:
        """Start one, and wait until it can render.

        Raises:
            OSError: it can't be started.
            EOFError: it ended at once.
            TimeoutError: it takes too long.
        """
        process = cls(
            await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "relay.notify.templates.child_process"),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.DEVNULL,
                env={name: value for name in KEPT_ENVIRONMENT if (value := os.environ.get(name)) is not None},
            )
        )
        ready = False
        try:
            async with asyncio.timeout(START_SECONDS):
                ready = isinstance(await process._answer(), Ready)
        finally:
            if not ready:
                await asyncio.shield(process.end())
        return process

    @property
    def lives(self) -> bool:
        return self._process.returncode is None

    async def ask(self, task: Task) -> RenderResult:
        """Have a task done.

        Raises:
            OSError, EOFError: it ended meanwhile.
        """
        assert self._process.stdin is not None
        self._process.stdin.write(framed(task))
        await self._process.stdin.drain()
        answer = await self._answer()
        if isinstance(answer, Ready):
            raise EOFError("it answered what was not asked")
        return answer

    async def end(self) -> None:
        """Kill it, and wait until it is gone."""
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        await self._process.communicate()

    async def _answer(self) -> ChildMessage:
        assert self._process.stdout is not None
        length = int.from_bytes(await self._process.stdout.readexactly(LENGTH))
        if length > MAX_ANSWER:
            raise EOFError("it answered too much")
        try:
            answer: ChildMessage = msgspec.msgpack.decode(
                await self._process.stdout.readexactly(length), type=ChildMessage
            )
        except msgspec.DecodeError as error:
            raise EOFError("it answered nonsense") from error
        return answer


def _key(task: Task) -> bytes:
    """What names a template, whatever message it is for."""
    named = [task.markup, *task.parts.values()] if isinstance(task, PartsTask) else [task.source]
    return hashlib.blake2b(msgspec.msgpack.encode(named), digest_size=16).digest()
