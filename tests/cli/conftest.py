"""What do the tests of the command line share: the command itself, and a server for it to talk to?"""

import asyncio
import json
import os
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import pytest
from aiohttp import web

from relay.store.postgres.embedded import EmbeddedPostgres

BASE_PATH = "/api/v1/monitoring/alerts"


class Ran(NamedTuple):
    """How a command ended, and what it printed."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """What it printed, as JSON."""
        return json.loads(self.out)


class Seen(NamedTuple):
    """A request that reached the server; the path is without the base path."""

    method: str
    path: str
    query: dict[str, str]
    body: Any
    authorization: str | None


class Relay(Protocol):
    """Runs `relay` as a shell does, with the environment given and no other RELAY_ variable."""

    async def __call__(self, *words: str, stdin: str = "", **environ: str) -> Ran: ...


class FakeApi:
    """Answers what a test tells it to, in turn, and then with the body that came."""

    def __init__(self) -> None:
        self.url = ""
        self.seen: list[Seen] = []
        self._answers: list[web.Response] = []

    def answer(self, body: Any, status: int = 200, content_type: str = "application/json") -> None:
        """What to answer next; text is sent as it is, anything else as JSON."""
        text = body if isinstance(body, str) else json.dumps(body)
        self._answers.append(web.Response(text=text, status=status, content_type=content_type))

    def refuse(self, status: int, detail: str) -> None:
        """Answer next with problem details."""
        problem = {"title": "Refused", "status": status, "detail": detail, "errors": []}
        self.answer(problem, status, "application/problem+json")

    def redirect(self, location: str) -> None:
        """Answer next with a redirect."""
        self._answers.append(web.Response(status=308, headers={"Location": location}))

    @property
    def body(self) -> Any:
        """The body of the only request."""
        (only,) = self.seen
        return only.body

    async def handle(self, request: web.Request) -> web.Response:
        """Note a request and answer it."""
        text = await request.text()
        body = json.loads(text) if text else None
        path = request.raw_path.partition("?")[0].removeprefix(BASE_PATH)
        authorization = request.headers.get("Authorization")
        self.seen.append(Seen(request.method, path, dict(request.query), body, authorization))
        if self._answers:
            return self._answers.pop(0)
        return web.Response(status=204) if request.method == "DELETE" else web.json_response(body)


@pytest.fixture
async def api() -> AsyncIterator[FakeApi]:
    """A server on this machine in place of a relay."""
    fake = FakeApi()
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", fake.handle)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    fake.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield fake
    await runner.cleanup()


@pytest.fixture
def relay(tmp_path: Path) -> Relay:
    """The command, with an empty data directory."""

    async def run(*words: str, stdin: str = "", **environ: str) -> Ran:
        process = await start(*words, environ={"RELAY_DATA_DIR": str(tmp_path), **environ})
        out, err = await process.communicate(stdin.encode())
        assert process.returncode is not None
        return Ran(process.returncode, out.decode(), err.decode())

    return run


@pytest.fixture
def relay_at(api: FakeApi, relay: Relay) -> Relay:
    """The command, told where the server is and given a key for it."""

    async def run(*words: str, stdin: str = "", **environ: str) -> Ran:
        return await relay(*words, stdin=stdin, **{"RELAY_URL": api.url, "RELAY_KEY": "a-key", **environ})

    return run


@pytest.fixture(scope="session")
def postgres() -> Iterator[Path]:
    """A data directory with the embedded Postgres running, so that the commands need not start it each time."""
    # Not pytest's own folder: its path is too long for a socket, and as root closed to Postgres's own user.
    with tempfile.TemporaryDirectory(prefix="relay-cli-") as folder:
        Path(folder).chmod(0o755)
        data_dir = Path(folder, "data")
        server = EmbeddedPostgres(data_dir)
        server.start()
        yield data_dir
        server.stop()


async def start(*words: str, environ: Mapping[str, str]) -> asyncio.subprocess.Process:
    """Start `relay` without waiting for it; warnings are errors there too."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("RELAY_")}
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-W", "error", "-m", "relay", *words),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=kept | {"COLUMNS": "100"} | dict(environ),
    )
