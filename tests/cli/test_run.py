"""Does the command behave as a shell expects: help, version, exit codes, one line for an error?"""

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


async def test_help_names_every_command(relay: Relay) -> None:
    ran = await relay("--help")
    assert ran.code == 0
    for command in COMMANDS:
        assert f" {command} " in ran.out


@pytest.mark.parametrize("words", [[], ["channels", "create", "slack"]], ids=["relay", "create"])
def test_help_imports_nothing_heavy(words: list[str]) -> None:
    script = (
        f"import sys; sys.argv = ['relay', *{words!r}, '--help']\n"
        "import relay.cli\n"
        "try: relay.cli.run()\n"
        f"finally: print([name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)\n"
    )
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert "Usage: relay" in ran.stdout
    assert ran.stderr == "[]\n"


@pytest.mark.parametrize(
    ("words", "named"),
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
    ids=lambda words: " ".join(words) if isinstance(words, list) else None,
)
async def test_help_names_what_a_command_takes(relay: Relay, words: list[str], named: list[str]) -> None:
    ran = await relay(*words, "--help")
    assert ran.code == 0
    assert ran.out.startswith(f"Usage: relay {' '.join(words)}")
    for name in named:
        assert name in ran.out


async def test_the_version_is_the_distributions(relay: Relay) -> None:
    ran = await relay("--version")
    assert (ran.code, ran.out) == (0, f"{version('alert-relay')}\n")


@pytest.mark.parametrize("words", [["nope"], ["settings", "--output", "xml"], ["keys", "create"], ["secret", "x"]])
async def test_a_wrong_command_line_is_one_line_and_exits_with_2(relay: Relay, words: list[str]) -> None:
    ran = await relay(*words)
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith("relay: ")
    assert ran.err.count("\n") == 1


async def test_a_wrong_setting_is_one_line_and_exits_with_1(relay: Relay) -> None:
    ran = await relay("serve", "--port", "99999")
    assert (ran.code, ran.out, ran.err) == (1, "", "relay: RELAY_PORT must be between 0 and 65535\n")


async def test_a_secret_is_a_fresh_key_each_time(relay: Relay) -> None:
    first, second = [(await relay("secret")).out for _ in range(2)]
    assert len(base64.urlsafe_b64decode(first)) == 32
    assert first != second


async def test_settings_show_what_is_in_force_and_mask_secrets(relay: Relay, tmp_path: Path) -> None:
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


def test_a_reader_that_leaves_hears_no_complaint() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    ran = subprocess.run([sys.executable, "-m", "relay", "settings"], stdout=writer, stderr=subprocess.PIPE)
    os.close(writer)
    assert (ran.returncode, ran.stderr) == (141, b"")


@pytest.mark.parametrize(("output", "shown"), [("table", "kund\\xe9"), ("json", '"kund\\u00e9"')])
def test_a_terminal_without_the_characters_shows_their_escapes(output: str, shown: str) -> None:
    environ = {**os.environ, "PYTHONIOENCODING": "ascii", "RELAY_TENANT_LABEL": "kundé"}
    command = [sys.executable, "-m", "relay", "settings", "--output", output]
    ran = subprocess.run(command, env=environ, capture_output=True, text=True)
    assert ran.returncode == 0
    assert shown in ran.stdout


async def test_a_webhook_s_secret_is_made_as_well(relay: Relay) -> None:
    made = [(await relay("secret", "--webhook")).out.strip() for _ in range(2)]
    assert made[0] != made[1]
    assert all(len(base64.b64decode(one.removeprefix("whsec_"))) == 32 for one in made)
