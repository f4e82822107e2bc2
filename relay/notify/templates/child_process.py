"""What runs in the process of its own in which templates are rendered?

It reads tasks from standard input and answers each on standard output, both as four bytes of length and msgpack.
It ends when its standard input does, and so with the relay, however that ended.
"""

import os
import resource
import signal
import sys
from pathlib import Path
from typing import BinaryIO, Final

import msgspec

from relay.domain.notifications import Rendered
from relay.notify.templates.sandbox import error_text, render_body, render_parts
from relay.notify.text.markup import MARKUPS, as_text

LENGTH: Final = 4
"""Bytes that say how long what follows is, the first being the highest."""
MAX_MEMORY: Final = 256 * 1024 * 1024
"""Bytes that rendering may take, beyond what the process has when it starts."""
LAST_RESORT: Final = 5
"""Seconds after which a task ends the process by itself, if the relay that would end it is gone."""
NICENESS: Final = 10
"""So that a template without an end takes its time from nobody."""


class PartsTask(msgspec.Struct, frozen=True, tag=True):
    """Render the parts of a message template, by the name of a markup. `data` is JSON."""

    parts: dict[str, str]
    markup: str
    data: bytes


class BodyTask(msgspec.Struct, frozen=True, tag=True):
    """Render a template of a whole body. `data` is JSON."""

    source: str
    data: bytes


class Ready(msgspec.Struct, frozen=True, tag=True):
    """It has started: what is asked from now on is answered at once."""


class RenderedBody(msgspec.Struct, frozen=True, tag=True):
    """What a BodyTask made."""

    text: str


class RenderedParts(msgspec.Struct, frozen=True, tag=True):
    """What a PartsTask made."""

    rendered: Rendered


class RenderFailed(msgspec.Struct, frozen=True, tag=True):
    """The template failed; why, in words for people."""

    words: str


Task = PartsTask | BodyTask
RenderResult = RenderedParts | RenderedBody | RenderFailed
ChildMessage = Ready | RenderResult


def framed(message: Task | ChildMessage) -> bytes:
    """A message as it goes over the pipe."""
    body = msgspec.msgpack.encode(message)
    return len(body).to_bytes(LENGTH) + body


def serve(tasks: BinaryIO, answers: BinaryIO) -> None:
    """Answer tasks until there are no more."""
    answers.write(framed(Ready()))
    answers.flush()
    while len(start := tasks.read(LENGTH)) == LENGTH:
        signal.alarm(LAST_RESORT)
        task = msgspec.msgpack.decode(tasks.read(int.from_bytes(start)), type=Task)
        answers.write(_answered(task))
        answers.flush()
        signal.alarm(0)


def _answered(task: Task) -> bytes:
    try:
        return framed(_made(task))
    except UnicodeEncodeError as error:
        return framed(RenderFailed(f"it made characters that no message can hold: {error.reason}"))


def _made(task: Task) -> RenderResult:
    try:
        match task:
            case PartsTask():
                data = msgspec.json.decode(as_text(task.data.decode()))
                return RenderedParts(render_parts(task.parts, MARKUPS[task.markup], data))
            case BodyTask():
                return RenderedBody(render_body(task.source, msgspec.json.decode(task.data)))
    except Exception as error:  # whatever a template can do wrong is its author's to know
        return RenderFailed(error_text(error))


def main() -> None:
    """Serve the process that started this one."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the relay, which then ends this
    os.nice(NICENESS)
    _limit_memory()
    serve(sys.stdin.buffer, sys.stdout.buffer)


def _limit_memory() -> None:
    """Where the system does not say how much is taken, or knows no such limit, only the time is bounded."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
        limit = pages * resource.getpagesize() + MAX_MEMORY
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    except (OSError, ValueError):
        pass


if __name__ == "__main__":
    main()
