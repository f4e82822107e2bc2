"""JSON of messages with many alerts."""

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Any, Final

import msgspec

ENCODED_AT_ONCE: Final = 100
"""Alerts; the encoder holds the interpreter's lock, for which the event loop waits when this runs in a thread."""

_encoder: Final = msgspec.json.Encoder()


def encode_with_alerts(head: Mapping[str, Any], alerts: Iterable[msgspec.Struct]) -> bytes:
    """Encode an object, which is not empty, with the key `alerts` added at its end."""
    parts = [_encoder.encode(head)[:-1], b',"alerts":[', *_encoded(iter(alerts)), b"]}"]
    return b"".join(parts)


def _encoded(alerts: Iterator[msgspec.Struct]) -> Iterator[bytes]:
    separator = b""
    while part := list(islice(alerts, ENCODED_AT_ONCE)):
        yield separator + _encoder.encode(part)[1:-1]
        separator = b","
