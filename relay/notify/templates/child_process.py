"""The child process that renders templates.

It reads tasks from standard input and writes results to standard output, both as four bytes of length and msgpack.
It exits at the end of standard input, so it does not outlive the relay.
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
from relay.notify.text.markup import MARKUPS, remove_encoded_markup

LENGTH_BYTES: Final = 4
"""Size of a message's length, in big-endian order."""
MAX_MEMORY: Final = 256 * 1024 * 1024
"""Bytes of memory that rendering may use in addition to what the process has after its start."""
ALARM_SECONDS: Final = 5
"""Time after which the process ends itself during a task, in case the relay that should kill it is gone."""
NICENESS: Final = 10
"""Lowers the priority, so that an endless template does not slow down the relay."""


class PartsTask(msgspec.Struct, frozen=True, tag=True):
    """Render the parts of a message template in the named markup. `data` is JSON."""

    parts: dict[str, str]
    markup: str
    data: bytes


class BodyTask(msgspec.Struct, frozen=True, tag=True):
    """Render a template of a whole body. `data` is JSON."""

    source: str
    data: bytes


class Ready(msgspec.Struct, frozen=True, tag=True):
    """The process has started and accepts tasks."""


class RenderedBody(msgspec.Struct, frozen=True, tag=True):
    """The result of a BodyTask."""

    text: str


class RenderedParts(msgspec.Struct, frozen=True, tag=True):
    """The result of a PartsTask."""

    rendered: Rendered


class RenderFailed(msgspec.Struct, frozen=True, tag=True):
    """The template failed. `error` is for its author."""

    error: str


Task = PartsTask | BodyTask
RenderResult = RenderedParts | RenderedBody | RenderFailed
ChildMessage = Ready | RenderResult


def encode_message(message: Task | ChildMessage) -> bytes:
    """Encode a message for the pipe."""
    body = msgspec.msgpack.encode(message)
    return len(body).to_bytes(LENGTH_BYTES) + body


def serve(tasks: BinaryIO, results: BinaryIO) -> None:
    """Process tasks until the end of the input."""
    results.write(encode_message(Ready()))
    results.flush()
    while len(length := tasks.read(LENGTH_BYTES)) == LENGTH_BYTES:
        signal.alarm(ALARM_SECONDS)
        task = msgspec.msgpack.decode(tasks.read(int.from_bytes(length)), type=Task)
        results.write(_encoded_result(task))
        results.flush()
        signal.alarm(0)


def _encoded_result(task: Task) -> bytes:
    try:
        return encode_message(_result(task))
    except UnicodeEncodeError as error:
        return encode_message(RenderFailed(f"the result contains characters that UTF-8 lacks: {error.reason}"))


def _result(task: Task) -> RenderResult:
    try:
        match task:
            case PartsTask():
                data = msgspec.json.decode(remove_encoded_markup(task.data.decode()))
                return RenderedParts(render_parts(task.parts, MARKUPS[task.markup], data))
            case BodyTask():
                return RenderedBody(render_body(task.source, msgspec.json.decode(task.data)))
    except Exception as error:  # a template may raise anything, and its author needs the message
        return RenderFailed(error_text(error))


def main() -> None:
    """Serve the parent process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # on Ctrl-C the relay stops this process
    os.nice(NICENESS)
    _limit_memory()
    serve(sys.stdin.buffer, sys.stdout.buffer)


def _limit_memory() -> None:
    """Limit the address space. Systems without /proc or RLIMIT_AS only have the limit on time."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
        limit = pages * resource.getpagesize() + MAX_MEMORY
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    except (OSError, ValueError):
        pass


if __name__ == "__main__":
    main()
