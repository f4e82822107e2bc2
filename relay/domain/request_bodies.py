"""The limits and the encoding of a request's body, which the server and the application share."""

from collections.abc import Iterable
from typing import Final

MAX_BODY: Final = 10 * 1024 * 1024
"""Bytes of a webhook's body, before and after decompression."""
RESERVE: Final = "alert_relay.reserve"
"""An ASGI extension of the relay's server: a function that reserves so many more bytes until the response.

It returns whether there was room, and is for what the application decompresses.
"""


def encodings_of(headers: Iterable[str]) -> list[str]:
    """Return the encodings in Content-Encoding headers, in lower case, without `identity`."""
    given = ",".join(headers).lower().split(",")
    return [name for encoding in given if (name := encoding.strip()) not in ("", "identity")]
