"""The command behaves as a shell expects: help, version, exit codes, and one line per error."""

import base64
import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from .conftest import Relay

COMMANDS = ("serve", "worker", "db", "settings", "secret", "keys", "channels")
HEAVY = ("litestar", "sqlalchemy", "uvicorn", "aiohttp", "asyncpg", "alembic", "cryptography")


async def test_help_lists_every_command(relay: Relay) -> None:
    result = await relay("--help")
    assert result.code == 0
    for command in COMMANDS:
        assert f" {command} " in result.out


@pytest.mark.parametrize(
    "arguments",
    [[], pytest.param(["channels", "create", "slack"], marks=pytest.mark.slow)],
    ids=["relay", "create"],
)
def test_help_imports_no_heavy_module(arguments: list[str]) -> None:
    script = (
        f"import sys; sys.argv = ['relay', *{arguments!r}, '--help']\n"
        "import relay.cli\n"
        "try: relay.cli.run()\n"
        f"finally: print([name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)\n"
    )
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert "Usage: relay" in result.stdout
    assert result.stderr == "[]\n"


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["serve"], ["--host", "--port", "--no-delivery", "--migrate"]),
        (["worker"], ["--migrate"]),
        (["db"], ["upgrade", "downgrade", "current"]),
        (["keys"], ["create", "list", "revoke"]),
        (["keys", "create"], ["--name", "--output"]),
        (["channels"], ["create", "list", "get", "update", "delete", "test"]),
        (["channels", "create"], ["slack", "discord", "teams", "webhook", "email", "apprise"]),
        (["channels", "update"], ["--clear", "--webhook-url", "--custom-headers", "--no-send-resolved"]),
        (["channels", "test"], ["--severity", "--message"]),
    ],
    ids=lambda arguments: " ".join(arguments) if isinstance(arguments, list) else None,
)
async def test_help_lists_subcommands_and_options(relay: Relay, arguments: list[str], named: list[str]) -> None:
    result = await relay(*arguments, "--help")
    assert result.code == 0
    assert result.out.startswith(f"Usage: relay {' '.join(arguments)}")
    for name in named:
        assert name in result.out


async def test_the_version_is_that_of_the_distribution(relay: Relay) -> None:
    result = await relay("--version")
    assert (result.code, result.out) == (0, f"{version('alert-relay')}\n")


@pytest.mark.parametrize(
    "arguments", [["nope"], ["settings", "--output", "xml"], ["keys", "create"], ["secret", "x"]]
)
async def test_a_usage_error_is_one_line_and_exits_with_2(relay: Relay, arguments: list[str]) -> None:
    result = await relay(*arguments)
    assert (result.code, result.out) == (2, "")
    assert result.err.startswith("relay: ")
    assert result.err.count("\n") == 1


async def test_an_invalid_setting_is_one_line_and_exits_with_1(relay: Relay) -> None:
    result = await relay("serve", "--port", "99999")
    assert (result.code, result.out, result.err) == (1, "", "relay: RELAY_PORT must be between 0 and 65535\n")


async def test_each_secret_is_a_new_key(relay: Relay) -> None:
    first, second = [(await relay("secret")).out for _ in range(2)]
    assert len(base64.urlsafe_b64decode(first)) == 32
    assert first != second


async def test_settings_show_the_effective_values_and_mask_secrets(relay: Relay, tmp_path: Path) -> None:
    given = {
        "RELAY_KEY": "hidden-1",
        "RELAY_ADMIN_KEY": "hidden-2",
        "RELAY_DATABASE_URL": "postgres://relay:hidden-3@db/relay",
        "RELAY_URL": "http://relay.example:8080",
        "RELAY_PORT": "9090",
    }
    as_json = (await relay("settings", "--output", "json", **given)).json
    as_table = (await relay("settings", **given)).out
    assert as_json["RELAY_PORT"] == "9090"
    assert as_json["RELAY_KEY"] == "********"
    assert as_json["RELAY_URL"] == "http://relay.example:8080"
    assert as_json["RELAY_DATA_DIR"] == str(tmp_path)
    assert {line.split()[0] for line in as_table.splitlines()} == set(as_json)
    assert "hidden" not in as_table + str(as_json)


@pytest.mark.slow
def test_a_closed_output_pipe_is_no_error() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    result = subprocess.run([sys.executable, "-m", "relay", "settings"], stdout=writer, stderr=subprocess.PIPE)
    os.close(writer)
    assert (result.returncode, result.stderr) == (141, b"")


@pytest.mark.slow
@pytest.mark.parametrize(("output", "expected"), [("table", "kund\\xe9"), ("json", '"kund\\u00e9"')])
def test_characters_that_the_terminal_lacks_are_escaped(output: str, expected: str) -> None:
    environ = {**os.environ, "PYTHONIOENCODING": "ascii", "RELAY_TENANT_LABEL": "kundé"}
    command = [sys.executable, "-m", "relay", "settings", "--output", output]
    result = subprocess.run(command, env=environ, capture_output=True, text=True)
    assert result.returncode == 0
    assert expected in result.stdout


async def test_a_signing_secret_is_generated_for_a_webhook(relay: Relay) -> None:
    secrets = [(await relay("secret", "--webhook")).out.strip() for _ in range(2)]
    assert secrets[0] != secrets[1]
    assert all(len(base64.b64decode(secret.removeprefix("whsec_"))) == 32 for secret in secrets)
