"""Webhooks whose bodies are compressed."""

import json
import tracemalloc
from functools import partial
from gzip import compress

import pytest

from relay.domain.request_bodies import MAX_BODY
from relay.http import occupancy
from tests.fixtures.relays import ApiResponse, Relay, webhook
from tests.fixtures.sampling import representatives

zipped = partial(compress, mtime=0)  # the names of tests contain bodies, and must not depend on the time
BODY = json.dumps(webhook()).encode()
PADDED = BODY + b" " * (MAX_BODY - len(BODY))


async def post(relay: Relay, body: bytes, encoding: str = "gzip") -> ApiResponse:
    return await relay.call("POST", "/webhook", key=None, data=body, headers={"Content-Encoding": encoding})


@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        ("x-gzip", zipped(BODY)),
        ("identity", BODY),
        pytest.param(
            "gzip",
            zipped(BODY[:99]) + zipped(b"") + zipped(BODY[99:]) + b"\0\0",
            id="members",
        ),
        pytest.param("gzip", zipped(PADDED), id="as large as a body may be"),
        *representatives(
            [("gzip", zipped(BODY)), ("GZIP", zipped(BODY)), ("identity, gzip", zipped(BODY)), ("", BODY)], keep=1
        ),
    ],
)
async def test_a_compressed_webhook_is_accepted(relay: Relay, encoding: str, body: bytes) -> None:
    response = await post(relay, body, encoding)
    assert (response.status, response.json["alerts"]) == (202, 1)


async def test_the_decompressed_body_is_stored_and_delivered(relay: Relay) -> None:
    await post(relay, zipped(BODY))
    response = await relay.webhook(BODY)
    assert response.json["duplicate"] is True
    assert len(await relay.items("/history")) == 1


@pytest.mark.parametrize(
    "encoding", representatives(["br", "gzip, gzip", "br, gzip", "zstd", "deflate", "compress"], keep=2)
)
async def test_another_encoding_is_refused_with_what_to_do(relay: Relay, encoding: str) -> None:
    response = await post(relay, BODY, encoding)
    assert (response.status, response.headers["Accept-Encoding"]) == (415, "gzip")
    assert response.json["detail"] == (
        f"Content-Encoding {encoding!r} is not supported: send the body as it is, or with gzip"
    )


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        (BODY, "not gzip"),
        (zipped(BODY)[:-9], "incomplete"),
        (zipped(b"") * 101, "members"),
        (zipped(b""), "empty"),
        *representatives(
            [(zipped(BODY)[:-8] + b"12345678", "not gzip"), (zipped(BODY) + b"more", "not gzip"), (b"", "empty")],
            keep=0,
        ),
    ],
)
async def test_a_body_that_is_not_gzip_is_refused(relay: Relay, body: bytes, detail: str) -> None:
    response = await post(relay, body)
    assert response.status == 400
    assert detail in response.json["detail"]


@pytest.mark.parametrize("size", [MAX_BODY + 1, 8 * MAX_BODY])
async def test_a_bomb_is_refused_before_it_is_decompressed_whole(relay: Relay, size: int) -> None:
    bomb = zipped(b" " * size)
    tracemalloc.start()
    try:
        response = await post(relay, bomb)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert (response.status, peak < 2 * MAX_BODY) == (413, True)


async def test_decompressed_bytes_count_as_in_flight(relay: Relay, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(occupancy, "MAX_BODIES", 5_000_000)
    monkeypatch.setattr(occupancy, "RESERVED_FOR_SMALL", 0)
    for _ in range(3):
        refused = await post(relay, zipped(PADDED))
        assert (refused.status, refused.headers["Retry-After"]) == (503, "5")
    assert relay.services.metrics.registry.get_sample_value("relay_bodies_refused_total") == 3
    for _ in range(3):
        accepted = await post(relay, zipped(BODY + b" " * 4_000_000))
        assert accepted.status == 202
