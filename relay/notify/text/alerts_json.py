"""JSON of messages with many alerts."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec

_encoder: Final = msgspec.json.Encoder()


def encode_with_alerts(head: Mapping[str, Any], alerts: Iterable[msgspec.Struct]) -> bytes:
    """Encode an object, which is not empty, with the key `alerts` added at its end.

    Each alert by itself: the encoder holds the interpreter's lock, for which the event loop would wait.
    """
    buffer = bytearray(_encoder.encode(head))
    buffer[-1:] = b',"alerts":['
    empty = len(buffer)
    for alert in alerts:
        _encoder.encode_into(alert, buffer, -1)
        buffer += b","
    if len(buffer) > empty:
        del buffer[-1:]
    buffer += b"]}"
    return bytes(buffer)
