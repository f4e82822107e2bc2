"""Checks of templates when they are created: a large one is compiled in a child process.

Python compiles a template of 64 KiB in about a second, during much of which no other thread can run.
"""

import io
import subprocess
import sys
from collections.abc import Mapping
from typing import Final

from relay.domain.errors import InvalidInput, Unavailable
from relay.notify.templates.child_process import (
    CheckTask,
    ChildMessage,
    Invalid,
    RenderFailed,
    encode_message,
    read_messages,
)
from relay.notify.templates.sandbox import compile_template
from relay.notify.text.markup import PLAIN
from relay.settings import child_environment

SMALL: Final = 2048
"""Characters of templates that are compiled in the relay's own process, which takes it about 20 ms."""
TIMEOUT: Final = 20.0
"""Seconds for the start of the process and its work."""


def check_body(field: str, source: str) -> None:
    """Reject a template of a whole body that cannot be compiled. May take seconds: call it in a thread.

    Raises:
        InvalidInput: names the field and the line.
        Unavailable: the process that compiles it failed.
    """
    _check({field: source}, None)


def check_parts(parts: Mapping[str, str]) -> None:
    """Reject a message template that cannot be compiled, like `check_body`; the fields are its parts."""
    _check(dict(parts), PLAIN.name)


def _check(sources: dict[str, str], markup: str | None) -> None:
    if sum(map(len, sources.values())) <= SMALL:
        for field, source in sources.items():
            compile_template(field, source, markup)
        return
    match _result_of_child(CheckTask(sources, markup)):
        case Invalid(field, message):
            raise InvalidInput(field, message)
        case RenderFailed(error):  # such as a lack of memory
            raise InvalidInput(next(iter(sources)), error)


def _result_of_child(task: CheckTask) -> ChildMessage:
    try:
        finished = subprocess.run(
            [sys.executable, "-m", "relay.notify.templates.child_process"],
            input=encode_message(task),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=child_environment("PYTHONPATH", "PYTHONHOME"),
            timeout=TIMEOUT,
            check=True,
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise Unavailable(f"the process that checks templates failed ({type(error).__name__})") from None
    *_, last = read_messages(io.BytesIO(finished.stdout))
    return last
