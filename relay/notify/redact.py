"""Masking of a channel's secrets."""

import base64
import html
import json
import re
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Any, Final
from urllib.parse import unquote

import yarl

from relay.domain.channel_types import BaseChannel
from relay.domain.channels import MASK

SHORTEST_SECRET: Final = 6
_token = re.compile(r"[\w-]{16,}", re.ASCII)
"""What only a secret looks like, by itself."""


def redact(text: str, channel: BaseChannel) -> str:
    """Mask the channel's secrets in text that may leave the process."""
    if len(text) < SHORTEST_SECRET:
        return text
    return _masked(text, (shown for secret in secrets_of(channel) for shown in _shown_as(secret)))


def redact_own(text: str, channel: BaseChannel) -> str:
    """Mask the channel's secrets in what a notifier wrote, which says them whole or not at all.

    A word of a URL, such as `alerts`, is there a word like any other.
    """
    return _masked(text, (shown for secret in secrets_of(channel) for shown in _shown_whole(secret)))


def basic_credentials(user: str, password: str) -> str:
    """A user and password as HTTP's basic authentication sends them (RFC 7617)."""
    return base64.b64encode(f"{user}:{password}".encode()).decode()


def secrets_of(channel: BaseChannel) -> Iterator[str]:
    """All that is secret of a channel, whole."""
    if channel.LOGIN is not None:
        yield basic_credentials(*(getattr(channel, name) for name in channel.LOGIN))
    for name in channel.SECRET:
        value: Any = getattr(channel, name)
        for secret in value.values() if isinstance(value, dict) else (value,):
            if isinstance(secret, str):
                yield secret


def _masked(text: str, secrets: Iterable[str]) -> str:
    for secret in sorted(set(secrets), key=len, reverse=True):
        if len(secret) >= SHORTEST_SECRET:
            text = text.replace(secret, MASK)
    return text


@lru_cache(maxsize=1024)
def _shown_as(secret: str) -> tuple[str, ...]:
    return tuple(spelling for part in _parts(secret) for spelling in _spellings(part))


def _shown_whole(secret: str) -> Iterator[str]:
    """A secret, and what in it only a secret looks like."""
    return (spelling for part in (secret, *_token.findall(secret)) for spelling in _spellings(part))


def _parts(secret: str) -> Iterator[str]:
    """A secret, and what of it another may show: the path of a URL, the token of a header."""
    yield secret
    yield from secret.split()
    if "://" not in secret:
        yield from _token.findall(secret)
        return
    try:
        url = yarl.URL(secret)
    except ValueError:
        return
    path = secret.partition("://")[2].partition("/")[2]
    yield from (str(url), path, url.raw_path_qs.lstrip("/"), *_token.findall(path))
    yield from url.query.values()
    if url.password:
        yield url.password
        yield basic_credentials(url.user or "", url.password)


def _spellings(text: str) -> Iterator[str]:
    """Text as it is, and as JSON, HTML or a server's own decoding of URLs spells it."""
    quoted = json.dumps(text)[1:-1]
    yield from (text, quoted, quoted.replace("/", "\\/"), html.escape(text), unquote(text))
