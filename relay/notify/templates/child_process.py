"""The child process that renders templates, and compiles large ones to check them.

It reads tasks from standard input and writes results to standard output, both as four bytes of length and msgpack.
It exits at the end of standard input, so it does not outlive the relay.
"""

import os
import resource
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Final

import msgspec

from relay.domain.errors import InvalidInput
from relay.domain.notifications import Rendered
from relay.notify.templates.sandbox import compile_template, error_text, render_body, render_parts
from relay.notify.text.markup import MARKUPS, remove_encoded_markup

LENGTH_BYTES: Final = 4
"""Size of a message's length, in big-endian order."""
MAX_MEMORY: Final = 256 * 1024 * 1024
"""Bytes of memory that rendering may use in addition to what the process has after its start."""
ALARM_SECONDS: Final = 5
"""Time after which the process ends itself during a task, in case the relay that should kill it is gone."""
CHECK_ALARM_SECONDS: Final = 25
"""Compiling a large template takes longer than rendering one; the relay waits 20 seconds for it."""
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


class CheckTask(msgspec.Struct, frozen=True, tag=True):
    """Compile templates by field: of a whole body, or in the named markup."""

    sources: dict[str, str]
    markup: str | None


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


class Valid(msgspec.Struct, frozen=True, tag=True):
    """All templates of a CheckTask can be compiled."""


class Invalid(msgspec.Struct, frozen=True, tag=True):
    """A template cannot be compiled."""

    field: str
    message: str


RenderTask = PartsTask | BodyTask
Task = RenderTask | CheckTask
RenderResult = RenderedParts | RenderedBody | RenderFailed
ChildMessage = Ready | RenderResult | Valid | Invalid


def encode_message(message: Task | ChildMessage) -> bytes:
    """Encode a message for the pipe."""
    body = msgspec.msgpack.encode(message)
    return len(body).to_bytes(LENGTH_BYTES) + body


def read_messages(messages: BinaryIO) -> Iterator[ChildMessage]:
    """Decode what a process has written."""
    while len(length := messages.read(LENGTH_BYTES)) == LENGTH_BYTES:
        message: ChildMessage = msgspec.msgpack.decode(messages.read(int.from_bytes(length)), type=ChildMessage)
        yield message


def serve(tasks: BinaryIO, results: BinaryIO) -> None:
    """Process tasks until the end of the input."""
    results.write(encode_message(Ready()))
    results.flush()
    while len(length := tasks.read(LENGTH_BYTES)) == LENGTH_BYTES:
        signal.alarm(ALARM_SECONDS)
        task = msgspec.msgpack.decode(tasks.read(int.from_bytes(length)), type=Task)
        if isinstance(task, CheckTask):
            signal.alarm(CHECK_ALARM_SECONDS)
        results.write(_encoded_result(task))
        results.flush()
        signal.alarm(0)


def _encoded_result(task: Task) -> bytes:
    try:
        return encode_message(_result(task))
    except UnicodeEncodeError as error:
        return encode_message(RenderFailed(f"the result contains characters that UTF-8 lacks: {error.reason}"))


def _result(task: Task) -> ChildMessage:
    try:
        match task:
            case CheckTask():
                for field, source in task.sources.items():
                    compile_template(field, source, task.markup)
                return Valid()
            case PartsTask():
                data = msgspec.json.decode(remove_encoded_markup(task.data.decode()))
                return RenderedParts(render_parts(task.parts, MARKUPS[task.markup], data))
            case BodyTask():
                return RenderedBody(render_body(task.source, msgspec.json.decode(task.data)))
    except InvalidInput as error:
        return Invalid(error.field, error.message)
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
