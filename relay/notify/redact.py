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

MIN_SECRET: Final = 6
"""Characters; shorter secrets and parts occur in ordinary text, and are masked only where they are whole words."""
PEM: Final = "-----BEGIN"
"""The start of a key, whose first and last line are no secret."""
_token = re.compile(r"[\w-]{16,}", re.ASCII)
"""A part of a URL or header that looks like a secret."""


def redact(text: str, channel: BaseChannel) -> str:
    """Mask the channel's secrets, whole or in part, in text that may leave the process."""
    masked = _masked(text, (form for secret in secrets_of(channel) for form in _forms_of_parts(secret)))
    return _mask_short(masked, channel)


def redact_whole(text: str, channel: BaseChannel) -> str:
    """Mask the channel's secrets in a request that a notifier built.

    Only whole secrets and their tokens: a notifier does not quote parts of a secret, and a part of a secret URL
    such as `alerts` is an ordinary word in a message.
    """
    masked = _masked(text, (form for secret in secrets_of(channel) for form in _forms_of_whole(secret)))
    return _mask_short(masked, channel)


def basic_credentials(user: str, password: str) -> str:
    """User and password as HTTP basic authentication encodes them.

    Source: https://www.rfc-editor.org/rfc/rfc7617#section-2
    """
    return base64.b64encode(f"{user}:{password}".encode()).decode()


def secrets_of(channel: BaseChannel) -> Iterator[str]:
    """All secrets of a channel, each whole."""
    if channel.LOGIN is not None:
        yield basic_credentials(*(getattr(channel, name) for name in channel.LOGIN))
    for name in channel.SECRET:
        value: Any = getattr(channel, name)
        for secret in value.values() if isinstance(value, dict) else (value,):
            if isinstance(secret, str) and secret.startswith(PEM):
                yield from (line for line in secret.splitlines() if not line.startswith("-"))
            elif isinstance(secret, str):
                yield secret


def _masked(text: str, secrets: Iterable[str]) -> str:
    for secret in sorted(set(secrets), key=len, reverse=True):
        if len(secret) >= MIN_SECRET:
            text = text.replace(secret, MASK)
    return text


def _mask_short(text: str, channel: BaseChannel) -> str:
    """Mask the secrets that are too short to be replaced anywhere: only those that stand alone."""
    for secret in secrets_of(channel):
        if 0 < len(secret) < MIN_SECRET:
            text = re.sub(rf"(?<!\w){re.escape(secret)}(?!\w)", MASK, text)
    return text


@lru_cache(maxsize=1024)
def _forms_of_parts(secret: str) -> tuple[str, ...]:
    return tuple(form for part in _parts(secret) for form in _encodings(part))


def _forms_of_whole(secret: str) -> Iterator[str]:
    return (form for part in (secret, *_token.findall(secret)) for form in _encodings(part))


def _parts(secret: str) -> Iterator[str]:
    """A secret and its parts that a platform or library may quote: the path of a URL, the token of a header."""
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


def _encodings(text: str) -> Iterator[str]:
    """The text plain, and in JSON, HTML and URL-decoded form."""
    quoted = json.dumps(text)[1:-1]
    yield from (text, quoted, quoted.replace("/", "\\/"), html.escape(text), unquote(text))
