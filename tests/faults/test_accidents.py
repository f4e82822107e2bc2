"""Accidents of operators, with real processes: nothing acknowledged is lost, and one line says what to do."""

import asyncio
import os
import shutil
import signal
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path

import aiohttp
import pytest

from relay.app import BASE_PATH
from relay.store.configuration.seal import new_key
from tests.fixtures.postgres import short_folder
from tests.fixtures.processes import RelayProcess, create_channel, on_database, relay_process
from tests.fixtures.relays import ADMIN_KEY, alert, webhook
from tests.fixtures.sink import Sink

MOUNTED_BYTES = 130 * 1024 * 1024
"""A new cluster takes 40 MB."""
MANY_KILOBYTES = 3
GOES_ON = 20.0
"""Seconds until a relay goes on after an accident is over."""

pytestmark = pytest.mark.slow


@pytest.fixture
def folder() -> Iterator[Path]:
    with short_folder() as path:
        yield path


@contextmanager
def small_disk() -> Iterator[Path]:
    """A disk of MOUNTED_BYTES."""
    with short_folder() as path:
        options = f"size={MOUNTED_BYTES},mode=755"
        mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", path], capture_output=True)
        if mounted.returncode != 0:
            pytest.skip(f"no disk can be mounted here: {mounted.stderr.decode().strip()}")
        try:
            yield path
        finally:
            subprocess.run(["umount", path], check=True)


@asynccontextmanager
async def embedded_relay(data_dir: Path) -> AsyncIterator[RelayProcess]:
    """A relay with the embedded Postgres, stopped at the end."""
    process = RelayProcess({"RELAY_DATA_DIR": str(data_dir), "RELAY_ADMIN_KEY": ADMIN_KEY})
    try:
        await process.start()
        yield process
    finally:
        await process.stop()


class Sender:
    """Sends webhooks one after the other, and remembers those that were acknowledged."""

    def __init__(self, relay: RelayProcess) -> None:
        self._url = f"{relay.url}{BASE_PATH}/webhook"
        self._sent = 0
        self.acknowledged: set[str] = set()
        self.detail = ""

    async def send_until(self, status: int, max_wait: float = 60.0) -> None:
        """Send until a response has the status."""
        async with asyncio.timeout(max_wait), aiohttp.ClientSession() as session:
            while await self._send(session) != status:
                pass

    async def _send(self, session: aiohttp.ClientSession) -> int:
        self._sent += 1
        group = f"group-{self._sent}"
        text = "x" * MANY_KILOBYTES * 1024
        body = webhook(alert(number=str(self._sent)) | {"annotations": {"summary": text}}, group=group)
        async with session.post(self._url, json=body) as response:
            content = await response.json()
            if response.status == 202:
                self.acknowledged.add(group)
            else:
                assert response.status == 503
                self.detail = content["detail"]
                await asyncio.sleep(0.1)
            return response.status


async def readiness(relay: RelayProcess) -> tuple[int, str]:
    async with aiohttp.ClientSession() as session, session.get(f"{relay.url}/-/ready") as response:
        return response.status, (await response.json()).get("detail", "")


async def delivered(sink: Sink, groups: set[str], max_wait: float = 60.0) -> None:
    """Wait until the alerts of all groups have arrived."""
    missing = groups
    try:
        async with asyncio.timeout(max_wait):
            while missing := groups - {request.json["group_labels"].get("group") for request in sink.received}:
                await asyncio.sleep(0.2)
    except TimeoutError:
        raise AssertionError(f"{len(missing)} acknowledged webhooks are missing") from None


def lines_with(relay: RelayProcess, text: str) -> list[str]:
    return [line for line in relay.output.splitlines() if text in line]


async def test_a_full_disk_loses_nothing_and_the_relay_goes_on_when_there_is_room(sink: Sink) -> None:
    with small_disk() as disk:
        async with embedded_relay(disk / "data") as relay:
            await create_channel(
                relay.url, name="Ops", channel_type="webhook", webhook_url=sink.url, rate_limit={"per_second": 100}
            )
            sender = Sender(relay)
            await sender.send_until(202)
            fill(disk / "fill")
            await sender.send_until(503)
            assert "is full: make room; the relay goes on by itself" in sender.detail
            status, detail = await readiness(relay)
            assert (status, "is full: make room" in detail) == (503, True)
            for _ in range(20):
                await sender.send_until(503)
            assert 1 <= len(lines_with(relay, "make room")) <= 4

            (disk / "fill").unlink()
            await sender.send_until(202, GOES_ON)
            assert (await readiness(relay))[0] == 200
            await delivered(sink, sender.acknowledged)
            assert "Traceback" not in relay.output


async def test_a_disk_that_fills_up_under_postgres_alone_loses_nothing(sink: Sink) -> None:
    with small_disk() as disk:
        async with embedded_relay(disk / "data") as relay:
            await create_channel(relay.url, name="Ops", channel_type="webhook", webhook_url=sink.url)
            sender = Sender(relay)
            (disk / "fill").write_bytes(b"\0" * (MOUNTED_BYTES // 3))
            await sender.send_until(503, 120)
            # The worst: Postgres ends, and can't start again.
            os.kill(postmaster(disk / "data"), signal.SIGQUIT)
            await sender.send_until(503)
            await asyncio.sleep(3)
            await sender.send_until(503)

            (disk / "fill").unlink()
            await sender.send_until(202, GOES_ON)
            async with asyncio.timeout(10):  # logged when pg_ctl has seen that it accepts connections
                while not lines_with(relay, "postgres_restarted"):
                    await asyncio.sleep(0.1)
            assert await every_group(relay) >= sender.acknowledged


async def test_a_postgres_that_was_killed_is_started_again(folder: Path) -> None:
    async with embedded_relay(folder) as relay:
        sender = Sender(relay)
        await sender.send_until(202)
        os.kill(postmaster(folder), signal.SIGKILL)
        await sender.send_until(503)
        await sender.send_until(202, GOES_ON)
        assert await every_group(relay) >= sender.acknowledged


async def test_a_read_only_or_full_disk_at_the_start_is_named(sink: Sink) -> None:
    with small_disk() as disk:
        async with embedded_relay(disk / "data") as relay:
            sender = Sender(relay)
            await sender.send_until(202)
        remount(disk, "ro")
        assert "not writable" in await refusal(disk / "data")
        remount(disk, "rw")
        fill(disk / "fill")
        assert "is full: make room" in await refusal(disk / "data")
        (disk / "fill").unlink()
        async with embedded_relay(disk / "data") as relay:
            assert await every_group(relay) >= sender.acknowledged


async def test_a_deleted_data_directory_ends_the_relay_before_it_acknowledges_more(folder: Path) -> None:
    data_dir = folder / "data"
    relay = RelayProcess({"RELAY_DATA_DIR": str(data_dir), "RELAY_ADMIN_KEY": ADMIN_KEY})
    await relay.start()
    sender = Sender(relay)
    await sender.send_until(202)
    pid = postmaster(data_dir)
    shutil.rmtree(data_dir)
    acknowledged = len(sender.acknowledged)
    with suppress(aiohttp.ClientError, TimeoutError):
        await sender.send_until(202, 10)
    assert len(sender.acknowledged) == acknowledged
    async with asyncio.timeout(30):
        assert await relay.exit_code() == 1
    assert relay.output.splitlines()[-1].startswith(f"relay: {data_dir}/postgres was deleted: ")
    assert "Traceback" not in relay.output
    async with asyncio.timeout(30):
        while runs(pid):
            await asyncio.sleep(0.1)

    async with embedded_relay(data_dir) as again:
        assert lines_with(again, "new and empty")


async def test_with_another_secret_key_deliveries_wait_for_the_right_one(database_url: str, sink: Sink) -> None:
    environ = on_database(database_url)
    async with relay_process(environ) as relay:
        await create_channel(relay.url, name="Ops", channel_type="webhook", webhook_url=sink.url)
    async with relay_process(environ | {"RELAY_SECRET_KEY": new_key()}) as relay:
        sender = Sender(relay)
        for _ in range(3):
            await sender.send_until(202)
        await asyncio.sleep(2)
        [line] = lines_with(relay, "secrets_unreadable")
        assert "start the relay with the right one" in line
        assert not sink.received
        assert await every_group(relay) >= sender.acknowledged
        assert "Traceback" not in relay.output
    async with relay_process(environ):
        await delivered(sink, sender.acknowledged)


async def test_a_key_file_that_was_replaced_is_named(folder: Path, sink: Sink) -> None:
    async with embedded_relay(folder) as relay:
        await create_channel(relay.url, name="Ops", channel_type="webhook", webhook_url=sink.url)
    kept = (folder / "secret.key").read_bytes()
    (folder / "secret.key").unlink()
    async with embedded_relay(folder) as relay:
        assert len(lines_with(relay, "secrets_unreadable")) == 1
        sender = Sender(relay)
        await sender.send_until(202)
    (folder / "secret.key").write_bytes(kept)
    async with embedded_relay(folder) as relay:
        assert not lines_with(relay, "secrets_unreadable")
        await delivered(sink, sender.acknowledged)


async def test_the_postgres_of_a_killed_relay_is_adopted(folder: Path) -> None:
    relay = RelayProcess({"RELAY_DATA_DIR": str(folder), "RELAY_ADMIN_KEY": ADMIN_KEY})
    await relay.start()
    sender = Sender(relay)
    await sender.send_until(202)
    pid = postmaster(folder)
    await relay.kill()
    assert runs(pid)

    async with embedded_relay(folder) as again:
        assert postmaster(folder) == pid
        assert await every_group(again) >= sender.acknowledged
    assert not runs(pid)


async def refusal(data_dir: Path) -> str:
    """The line that a relay prints when it does not start."""
    with pytest.raises(AssertionError) as error:
        async with embedded_relay(data_dir):
            pass
    _, _, output = str(error.value).partition(":\n")
    assert "Traceback" not in output
    [line] = output.strip().splitlines()
    return line


async def every_group(relay: RelayProcess) -> set[str]:
    """The groups of all alerts in the history."""
    found: set[str] = set()
    query = "limit=500"
    async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {ADMIN_KEY}"}) as session:
        while query:
            async with session.get(f"{relay.url}{BASE_PATH}/history?{query}") as response:
                page = await response.json()
                found.update(f"group-{item['labels']['number']}" for item in page["items"])
                query = f"limit=500&cursor={page['next']}" if page["next"] else ""
    return found


def remount(disk: Path, option: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{option}", disk], check=True)


def fill(path: Path) -> None:
    """Fill the disk of a file."""
    with path.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(b"\0" * 4096)
        except OSError:
            pass


def postmaster(data_dir: Path) -> int:
    """The process id of the embedded Postgres."""
    return int((data_dir / "postgres" / "postmaster.pid").read_text().split()[0])


def runs(pid: int) -> bool:
    status = Path(f"/proc/{pid}/stat")
    return status.exists() and status.read_text().rpartition(")")[2].split()[0] != "Z"
