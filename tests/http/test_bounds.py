"""Bounds on what one client may use, over sockets."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from relay.app import BASE_PATH
from relay.http import occupancy, protocol
from tests.fixtures.relays import Relay, running
from tests.fixtures.sampling import representatives

Response = tuple[int, dict[str, str], bytes]
WEBHOOK = f"{BASE_PATH}/webhook"
ALERT = {"status": "firing", "labels": {"alertname": "a"}, "startsAt": "2026-11-23T15:33:27Z"}
BODY = json.dumps({"alerts": [ALERT]}).encode()


def head(*fields: str, path: str = WEBHOOK, length: int | None = None) -> bytes:
    lines = [f"POST {path} HTTP/1.1", "Host: relay", *fields]
    if length is not None:
        lines.append(f"Content-Length: {length}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


CHUNKED = head("Transfer-Encoding: chunked")


@asynccontextmanager
async def connected(relay: Relay) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    host, _, port = relay.url.removeprefix("http://").rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        yield reader, writer
    finally:
        writer.close()
        with contextlib.suppress(OSError):  # the relay closed it while data was under way
            await writer.wait_closed()


async def respond(reader: asyncio.StreamReader) -> Response:
    """The next response of a connection."""
    top = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
    fields = dict(line.lower().split(": ", 1) for line in top[1:] if line)
    body = await reader.readexactly(int(fields.get("content-length", "0")))
    return int(top[0].split()[1]), fields, body


async def exchange(relay: Relay, *parts: bytes) -> Response:
    """Send the parts of a request, and return the response, which may come before the last one."""
    async with connected(relay) as (reader, writer):
        try:
            for part in parts:
                writer.write(part)
                await writer.drain()
        except OSError:
            pass  # refused meanwhile; what was sent before the reset is still there to be read
        async with asyncio.timeout(10):
            return await respond(reader)


def assert_problem(response: Response, status: int) -> None:
    found, fields, body = response
    assert found == status
    assert fields["content-type"] == "application/problem+json"
    assert fields["connection"] == "close"
    assert fields["x-request-id"]
    assert fields["x-content-type-options"] == "nosniff"
    assert json.loads(body)["status"] == status


@pytest.fixture
async def relay(database_url: str) -> AsyncIterator[Relay]:
    async with running(database_url) as started:
        yield started


@pytest.mark.parametrize(
    "request_head",
    representatives(
        [
            pytest.param(head("X: " + "a" * 40_000, length=0), id="one long value"),
            pytest.param(head(*(f"X-{n}: a" for n in range(101)), length=0), id="more than 100 fields"),
            pytest.param(head("X" * 40_000 + ": a", length=0), id="one long name"),
            pytest.param(head(path="/" + "a" * 40_000, length=0), id="a long path"),
            pytest.param(
                head(*(f"X-{n}: {'a' * 900}" for n in range(40)), length=0), id="many fields of some length"
            ),
            pytest.param(b"POST /webhook HTTP/1.1\r\nX: " + b"a" * 40_000, id="a field that does not end"),
            pytest.param(
                CHUNKED + b"1\r\na\r\n0\r\nX: " + b"a" * 100_000,
                id="a trailer that does not end",
            ),
            pytest.param(CHUNKED + b"1;" + b"a" * 100_000, id="a chunk extension that does not end"),
        ],
        keep=2,
    ),
)
async def test_large_headers_are_refused(relay: Relay, request_head: bytes) -> None:
    assert_problem(await exchange(relay, request_head), 431)


async def test_headers_within_the_bounds_are_accepted(relay: Relay) -> None:
    fields = [f"X-{n}: {'a' * 300}" for n in range(90)]
    assert (await exchange(relay, head(*fields, length=len(BODY)) + BODY))[0] == 202


async def test_what_is_not_http_is_refused(relay: Relay) -> None:
    assert_problem(await exchange(relay, b"\x16\x03\x01\x00\xa5\x01\x00\x00"), 400)


async def test_garbage_after_a_request_closes_the_connection(relay: Relay) -> None:
    assert (await exchange(relay, head(length=len(BODY)) + BODY + b"\0garbage\r\n\r\n"))[0] in (202, 400)
    assert (await exchange(relay, head(length=len(BODY)) + BODY))[0] == 202


async def test_requests_of_one_connection_are_answered_in_order(relay: Relay) -> None:
    async with connected(relay) as (reader, writer):
        writer.write((head(length=len(BODY)) + BODY) * 2 + b"GET /-/healthy HTTP/1.1\r\nHost: relay\r\n\r\n")
        responses = [await respond(reader) for _ in range(3)]
    assert [status for status, _, _ in responses] == [202, 202, 200]
    assert [json.loads(body)["duplicate"] for _, _, body in responses[:2]] == [False, True]


@pytest.mark.parametrize("sent", [b"", b"POST", head(length=10)[:-4]])
async def test_headers_must_arrive_in_time(relay: Relay, sent: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "HEAD_TIMEOUT", 0.2)
    assert_problem(await exchange(relay, sent), 408)


async def test_headers_of_a_second_request_must_arrive_in_time(
    relay: Relay, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(protocol, "HEAD_TIMEOUT", 1.0)
    async with connected(relay) as (reader, writer):
        writer.write(head(length=len(BODY)) + BODY + b"POST")
        assert (await respond(reader))[0] == 202
        assert_problem(await respond(reader), 408)


@pytest.mark.parametrize("fields", [("Content-Length: 100",), ("Transfer-Encoding: chunked",)])
async def test_a_body_must_arrive_in_time(
    relay: Relay, fields: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(protocol, "BODY_TIMEOUT", 0.2)
    assert_problem(await exchange(relay, head(*fields) + b"5\r\nabcde\r\n"), 408)
    assert (await exchange(relay, head(length=len(BODY)) + BODY))[0] == 202


async def test_a_connection_above_the_maximum_takes_the_place_of_one_that_waits(database_url: str) -> None:
    async with running(database_url, max_connections=2) as relay, connected(relay) as (first, _), connected(relay):
        assert (await exchange(relay, head(length=len(BODY)) + BODY))[0] == 202
        refused = await respond(first)
        assert_problem(refused, 503)
        assert refused[1]["retry-after"]


async def test_an_idle_connection_makes_room_without_a_response(database_url: str) -> None:
    async with running(database_url, max_connections=1) as relay, connected(relay) as (reader, writer):
        writer.write(head(length=len(BODY)) + BODY)
        assert (await respond(reader))[0] == 202
        assert (await exchange(relay, head(length=len(BODY)) + BODY))[0] == 202
        assert await reader.read() == b""


async def test_connections_above_the_maximum_are_refused_and_counted(database_url: str) -> None:
    async with (
        running(database_url, max_connections=2) as relay,
        connected(relay) as (_, first),
        connected(relay) as (_, second),
    ):
        for writer in (first, second):  # requests in progress
            writer.write(head(length=len(BODY)) + BODY[:-1])
        await asyncio.sleep(0.1)
        refused = await exchange(relay, b"")
        assert_problem(refused, 503)
        assert refused[1]["retry-after"]
        registry = relay.services.metrics.registry
        assert registry.get_sample_value("relay_connections_refused_total") == 1
        assert registry.get_sample_value("relay_connections") in (2, 3)


async def test_a_closed_connection_makes_room(database_url: str) -> None:
    async with running(database_url, max_connections=2) as relay:
        async with connected(relay), connected(relay):
            pass
        for _ in range(3):
            assert (await exchange(relay, head(length=len(BODY)) + BODY))[0] == 202


async def test_small_bodies_have_room_beside_large_ones_that_never_end(
    relay: Relay, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(occupancy, "MAX_BODIES", 9_000_000)
    monkeypatch.setattr(occupancy, "RESERVED_FOR_SMALL", 1_000_000)
    async with connected(relay) as (_, writer):
        writer.write(head(length=7_000_000))
        await writer.drain()
        refused = await exchange(relay, head(length=2_000_000), b"a" * 2_000_000)
        assert_problem(refused, 503)
        assert refused[1]["retry-after"]
        assert (await exchange(relay, head(length=len(BODY)) + BODY))[0] == 202
        assert relay.services.metrics.registry.get_sample_value("relay_bodies_refused_total") == 1


async def test_a_body_without_a_length_is_counted_as_it_arrives(
    relay: Relay, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(occupancy, "MAX_BODIES", 300_000)
    monkeypatch.setattr(occupancy, "RESERVED_FOR_SMALL", 100_000)
    chunk = b"10000\r\n" + b"a" * 0x10000 + b"\r\n"
    assert_problem(await exchange(relay, CHUNKED, *[chunk] * 10), 503)
    assert (await exchange(relay, head(length=len(BODY)) + BODY))[0] == 202


async def test_room_is_returned(relay: Relay, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(occupancy, "MAX_BODIES", 1_000)
    monkeypatch.setattr(occupancy, "RESERVED_FOR_SMALL", 0)
    padded = BODY + b" " * (900 - len(BODY))
    async with connected(relay) as (_, writer):
        writer.write(head(length=900))  # and leaves without its body
    async with connected(relay) as (reader, writer):
        for _ in range(5):
            writer.write(head(length=900) + padded)
            assert (await respond(reader))[0] == 202


async def test_a_body_counts_until_it_is_stored_although_its_client_left(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(occupancy, "MAX_BODIES", 1_000)
    monkeypatch.setattr(occupancy, "RESERVED_FOR_SMALL", 0)
    padded = BODY + b" " * (900 - len(BODY))
    async with running(database_url) as relay:
        assert relay.services.writer is not None
        stored = asyncio.Event()
        submit = relay.services.writer.submit

        async def slow(*arguments: Any) -> Any:
            await stored.wait()
            return await submit(*arguments)

        monkeypatch.setattr(relay.services.writer, "submit", slow)
        async with connected(relay) as (_, writer):
            writer.write(head(length=900) + padded)
            await writer.drain()
            await asyncio.sleep(0.2)
        assert_problem(await exchange(relay, head(length=900) + padded), 503)
        stored.set()
        await asyncio.sleep(0.2)
        assert (await exchange(relay, head(length=900) + padded))[0] == 202


async def test_a_response_and_its_log_lines_share_a_request_id(relay: Relay) -> None:
    _, fields, _ = await exchange(relay, b"GET /-/healthy HTTP/1.1\r\nHost: relay\r\nX-Request-Id: abc-1\r\n\r\n")
    assert fields["x-request-id"] == "abc-1"


@pytest.mark.parametrize("given", representatives(["a b", "a" * 65, "", 'a"b', "\xe9"], keep=2))
async def test_an_invalid_request_id_is_replaced(relay: Relay, given: str) -> None:
    request = f"GET /nothing HTTP/1.1\r\nHost: relay\r\nX-Request-Id: {given}\r\n\r\n".encode()
    status, fields, _ = await exchange(relay, request)
    assert status == 404
    assert fields["x-request-id"] not in ("", given)


@pytest.mark.parametrize(
    "path", representatives(["/nothing", WEBHOOK, "/-/healthy", "/metrics", f"{BASE_PATH}/channels"], keep=2)
)
async def test_every_response_has_security_headers(relay: Relay, path: str) -> None:
    _, fields, _ = await exchange(relay, f"GET {path} HTTP/1.1\r\nHost: relay\r\n\r\n".encode())
    expected: dict[str, Any] = {
        "x-content-type-options": "nosniff",
        "x-frame-options": "deny",
        "referrer-policy": "no-referrer",
    }
    assert {name: fields[name] for name in expected} == expected
    assert "default-src 'none'" in fields["content-security-policy"]


async def test_a_body_of_many_small_chunks_is_refused(relay: Relay) -> None:
    response = await exchange(relay, CHUNKED, b"1\r\n \r\n" * 257)

    assert_problem(response, 400)
    assert b"too many small chunks" in response[2]


@pytest.mark.parametrize(("size", "count"), [(1, 250), (80, 3_000)])
async def test_a_body_of_few_or_larger_chunks_is_read(relay: Relay, size: int, count: int) -> None:
    chunk = b"%x\r\n%s\r\n" % (size, b" " * size)

    status, _, body = await exchange(relay, CHUNKED, chunk * count, b"2\r\n{}\r\n0\r\n\r\n")

    assert status == 400
    assert b"chunks" not in body
