"""Bytes that are hardly HTTP: the server responds, or closes the connection, and goes on."""

import asyncio
import contextlib
import random
import re
from collections import Counter
from typing import Final

import pytest

from relay.app import BASE_PATH
from tests.fixtures.processes import RelayProcess, on_database, relay_process
from tests.fixtures.relays import ADMIN_KEY

SEED: Final = 20261127
REQUESTS: Final = 5_000
CONNECTIONS: Final = 20
RIGHT_5XX: Final = {501, 503, 505}

METHODS: Final = [
    b"GET",
    b"POST",
    b"PATCH",
    b"DELETE",
    b"PUT",
    b"HEAD",
    b"OPTIONS",
    b"CONNECT",
    b"BREW",
    b"get",
    b"",
]
PATHS: Final = [
    f"{BASE_PATH}{path}".encode()
    for path in (
        *(
            "/webhook",
            "/channels",
            "/channels/a",
            "/channels/%00",
            "/history?limit=99999999999999999999",
            "/history/-1",
        ),
        *(
            "/deliveries/9223372036854775808",
            "/templates/%ff",
            "/sources/%2e%2e",
            "/channels?cursor=%F0%28",
            "/route",
        ),
        *(
            "/preview",
            "/test",
            "/history?state=%00&q=\xff",
            "/deliveries?state=delivered&state=dead",
            "/channels/a/health",
        ),
    )
] + [
    b"/",
    b"/metrics",
    b"/-/ready",
    b"/schema",
    b"/schema/openapi.json",
    b"*",
    b"//",
    b"http://x/",
    b"/%",
    b"\xff",
]
VERSIONS: Final = [b"HTTP/1.1", b"HTTP/1.0", b"HTTP/2.0", b"HTTP/9.9", b"HTTP/", b"", b"http/1.1"]
FIELDS: Final = [
    b"Content-Length: 5",
    b"Content-Length: -1",
    b"Content-Length: 99999999999999999999999",
    b"Content-Length: 5\r\nContent-Length: 6",
    b"Transfer-Encoding: chunked",
    b"Transfer-Encoding: chunked\r\nContent-Length: 3",
    b"Transfer-Encoding: gzip, chunked",
    b"Transfer-Encoding: \x0bchunked",
    b"Content-Encoding: gzip",
    b"Content-Encoding: br",
    b"Content-Type: application/json",
    b"Content-Type: multipart/form-data; boundary=" + b"x" * 500,
    b"Content-Type: \xff/\xfe; charset=\x80",
    b"Expect: 100-continue",
    b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: x\r\nSec-WebSocket-Version: 13",
    b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c",
    b"X-Request-Id: " + b"\xff" * 100,
    b"X-Forwarded-For: 1.2.3.4, \x00, ::1",
    b"Accept: \xff\xfe",
    b"Cookie: " + b"a=b; " * 200,
    b"Range: bytes=0-0,-1",
    b'If-Match: "\xff"',
    b" folded: value",
    b"no colon",
    b"Na me: value",
    b"Name : value",
    b"A: b\nC: d",
    b"A: \x00",
]
BODIES: Final = [
    b"",
    b"{}",
    b"[]",
    b"null",
    b"\xff\xfe",
    b'{"alerts":[',
    b'{"a":1e999999}',
    b'{"a":' + b"9" * 5_000 + b"}",
    b"[" * 20_000,
    b'"\\ud800"',
    b'{"\\u0000":"\\u0000"}',
    b"5\r\nhello\r\n0\r\n\r\n",
    b"ffffffffffffffffff\r\n",
    b"-1\r\nx\r\n",
    b"0\r\nTrailer: x\r\n\r\n",
    b'1;ext="\xff"\r\nx\r\n0\r\n\r\n',
    b"\x1f\x8b\x08\x00" + b"\x00" * 50,
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01",
    b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
]


def raw_request(rng: random.Random) -> bytes:
    """A request of odd parts, of which some bytes are changed, removed or repeated."""
    fields = [b"Host: relay", f"Authorization: Bearer {ADMIN_KEY}".encode()]
    fields += rng.sample(FIELDS, rng.randrange(4))
    body = rng.choice(BODIES)
    if rng.random() < 0.5:
        fields.append(b"Content-Length: %d" % len(body))
    line = b" ".join(
        (rng.choice(METHODS), rng.choice(PATHS), rng.choice(VERSIONS) if rng.random() < 0.3 else b"HTTP/1.1")
    )
    request = bytearray(b"\r\n".join([line, *fields]) + b"\r\n\r\n" + body)
    for _ in range(rng.choice((0, 0, 1, 3, 20))):
        at = rng.randrange(len(request))
        match rng.randrange(3):
            case 0:
                request[at] = rng.randrange(256)
            case 1:
                del request[at : at + rng.randrange(1, 9)]
                request += b"\n"
            case _:
                request[at:at] = request[at : at + rng.randrange(1, 200)]
    return bytes(request)


async def statuses_of(relay: RelayProcess, request: bytes) -> list[int]:
    """The statuses of all responses to the bytes, after which the client sends nothing more."""
    reader, writer = await asyncio.open_connection("127.0.0.1", relay.port)
    received = b""
    try:
        with contextlib.suppress(OSError):
            writer.write(request)
            writer.write_eof()
            async with asyncio.timeout(40):
                received = await reader.read(-1)
    finally:
        writer.close()
    return [int(status) for status in re.findall(rb"^HTTP/1\.[01] (\d{3}) ", received, re.MULTILINE)]


@pytest.mark.parametrize("count", [300, pytest.param(REQUESTS, marks=pytest.mark.slow)])
async def test_odd_bytes_get_no_server_error(database_url: str, count: int) -> None:
    rng = random.Random(SEED)
    requests = iter([raw_request(rng) for _ in range(count)])
    seen: Counter[int] = Counter()
    wrong: list[tuple[bytes, int]] = []

    async def send(relay: RelayProcess) -> None:
        for request in requests:
            for status in await statuses_of(relay, request):
                seen[status] += 1
                if status >= 500 and status not in RIGHT_5XX:
                    wrong.append((request, status))

    async with relay_process(on_database(database_url)) as relay:
        await asyncio.gather(*(send(relay) for _ in range(CONNECTIONS)))
        assert await statuses_of(relay, b"GET /-/healthy HTTP/1.1\r\nHost: relay\r\n\r\n") == [200]
    assert not wrong
    assert "Traceback" not in relay.output
    assert seen[400] > count / 10
    assert seen[404] + seen[405] > count / 100
