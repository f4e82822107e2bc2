"""The child process that decodes one large body.

Its argument is when the body was received. It reads the body from standard input until its end, and writes frames
to standard output, each four bytes of length and msgpack: a `Head` and then alerts with their identities, some at
a time; or an `Invalid`.
"""

import signal
import sys
from collections.abc import Iterator
from datetime import datetime
from typing import BinaryIO, Final

import msgspec

from relay.domain.alerts import Alert, Group
from relay.domain.decoded import decode
from relay.domain.errors import InvalidWebhook

LENGTH_BYTES: Final = 4
"""Size of a frame's length, in big-endian order."""
FRAME_ALERTS: Final = 500
FRAME_TEXT: Final = 128 * 1024
"""Alerts of a frame, and about how many characters of labels and annotations: the relay decodes one at a time."""


class Head(msgspec.Struct, frozen=True, tag=True):
    """The group without its alerts, and the hashes over all of them."""

    group: Group
    state: str
    alerts: str


class Invalid(msgspec.Struct, frozen=True, tag=True):
    """Why the body is no webhook; see `InvalidWebhook`."""

    field: str
    message: str


class Alerts(msgspec.Struct, frozen=True, tag=True):
    """The next alerts of the body, each with the identity of its series."""

    alerts: list[tuple[bytes, Alert]]


Frame = Head | Invalid | Alerts


def frames(body: bytes, now: datetime) -> Iterator[Frame]:
    """Decode a body that was received at a time."""
    try:
        decoded = decode(body, now)
    except InvalidWebhook as error:
        yield Invalid(error.field, error.message)
        return
    hashes = decoded.hashes
    yield Head(msgspec.structs.replace(decoded.group, alerts=()), hashes.state, hashes.alerts)
    part: list[tuple[bytes, Alert]] = []
    text = 0
    for identity, alert in zip(hashes.identities, decoded.group.alerts, strict=True):
        part.append((identity, alert))
        text += sum(map(len, alert.labels.values())) + sum(map(len, alert.annotations.values()))
        if len(part) >= FRAME_ALERTS or text >= FRAME_TEXT:
            yield Alerts(part)
            part, text = [], 0
    if part:
        yield Alerts(part)


def main(now: datetime, body: BinaryIO, output: BinaryIO) -> None:
    """Decode standard input."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # on Ctrl-C the relay ends this process
    for frame in frames(body.read(), now):
        encoded = msgspec.msgpack.encode(frame)
        output.write(len(encoded).to_bytes(LENGTH_BYTES) + encoded)
    output.flush()


if __name__ == "__main__":
    main(datetime.fromisoformat(sys.argv[1]), sys.stdin.buffer, sys.stdout.buffer)
