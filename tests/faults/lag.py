"""Runs the relay, and writes how late its event loop is: `python -m tests.faults.lag serve`.

A ticker on the loop measures how much later than after 10 ms it runs, minus the time that the threads of the
process were ready to run and had no processor (/proc/self/task/*/schedstat): one of them may have held the
interpreter's lock meanwhile, for which the loop waits. Each lag that is worth a line is appended to the file
RELAY_LAG_FILE, in seconds.
"""

import asyncio
import contextlib
import os
import time
from pathlib import Path
from typing import Final

import uvloop

from relay.__main__ import main

TICK: Final = 0.01
WORTH_A_LINE: Final = 0.02

new_event_loop = uvloop.new_event_loop


class Ticker:
    """Measures a loop from its start on."""

    def __init__(self, loop: asyncio.AbstractEventLoop, file: Path) -> None:
        self._loop, self._file = loop, file
        self._due = self._waited = 0.0
        loop.call_soon(self._next)

    def _next(self) -> None:
        now, waited = time.monotonic(), run_queue_wait()
        if self._due:
            lag = now - self._due - (waited - self._waited)
            if lag > WORTH_A_LINE:
                with self._file.open("a") as lines:
                    lines.write(f"{lag:.4f}\n")
        self._due, self._waited = time.monotonic() + TICK, waited
        self._loop.call_later(TICK, self._next)


def run_queue_wait() -> float:
    """Seconds that the threads of this process were ready to run and had no processor."""
    waited = 0
    for task in Path("/proc/self/task").iterdir():
        with contextlib.suppress(OSError):  # it has ended
            waited += int((task / "schedstat").read_text().split()[1])
    return waited / 1e9


def measured_loop() -> asyncio.AbstractEventLoop:
    """A loop with a ticker."""
    loop: asyncio.AbstractEventLoop = new_event_loop()
    Ticker(loop, Path(os.environ["RELAY_LAG_FILE"]))
    return loop


if __name__ == "__main__":
    uvloop.new_event_loop = measured_loop  # type: ignore[assignment]  # the relay's loop is measured from outside
    main()
