"""A pool of child processes that render templates, each within a time limit.

A process is started for the first template, and replaced after it had to be killed. A template that exceeded the
limit is paused for a while, so that it does not delay other messages again and again.
"""

import asyncio
import contextlib
import hashlib
import sys
import time
from typing import Final, Self

import msgspec

from relay.notify.templates.child_process import (
    LENGTH_BYTES,
    ChildMessage,
    PartsTask,
    Ready,
    RenderFailed,
    RenderResult,
    RenderTask,
    encode_message,
)
from relay.settings import child_environment

RENDER_TIMEOUT: Final = 2.0
"""Seconds for one message, without the start of the process."""
WAIT_TIMEOUT: Final = 5.0
"""Seconds that a message waits for a free process before it is sent with the built-in text."""
START_TIMEOUT: Final = 30.0
MAX_PROCESSES: Final = 2
MAX_DATA: Final = 8 * 1024 * 1024
"""Bytes of a task's data."""
MAX_RESULT: Final = 32 * 1024 * 1024
"""Bytes of a result."""
MIN_PAUSE: Final = 60.0
MAX_PAUSE: Final = 3600.0
"""Seconds; a template's pause doubles each time that it exceeds the limit."""
MAX_PAUSED: Final = 1000


class ProcessPool:
    """Renders templates in at most MAX_PROCESSES processes. Must be closed."""

    def __init__(self, render_timeout: float = RENDER_TIMEOUT, wait_timeout: float = WAIT_TIMEOUT) -> None:
        """Processes are started later, when they are needed."""
        self._render_timeout = render_timeout
        self._wait_timeout = wait_timeout
        self._slots = asyncio.Semaphore(MAX_PROCESSES)
        self._idle: list[_Process] = []
        self._pauses: dict[bytes, _Pause] = {}
        self._closed = False

    async def render(self, task: RenderTask) -> RenderResult:
        """Render a template. Errors are part of the result; raises nothing but cancellation."""
        if len(task.data) > MAX_DATA:
            return RenderFailed(f"the message's data is larger than {MAX_DATA} bytes")
        key = _template_key(task)
        if (paused := self._paused(key)) is not None:
            return paused
        try:
            async with asyncio.timeout(self._wait_timeout):
                await self._slots.acquire()
        except TimeoutError:
            return RenderFailed(f"no process was free to render it within {self._wait_timeout:g} s")
        try:
            # The template may have been paused for another message in the meantime.
            return self._paused(key) or await self._render(task, key)
        finally:
            self._slots.release()

    async def close(self) -> None:
        """Stop the idle processes; tasks that are being rendered must be canceled first."""
        self._closed = True
        while self._idle:
            await self._idle.pop().kill()

    async def _render(self, task: RenderTask, key: bytes) -> RenderResult:
        try:
            process = await self._acquire_process()
        except (OSError, EOFError, TimeoutError) as error:
            return RenderFailed(f"the template process did not start: {type(error).__name__}: {error}")
        result: RenderResult | None = None
        failure = "the template process exited"
        try:
            async with asyncio.timeout(self._render_timeout):
                result = await process.render(task)
        except TimeoutError:
            failure = f"rendering took longer than {self._render_timeout:g} s"
        except (OSError, EOFError):
            pass
        finally:  # also after cancellation: the process may still write a result that no one reads
            if result is None or self._closed:
                await asyncio.shield(process.kill())
            else:
                self._idle.append(process)
        if result is not None:
            self._pauses.pop(key, None)
            return result
        return RenderFailed(f"{failure}; the template is paused for {self._pause(key):g} s")

    async def _acquire_process(self) -> "_Process":
        while self._idle:
            process = self._idle.pop()
            if process.running:
                return process
            await process.kill()
        return await _Process.start()

    def _paused(self, key: bytes) -> RenderFailed | None:
        pause = self._pauses.get(key)
        if pause is None or (left := pause.until - time.monotonic()) <= 0:
            return None
        return RenderFailed(f"the template is paused for another {max(left, 1):.0f} s after it took too long")

    def _pause(self, key: bytes) -> float:
        """Pause a template, and return for how many seconds."""
        previous = self._pauses.pop(key, None)
        seconds = MIN_PAUSE if previous is None else min(2 * previous.seconds, MAX_PAUSE)
        while len(self._pauses) >= MAX_PAUSED:
            self._pauses.pop(next(iter(self._pauses)))
        self._pauses[key] = _Pause(seconds, time.monotonic() + seconds)
        return seconds


class _Pause(msgspec.Struct, frozen=True):
    seconds: float
    until: float


class _Process:
    """One child process."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    @classmethod
    async def start(cls) -> Self:
        """Start a process, and wait until it accepts tasks.

        Raises:
            OSError: it cannot be started.
            EOFError: it exited at once.
            TimeoutError: it takes too long.
        """
        process = cls(
            await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "relay.notify.templates.child_process"),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.DEVNULL,
                env=child_environment("PYTHONPATH", "PYTHONHOME"),
            )
        )
        ready = False
        try:
            async with asyncio.timeout(START_TIMEOUT):
                ready = isinstance(await process._read_message(), Ready)
        finally:
            if not ready:
                await asyncio.shield(process.kill())
        return process

    @property
    def running(self) -> bool:
        return self._process.returncode is None

    async def render(self, task: RenderTask) -> RenderResult:
        """Send a task, and read its result.

        Raises:
            OSError, EOFError: the process exited.
        """
        assert self._process.stdin is not None
        self._process.stdin.write(encode_message(task))
        await self._process.stdin.drain()
        result = await self._read_message()
        if not isinstance(result, RenderResult):
            raise EOFError("unexpected message")
        return result

    async def kill(self) -> None:
        """Kill the process, and wait until it has exited."""
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        await self._process.communicate()

    async def _read_message(self) -> ChildMessage:
        assert self._process.stdout is not None
        length = int.from_bytes(await self._process.stdout.readexactly(LENGTH_BYTES))
        if length > MAX_RESULT:
            raise EOFError("the message is too large")
        body = await self._process.stdout.readexactly(length)
        try:
            message: ChildMessage = msgspec.msgpack.decode(body, type=ChildMessage)
        except msgspec.DecodeError as error:
            raise EOFError("the message is malformed") from error
        return message


def _template_key(task: RenderTask) -> bytes:
    """Identifies a template, independent of the message."""
    sources = [task.markup, *task.parts.values()] if isinstance(task, PartsTask) else [task.source]
    return hashlib.blake2b(msgspec.msgpack.encode(sources), digest_size=16).digest()
