"""Decoding of a body without stopping the event loop."""

import asyncio
import contextlib
import sys
from datetime import datetime
from typing import Final

import msgspec

from relay.decoding.child_process import LENGTH_BYTES, Alerts, Frame, Head, Invalid
from relay.domain.alerts import Alert
from relay.domain.decoded import Decoded, decode
from relay.domain.errors import InvalidWebhook, Unavailable
from relay.domain.identity import Hashes
from relay.settings import child_environment

LARGE_BODY: Final = 256 * 1024
"""Bytes; a smaller body is decoded in less than about 20 ms."""
TIMEOUT: Final = 30.0
"""Seconds for a large one, of which 10 MB take one or two."""

_decoder: Final = msgspec.msgpack.Decoder(Frame)


async def decode_body(body: bytes, now: datetime) -> Decoded:
    """Decode a webhook's body that was received at a time.

    A large one is decoded in a child process, because the decoder holds the interpreter's lock.

    Raises:
        InvalidWebhook: the body is no webhook; names the field.
        Unavailable: the child process failed.
    """
    if len(body) <= LARGE_BODY:
        return decode(body, now)
    try:
        async with asyncio.timeout(TIMEOUT):
            return await _decode_in_child(body, now)
    except (OSError, EOFError, TimeoutError, msgspec.DecodeError) as error:
        raise Unavailable(f"the process that decodes large webhooks failed ({type(error).__name__})") from error


async def _decode_in_child(body: bytes, now: datetime) -> Decoded:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "relay.decoding.child_process", now.isoformat()),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        env=child_environment("PYTHONPATH", "PYTHONHOME"),
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        process.stdin.write(body)
        process.stdin.write_eof()
        head = await _read_frame(process.stdout)
        if isinstance(head, Invalid):
            raise InvalidWebhook(head.field, head.message)
        assert isinstance(head, Head)
        identities: list[bytes] = []
        alerts: list[Alert] = []
        with contextlib.suppress(EndOfFrames):
            while isinstance(frame := await _read_frame(process.stdout), Alerts):
                identities += [identity for identity, _ in frame.alerts]
                alerts += [alert for _, alert in frame.alerts]
        if await process.wait():
            raise EOFError("the process was ended")
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await asyncio.shield(process.communicate())
    group = msgspec.structs.replace(head.group, alerts=tuple(alerts))
    return Decoded(group, Hashes(tuple(identities), head.state, head.alerts))


class EndOfFrames(EOFError):
    """The output ends after a whole frame."""


async def _read_frame(output: asyncio.StreamReader) -> Frame:
    try:
        length = await output.readexactly(LENGTH_BYTES)
    except asyncio.IncompleteReadError as error:
        if error.partial:
            raise
        raise EndOfFrames from None
    frame: Frame = _decoder.decode(await output.readexactly(int.from_bytes(length)))
    return frame
