"""Fixtures of the command line tests: commands in this process, commands as processes, and an API to call."""

import asyncio
import io
import json
import os
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import pytest
from aiohttp import web

from relay import cli
from relay.store.postgres.embedded import EmbeddedPostgres

BASE_PATH = "/api/v1/monitoring/alerts"
WIDTH = {"COLUMNS": "100"}


class CommandResult(NamedTuple):
    """The exit code of a command and its output."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The output, decoded from JSON."""
        return json.loads(self.out)


class ApiRequest(NamedTuple):
    """A request to the API; the path is without the base path."""

    method: str
    path: str
    query: dict[str, str]
    body: Any
    authorization: str | None


class Relay(Protocol):
    """Run `relay` with the environment given and no other RELAY_ variable."""

    async def __call__(self, *arguments: str, stdin: str = "", **environ: str) -> CommandResult: ...


class FakeApi:
    """An API that returns the queued responses in turn, and then echoes the body of each request."""

    def __init__(self) -> None:
        self.url = ""
        self.requests: list[ApiRequest] = []
        self._responses: list[web.Response] = []

    def respond(self, body: Any, status: int = 200, content_type: str = "application/json") -> None:
        """Queue a response; text is sent unchanged, anything else as JSON."""
        text = body if isinstance(body, str) else json.dumps(body)
        self._responses.append(web.Response(text=text, status=status, content_type=content_type))

    def respond_problem(self, status: int, detail: str) -> None:
        """Queue an error response with problem details."""
        problem = {"title": "Rejected", "status": status, "detail": detail, "errors": []}
        self.respond(problem, status, "application/problem+json")

    def redirect(self, location: str) -> None:
        """Queue a redirect."""
        self._responses.append(web.Response(status=308, headers={"Location": location}))

    @property
    def body(self) -> Any:
        """The body of the only request."""
        (only,) = self.requests
        return only.body

    async def handle(self, request: web.Request) -> web.Response:
        """Record a request and respond to it."""
        text = await request.text()
        body = json.loads(text) if text else None
        path = request.raw_path.partition("?")[0].removeprefix(BASE_PATH)
        authorization = request.headers.get("Authorization")
        self.requests.append(ApiRequest(request.method, path, dict(request.query), body, authorization))
        if self._responses:
            return self._responses.pop(0)
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
    """The command, run in this process, with an empty data directory."""

    async def run(*arguments: str, stdin: str = "", **environ: str) -> CommandResult:
        # In a thread, as the command has an event loop of its own and the API runs on the tests' one.
        return await asyncio.to_thread(call, arguments, stdin, {"RELAY_DATA_DIR": str(tmp_path), **environ})

    return run


@pytest.fixture
def relay_process(tmp_path: Path) -> Relay:
    """The command as a process, with an empty data directory."""

    async def run(*arguments: str, stdin: str = "", **environ: str) -> CommandResult:
        process = await start(*arguments, environ={"RELAY_DATA_DIR": str(tmp_path), **environ})
        out, err = await process.communicate(stdin.encode())
        assert process.returncode is not None
        return CommandResult(process.returncode, out.decode(), err.decode())

    return run


@pytest.fixture
def relay_at(api: FakeApi, relay: Relay) -> Relay:
    """The command, run in this process, with the address of the API and a key."""

    async def run(*arguments: str, stdin: str = "", **environ: str) -> CommandResult:
        return await relay(*arguments, stdin=stdin, **{"RELAY_URL": api.url, "RELAY_KEY": "a-key", **environ})

    return run


@pytest.fixture(scope="session")
def embedded_data_dir() -> Iterator[Path]:
    """A data directory with a running embedded Postgres, so that commands need not start it each time."""
    # Not pytest's folder: its path is too long for a socket, and with root closed to Postgres's user.
    with tempfile.TemporaryDirectory(prefix="relay-cli-") as folder:
        Path(folder).chmod(0o755)
        data_dir = Path(folder, "data")
        server = EmbeddedPostgres(data_dir)
        server.start()
        yield data_dir
        server.stop()


def call(arguments: Sequence[str], stdin: str, environ: Mapping[str, str]) -> CommandResult:
    """Run a command in this process, with the environment, the streams and the exit code of a process."""
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8") for _ in range(2))
    with pytest.MonkeyPatch.context() as patch:
        for name in os.environ:
            if name.startswith("RELAY_"):
                patch.delenv(name)
        for name, value in {**WIDTH, **environ}.items():
            patch.setenv(name, value)
        patch.setattr(sys, "stdin", io.StringIO(stdin))
        patch.setattr(sys, "stdout", out)
        patch.setattr(sys, "stderr", err)
        code = 0
        try:
            cli.run(arguments)
        except SystemExit as exit_:
            if isinstance(exit_.code, str):
                print(exit_.code, file=err)
            code = 1 if isinstance(exit_.code, str) else exit_.code or 0
    return CommandResult(code, _text(out), _text(err))


async def start(*arguments: str, environ: Mapping[str, str]) -> asyncio.subprocess.Process:
    """Start `relay` as a process, with warnings as errors."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("RELAY_")}
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-W", "error", "-m", "relay", *arguments),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=inherited | WIDTH | dict(environ),
    )


def _text(stream: io.TextIOWrapper) -> str:
    stream.flush()
    assert isinstance(stream.buffer, io.BytesIO)
    return stream.buffer.getvalue().decode()
