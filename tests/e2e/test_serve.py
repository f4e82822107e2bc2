"""Tests of `relay serve` as a process: start, stop, embedded database, and start errors."""

import asyncio
import os
import pwd
import re
import shutil
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from relay.app import BASE_PATH
from tests.fixtures.postgres import short_folder
from tests.fixtures.processes import ROOT, RelayProcess, create_channel, free_port, on_database, relay_process
from tests.fixtures.relays import ADMIN_KEY, webhook
from tests.fixtures.sink import Response, Sink

pytestmark = pytest.mark.slow


@pytest.fixture
def folder() -> Iterator[Path]:
    with short_folder() as path:
        yield path


async def run(*arguments: str, **environ: str) -> tuple[int, str, str]:
    """Run `relay` and return its exit code, output and errors."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("RELAY_")}

    def wait() -> tuple[int, str, str]:
        command = [sys.executable, "-m", "relay", *arguments]
        ran = subprocess.run(command, env=kept | environ, cwd=ROOT, capture_output=True, text=True, timeout=30)
        return ran.returncode, ran.stdout, ran.stderr

    return await asyncio.to_thread(wait)


async def items(url: str, key: str = ADMIN_KEY) -> Any:
    """The items of a list."""
    headers = {"Authorization": f"Bearer {key}"}
    async with aiohttp.ClientSession() as session, session.get(url, headers=headers) as response:
        assert response.status == 200, await response.text()
        return (await response.json())["items"]


async def post_webhook(url: str) -> int:
    """Post a webhook; return the response's status."""
    url += f"{BASE_PATH}/webhook"
    async with aiohttp.ClientSession() as session, session.post(url, json=webhook()) as response:
        return response.status


async def test_the_first_start_prints_the_admin_key_and_the_configuration_and_later_ones_no_key(
    folder: Path,
) -> None:
    home = {"RELAY_DATA_DIR": str(folder)}
    async with relay_process(home) as relay:
        key = (folder / "admin.key").read_text().strip()
        assert f"Alert Relay listens on {relay.url}\n" in relay.output
        assert f"        - url: {relay.url}{BASE_PATH}/webhook\n          send_resolved: true\n" in relay.output
        assert relay.output.count(key) == 1
        for name in ("admin.key", "secret.key"):
            assert stat.S_IMODE((folder / name).stat().st_mode) == 0o600
        await create_channel(relay.url, key, name="Ops", channel_type="webhook", webhook_url="http://127.0.0.1:9")

        code, out, err = await run("channels", "list", **home)
        assert (code, "Ops" in out, err) == (0, True, "")

        assert await relay.stop() == 0
        relay.output = ""
        await relay.start()
        assert key not in relay.output
        assert len(await items(f"{relay.url}{BASE_PATH}/channels", key)) == 1
        assert await relay.stop() == 0


async def test_stopping_finishes_attempts_in_flight_and_accepts_no_connection(
    database_url: str, sink: Sink
) -> None:
    respond = asyncio.Event()

    async def slowly(_: Any) -> Response:
        await respond.wait()
        return Response()

    sink.script = slowly
    async with relay_process(on_database(database_url)) as relay:
        await create_channel(relay.url, name="Ops", channel_type="webhook", webhook_url=sink.url)
        assert await post_webhook(relay.url) == 202
        await sink.wait_for(1)

        stopping = asyncio.create_task(relay.stop())
        async with asyncio.timeout(5):
            while await accepts(relay.port):
                await asyncio.sleep(0.02)
        assert not stopping.done()
        respond.set()
        assert (await stopping, "Traceback" in relay.output) == (0, False)

        await relay.start()
        [delivery] = await items(f"{relay.url}{BASE_PATH}/deliveries")
        assert (delivery["state"], delivery["attempt_count"]) == ("delivered", 1)


async def accepts(port: int) -> bool:
    """Whether a new connection is accepted."""
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except ConnectionRefusedError:
        return False
    writer.close()
    return True


async def test_a_start_error_is_one_line(database_url: str) -> None:
    given = on_database(database_url)
    unused = f"postgresql://nobody@127.0.0.1:{free_port()}/relay"
    with socket.create_server(("127.0.0.1", 0)) as occupied:
        port = occupied.getsockname()[1]
        errors = {
            f"can't listen on 127.0.0.1 port {port}": given | {"RELAY_PORT": str(port)},
            "RELAY_SECRET_KEY: key 1 is not 32 bytes": given | {"RELAY_SECRET_KEY": "short"},
            "RELAY_SECRET_KEY is required": {"RELAY_DATABASE_URL": database_url},
            "the database can't be used": given | {"RELAY_DATABASE_URL": unused},
            "can't be used: Not a directory": {"RELAY_DATA_DIR": str(ROOT / "alembic.ini" / "data")},
        }
        starts = (run("serve", **{"RELAY_PORT": "0"} | environ) for environ in errors.values())
        results = dict(zip(errors, await asyncio.gather(*starts), strict=True))
    for error, (code, out, err) in results.items():
        assert (code, out) == (1, ""), (error, err)
        assert re.fullmatch(r"relay: [^\n]+\n", err), err
        assert error in err


async def test_an_outdated_database_is_rejected_and_migrated_with_migrate_even_by_two_processes(
    empty_database_url: str,
) -> None:
    given = on_database(empty_database_url)

    code, out, err = await run("serve", **given, RELAY_PORT="0")
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert "run `relay db upgrade`, or start with --migrate" in err

    one, other = RelayProcess(given, "--migrate"), RelayProcess(given, "--migrate")
    try:
        await asyncio.gather(one.start(), other.start())
        assert [await post_webhook(relay.url) for relay in (one, other)] == [202, 202]
    finally:
        await asyncio.gather(one.kill(), other.kill())


@pytest.mark.skipif(os.geteuid() != 0, reason="the other tests already run as an ordinary user")
async def test_an_ordinary_user_needs_only_a_data_directory(folder: Path) -> None:
    user = pwd.getpwnam("nobody")
    os.chown(folder, user.pw_uid, user.pw_gid)
    libraries = os.pathsep.join([str(ROOT), *(path for path in sys.path if path)])
    environ = {"HOME": str(folder), "RELAY_DATA_DIR": str(folder / "data"), "RELAY_PORT": str(free_port())}
    settings: dict[str, Any] = {"cwd": folder, "env": environ | {"PATH": os.defpath, "PYTHONPATH": libraries}}
    settings |= {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": [], "stdout": subprocess.PIPE}
    python = reachable_python(settings)
    if python is None:
        pytest.skip("no Python with the relay and its libraries is readable for an ordinary user")

    process = await asyncio.create_subprocess_exec(python, "-m", "relay", "serve", **settings)
    try:
        assert process.stdout is not None
        async with asyncio.timeout(60):
            lines = [await process.stdout.readline()]
            while b"alertmanager.yml" not in lines[-1]:
                assert lines[-1], lines
                lines.append(await process.stdout.readline())
        assert await post_webhook(f"http://127.0.0.1:{environ['RELAY_PORT']}") == 202
        process.send_signal(signal.SIGTERM)
        await process.communicate()
        assert process.returncode == 0
        assert not (folder / "data" / "postgres" / "postmaster.pid").exists()
        assert {path.stat().st_uid for path in (folder / "data").iterdir()} == {user.pw_uid}
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


def reachable_python(settings: dict[str, Any]) -> str | None:
    """A Python that can run the relay with these settings: that of the tests, or that of the system."""
    system = shutil.which(f"python3.{sys.version_info.minor}", path=os.defpath)
    for python in filter(None, (sys.executable, system)):
        with suppress(OSError):
            if subprocess.run([python, "-c", "import relay.cli.process"], **settings).returncode == 0:
                return python
    return None
