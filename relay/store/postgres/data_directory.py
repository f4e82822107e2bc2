"""The data directory of an embedded Postgres, and what can be wrong with it, in one line that says what to do."""

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from relay.domain.errors import SettingsError

MIN_FREE: Final = 1024 * 1024
"""Bytes; with less, Postgres can neither write nor start."""
CLUSTER: Final = "postgres"
"""The folder of the server's files."""


def directory_problem(data_dir: Path) -> str | None:
    """Return why the server under a data directory can't work; None if nothing is known to be wrong."""
    cluster = data_dir / CLUSTER
    if is_deleted(data_dir):
        return (
            f"{cluster} was deleted: stop the relay, put the folder back from a backup, and start it; "
            "without a backup it starts with a new, empty database"
        )
    try:
        free = shutil.disk_usage(cluster).free
    except OSError as error:
        return f"{cluster} can't be read ({error.strerror}): make it readable"
    if os.statvfs(cluster).f_flag & os.ST_RDONLY:
        return f"the disk of {cluster} is read-only: make it writable"
    if free < MIN_FREE:
        return f"the disk of {cluster} is full: make room"
    return None


def is_deleted(data_dir: Path) -> bool:
    """Return whether the files of a server that runs, or ran, are gone."""
    return not (data_dir / CLUSTER / "PG_VERSION").exists()


def make_private(folder: Path, mode: int = 0o700) -> None:
    """Create a folder, unless it exists.

    Raises:
        SettingsError: it can't be created or written to.
    """
    try:
        if not folder.exists():
            folder.mkdir(parents=True)
            folder.chmod(mode)
        if not os.access(folder, os.W_OK | os.X_OK):
            raise PermissionError(f"{folder} is not writable")
    except OSError as error:
        raise SettingsError(f"the data directory {folder} can't be used: {error.strerror or error}") from None


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock of a file for a block; other processes wait."""
    with path.open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
