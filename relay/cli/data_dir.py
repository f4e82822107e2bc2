"""The files of an embedded server in its data directory: its keys and its address."""

import os
from pathlib import Path

import msgspec

from relay.settings import Settings
from relay.store.configuration.api_keys import new_secret
from relay.store.configuration.seal import new_key
from relay.store.postgres.data_directory import locked


class LocalKeys(msgspec.Struct, frozen=True):
    """The keys of an embedded server, those of the settings first. `created`: the admin key is new."""

    secret_key: str
    admin_key: str
    created: bool

    def __repr__(self) -> str:
        """Omit the keys."""
        return "LocalKeys(…)"


def ensure_keys(settings: Settings) -> LocalKeys:
    """Read the keys that the settings lack, or generate them in files that only their owner can read."""
    secret_key, admin_key, created = settings.secret_key, settings.admin_key, False
    with locked(settings.data_dir / ".starting"):
        if secret_key is None:
            secret_key, _ = _read_or_create(settings.secret_key_file, new_key())
        if admin_key is None:
            admin_key, created = _read_or_create(settings.admin_key_file, new_secret())
    return LocalKeys(secret_key, admin_key, created)


def write_address(settings: Settings, url: str) -> None:
    """Write the URL of the server, for commands on this machine."""
    _write(settings.server_file, msgspec.json.encode({"url": url}), mode=0o644)


def _read_or_create(path: Path, new: str) -> tuple[str, bool]:
    if path.exists():
        return path.read_text().strip(), False
    _write(path, f"{new}\n".encode(), mode=0o600)
    return new, True


def _write(path: Path, content: bytes, mode: int) -> None:
    """Write a file atomically: an interruption leaves the old file, or none."""
    unfinished = path.with_name(f"{path.name}.{os.getpid()}")
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(descriptor)
    unfinished.rename(path)
