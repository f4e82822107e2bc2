"""Decoding of large bodies in a child process."""

import asyncio
import json
import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from relay.decoding import bodies
from relay.decoding.bodies import decode_body
from relay.domain.decoded import decode
from relay.domain.errors import InvalidWebhook, Unavailable
from tests.fixtures.relays import SAMPLES, alert, webhook

NOW = datetime(2026, 11, 23, 16, tzinfo=UTC)
ODD = json.dumps(webhook(alert(name="a\x00\ud800", long="x" * 5_000))).encode()
MANY = json.dumps(webhook(*(alert(number=str(number)) for number in range(2_000)))).encode()


@pytest.fixture(autouse=True)
def every_body_is_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies, "LARGE_BODY", 0)


@pytest.mark.parametrize("sample", sorted(SAMPLES.glob("*.json")), ids=lambda sample: sample.stem)
async def test_a_child_decodes_what_the_relay_does(sample: Path) -> None:
    body = sample.read_bytes()
    assert await decode_body(body, NOW) == decode(body, NOW)


@pytest.mark.parametrize("body", [ODD, MANY], ids=["odd", "many"])
async def test_a_child_decodes_odd_text_and_many_alerts(body: bytes) -> None:
    assert await decode_body(body, NOW) == decode(body, NOW)


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"\xff", b'{"alerts": []}', b'{"alerts": [{}]}', b"[" * 100_000]
)
async def test_the_error_of_a_child_names_the_field(body: bytes) -> None:
    with pytest.raises(InvalidWebhook) as expected:
        decode(body, NOW)
    with pytest.raises(InvalidWebhook) as found:
        await decode_body(body, NOW)
    assert (found.value.field, found.value.message) == (expected.value.field, expected.value.message)


async def test_a_child_that_cannot_be_started_makes_the_relay_unavailable(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("sys.executable", "/nonexistent")
    with pytest.raises(Unavailable):
        await decode_body(MANY, NOW)


async def test_a_child_ends_with_the_request_that_needed_it() -> None:
    task = asyncio.create_task(decode_body(MANY, NOW))
    await asyncio.sleep(0.02)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    commands = [Path(f"/proc/{child}/cmdline").read_bytes() for child in children]
    assert not [command for command in commands if b"relay.decoding" in command]
