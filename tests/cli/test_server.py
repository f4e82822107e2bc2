"""Commands find the server and its key, and report errors in one line."""

import asyncio
import json
import signal
import socket
from pathlib import Path

import pytest

from .conftest import FakeApi, Relay, start

EMPTY_LIST: dict[str, object] = {"items": [], "next": None}


def write_data_dir(data_dir: Path, url: str, key: str) -> None:
    """Write the files that an embedded server writes in its data directory."""
    (data_dir / "server.json").write_text(json.dumps({"url": url}), encoding="utf-8")
    (data_dir / "admin.key").write_text(f"{key}\n", encoding="utf-8")


async def test_the_server_on_this_machine_is_found_through_its_data_directory(
    api: FakeApi, relay: Relay, tmp_path: Path
) -> None:
    write_data_dir(tmp_path, api.url, "local-key")
    api.respond(EMPTY_LIST)
    result = await relay("channels", "list")
    assert result.code == 0, result.err
    assert api.requests[0].authorization == "Bearer local-key"


async def test_the_environment_takes_precedence_over_the_data_directory(
    api: FakeApi, relay: Relay, tmp_path: Path
) -> None:
    write_data_dir(tmp_path, "http://127.0.0.1:1", "local-key")
    api.respond(EMPTY_LIST)
    result = await relay("channels", "list", RELAY_URL=f"{api.url}/", RELAY_KEY="given")
    assert result.code == 0, result.err
    assert api.requests[0].authorization == "Bearer given"


async def test_the_key_of_this_machine_is_not_sent_to_another_server(
    api: FakeApi, relay: Relay, tmp_path: Path
) -> None:
    write_data_dir(tmp_path, "http://127.0.0.1:1", "local-key")
    result = await relay("channels", "list", RELAY_URL=api.url, RELAY_ADMIN_KEY="admin-key")
    assert result.code == 1
    assert "RELAY_KEY" in result.err
    assert api.requests == []


async def test_a_missing_key_error_names_the_variable(relay: Relay) -> None:
    result = await relay("channels", "list")
    assert (result.code, result.out) == (1, "")
    assert result.err == (
        "relay: no API key for http://127.0.0.1:8080; set RELAY_KEY (create the first one with "
        "`relay keys create --direct`)\n"
    )


async def test_a_rejected_key_error_names_the_variable(api: FakeApi, relay_at: Relay) -> None:
    api.respond_problem(401, "unauthorized")
    result = await relay_at("channels", "list")
    assert result.code == 1
    assert "set RELAY_KEY" in result.err


async def test_a_connection_error_names_the_remedies(relay: Relay) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
        result = await relay("channels", "list", RELAY_URL=url, RELAY_KEY="a-key")
    assert result.code == 1
    assert result.err == f"relay: can't connect to {url}; start the relay with `relay serve`, or set RELAY_URL\n"


async def test_problem_details_are_printed_in_one_line(api: FakeApi, relay_at: Relay) -> None:
    api.respond_problem(422, "severities[0]: must not\nbe empty")
    result = await relay_at("channels", "update", "ops", "--severities", "")
    assert (result.code, result.out) == (1, "")
    assert result.err == "relay: severities[0]: must not be empty\n"


@pytest.mark.parametrize("status", [200, 502])
async def test_a_response_that_is_not_json_is_reported(api: FakeApi, relay_at: Relay, status: int) -> None:
    api.respond("<html>Bad Gateway</html>", status, "text/html")
    result = await relay_at("channels", "get", "ops")
    assert result.code == 1
    assert result.err.startswith(f"relay: {api.url} responded {status}, but not like a relay")
    assert result.err.count("\n") == 1


@pytest.mark.parametrize("body", [{"hello": "world"}, ["hello"]])
async def test_json_of_another_service_is_not_accepted_as_a_list(
    api: FakeApi, relay_at: Relay, body: object
) -> None:
    api.respond(body)
    result = await relay_at("channels", "list")
    assert result.code == 1
    assert "not like a relay" in result.err


async def test_a_redirect_is_not_followed_with_the_key(api: FakeApi, relay_at: Relay) -> None:
    api.redirect("https://relay.example/")
    result = await relay_at("channels", "list")
    assert result.code == 1
    assert "redirects to https://relay.example/" in result.err
    assert len(api.requests) == 1


@pytest.mark.parametrize("url", ["localhost:8080", "ftp://relay", "http://", "http://relay:port"])
async def test_an_invalid_url_is_rejected(relay: Relay, url: str) -> None:
    result = await relay("channels", "list", RELAY_URL=url, RELAY_KEY="a-key")
    assert result.code == 1
    assert result.err.startswith("relay: RELAY_URL must be a URL")


@pytest.mark.slow
async def test_ctrl_c_exits_without_output(tmp_path: Path) -> None:
    arrived = asyncio.Event()

    async def never_answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        arrived.set()
        await reader.read(-1)
        writer.close()

    silent = await asyncio.start_server(never_answer, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{silent.sockets[0].getsockname()[1]}"
    environ = {"RELAY_URL": url, "RELAY_KEY": "a-key", "RELAY_DATA_DIR": str(tmp_path)}
    process = await start("channels", "list", environ=environ)
    await asyncio.wait_for(arrived.wait(), 20)
    process.send_signal(signal.SIGINT)
    assert await process.communicate() == (b"", b"")
    assert process.returncode == 130
    silent.close()
    await silent.wait_closed()
