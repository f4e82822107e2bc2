"""The server that commands call, and the API key that they send."""

from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from relay.domain.errors import SettingsError
from relay.settings import Settings


class Server(msgspec.Struct, frozen=True):
    """The base URL of the API, without a slash at the end, and the key to send."""

    url: str
    key: str


class _AddressFile(msgspec.Struct):
    url: str


def find_server(settings: Settings) -> Server:
    """Return RELAY_URL and RELAY_KEY, or the address and key in the data directory of the server on this machine.

    Raises:
        SettingsError: the URL is invalid, or there is no key.
    """
    url = _checked_url(settings.url) if settings.url else _local_url(settings)
    # The key in the data directory must only be sent to the server on this machine, not to any RELAY_URL.
    key = settings.key or (_local_key(settings) if url == _local_url(settings) else None)
    if not key:
        raise SettingsError(
            f"no API key for {url}; set RELAY_KEY (create the first one with `relay keys create --direct`)"
        )
    return Server(url=url, key=_checked_key(key))


def _local_url(settings: Settings) -> str:
    written = _read(settings.server_file) if settings.embedded else None
    if written:
        try:
            return _checked_url(msgspec.json.decode(written, type=_AddressFile).url)
        except (msgspec.DecodeError, SettingsError):
            pass  # damaged, or written by another release: use the default address
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
        raise SettingsError(f"RELAY_URL must be a URL such as http://127.0.0.1:8080, not {url!r}")
    return url.rstrip("/")


def _checked_key(key: str) -> str:
    key = key.strip()
    if not key.isascii() or not key.isprintable():
        raise SettingsError("RELAY_KEY contains characters that are invalid in a key")
    return key
