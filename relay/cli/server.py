"""Which server do the commands talk to, and with which key?"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import msgspec

from relay.domain.errors import SettingsError
from relay.settings import Settings, load

if TYPE_CHECKING:
    from relay.cli.client import Client


class Server(msgspec.Struct, frozen=True):
    """Where the API is, without a slash at the end, and the key to send."""

    url: str
    key: str


class _AddressFile(msgspec.Struct):
    url: str


@asynccontextmanager
async def connect() -> "AsyncIterator[Client]":
    """A client of the API that the settings name."""
    from relay.cli.client import Client  # aiohttp takes a third of a second to import; --help does without

    async with Client(find_server(load())) as client:
        yield client


def find_server(settings: Settings) -> Server:
    """RELAY_URL and RELAY_KEY, or what the server on this machine left in its data directory.

    Raises:
        SettingsError: the address is none, or there is no key.
    """
    url = _checked_url(settings.url) if settings.url else _local_url(settings)
    # A key of this machine is for the server of this machine: it must not travel to wherever RELAY_URL points.
    key = settings.key or (_local_key(settings) if url == _local_url(settings) else None)
    if not key:
        raise SettingsError(f"there is no key for {url}; set RELAY_KEY (`relay keys create` makes one)")
    return Server(url=url, key=_checked_key(key))


def _local_url(settings: Settings) -> str:
    written = _read(settings.server_file) if settings.embedded else None
    if written:
        try:
            return _checked_url(msgspec.json.decode(written, type=_AddressFile).url)
        except (msgspec.DecodeError, SettingsError):
            pass  # half written, or of another release: then the default address is the best guess
    return f"http://127.0.0.1:{settings.port}"


def _local_key(settings: Settings) -> str | None:
    return settings.admin_key or (_read(settings.admin_key_file) if settings.embedded else None)


def _read(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return None


def _checked_url(url: str) -> str:
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise SettingsError(f"RELAY_URL must be an address such as http://127.0.0.1:8080, not {url!r}")
    return url.rstrip("/")


def _checked_key(key: str) -> str:
    key = key.strip()
    if not key.isascii() or not key.isprintable():
        raise SettingsError("RELAY_KEY holds characters that no key has")
    return key
