"""Do the commands find the server and its key, and say in one line why they could not?"""

import asyncio
import json
import signal
import socket
from pathlib import Path

import pytest

from .conftest import FakeApi, Relay, start

EMPTY_LIST: dict[str, object] = {"items": [], "next": None}


def left_behind(data_dir: Path, url: str, key: str) -> None:
    """What the embedded server leaves in its data directory."""
    (data_dir / "server.json").write_text(json.dumps({"url": url}), encoding="utf-8")
    (data_dir / "admin.key").write_text(f"{key}\n", encoding="utf-8")


async def test_the_server_on_this_machine_is_found_by_what_it_left(
    api: FakeApi, relay: Relay, tmp_path: Path
) -> None:
    left_behind(tmp_path, api.url, "local-key")
    api.answer(EMPTY_LIST)
    ran = await relay("channels", "list")
    assert ran.code == 0, ran.err
    assert api.seen[0].authorization == "Bearer local-key"


async def test_the_environment_goes_before_what_was_left(api: FakeApi, relay: Relay, tmp_path: Path) -> None:
    left_behind(tmp_path, "http://127.0.0.1:1", "local-key")
    api.answer(EMPTY_LIST)
    ran = await relay("channels", "list", RELAY_URL=f"{api.url}/", RELAY_KEY="given")
    assert ran.code == 0, ran.err
    assert api.seen[0].authorization == "Bearer given"


async def test_the_key_of_this_machine_is_not_sent_to_another_server(
    api: FakeApi, relay: Relay, tmp_path: Path
) -> None:
    left_behind(tmp_path, "http://127.0.0.1:1", "local-key")
    ran = await relay("channels", "list", RELAY_URL=api.url, RELAY_ADMIN_KEY="admin-key")
    assert ran.code == 1
    assert "RELAY_KEY" in ran.err
    assert api.seen == []


async def test_without_a_key_the_line_names_the_variable(relay: Relay) -> None:
    ran = await relay("channels", "list")
    assert (ran.code, ran.out) == (1, "")
    assert ran.err == (
        "relay: no API key for http://127.0.0.1:8080; set RELAY_KEY (create one with `relay keys create`)\n"
    )


async def test_a_key_that_is_not_accepted_names_the_variable(api: FakeApi, relay_at: Relay) -> None:
    api.refuse(401, "unauthorized")
    ran = await relay_at("channels", "list")
    assert ran.code == 1
    assert "set RELAY_KEY" in ran.err


async def test_when_nobody_listens_the_line_says_what_to_do(relay: Relay) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
        ran = await relay("channels", "list", RELAY_URL=url, RELAY_KEY="a-key")
    assert ran.code == 1
    assert ran.err == f"relay: can't connect to {url}; start the relay with `relay serve`, or set RELAY_URL\n"


async def test_the_details_of_a_refusal_are_one_line(api: FakeApi, relay_at: Relay) -> None:
    api.refuse(422, "severities[0]: must not\nbe empty")
    ran = await relay_at("channels", "update", "ops", "--severities", "")
    assert (ran.code, ran.out) == (1, "")
    assert ran.err == "relay: severities[0]: must not be empty\n"


@pytest.mark.parametrize("status", [200, 502])
async def test_an_answer_that_is_no_json_says_that_it_is_no_relay(
    api: FakeApi, relay_at: Relay, status: int
) -> None:
    api.answer("<html>Bad Gateway</html>", status, "text/html")
    ran = await relay_at("channels", "get", "ops")
    assert ran.code == 1
    assert ran.err.startswith(f"relay: {api.url} responded {status}, but not like a relay")
    assert ran.err.count("\n") == 1


@pytest.mark.parametrize("body", [{"hello": "world"}, ["hello"]])
async def test_json_of_another_service_is_not_taken_for_a_list(
    api: FakeApi, relay_at: Relay, body: object
) -> None:
    api.answer(body)
    ran = await relay_at("channels", "list")
    assert ran.code == 1
    assert "not like a relay" in ran.err


async def test_a_redirect_is_not_followed_with_the_key(api: FakeApi, relay_at: Relay) -> None:
    api.redirect("https://relay.example/")
    ran = await relay_at("channels", "list")
    assert ran.code == 1
    assert "redirects to https://relay.example/" in ran.err
    assert len(api.seen) == 1


@pytest.mark.parametrize("url", ["localhost:8080", "ftp://relay", "http://", "http://relay:port"])
async def test_an_address_that_is_none_is_named(relay: Relay, url: str) -> None:
    ran = await relay("channels", "list", RELAY_URL=url, RELAY_KEY="a-key")
    assert ran.code == 1
    assert ran.err.startswith("relay: RELAY_URL must be a URL")


async def test_ctrl_c_ends_a_command_without_a_word(tmp_path: Path) -> None:
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
