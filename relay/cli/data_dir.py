"""What does an embedded server keep in its data directory, for its next start and for the command line?"""

import os
from pathlib import Path

import msgspec

from relay.settings import Settings
from relay.store.configuration.api_keys import new_secret
from relay.store.configuration.seal import new_key
from relay.store.postgres.embedded import locked


class LocalKeys(msgspec.Struct, frozen=True):
    """The keys of an embedded server; `fresh` when this call made the admin key."""

    secret_key: str
    admin_key: str
    fresh: bool

    def __repr__(self) -> str:
        """Show no key."""
        return "LocalKeys(…)"


def ensure_keys(settings: Settings) -> LocalKeys:
    """Read the keys, or make them, readable by their owner alone."""
    with locked(settings.data_dir / ".starting"):
        secret_key, _ = _read_or_make(settings.secret_key_file, new_key())
        admin_key, fresh = _read_or_make(settings.admin_key_file, new_secret())
    return LocalKeys(secret_key, admin_key, fresh)


def announce(settings: Settings, url: str) -> None:
    """Leave word of where the server listens."""
    _write(settings.server_file, msgspec.json.encode({"url": url}), mode=0o644)


def _read_or_make(path: Path, fresh: str) -> tuple[str, bool]:
    if path.exists():
        return path.read_text().strip(), False
    _write(path, f"{fresh}\n".encode(), mode=0o600)
    return fresh, True


def _write(path: Path, content: bytes, mode: int) -> None:
    """Write a file as a whole: a kill in the middle leaves the old one, or none."""
    unfinished = path.with_name(f"{path.name}.{os.getpid()}")
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(descriptor)
    unfinished.rename(path)
