"""The outcome of every way in which an HTTP connection can fail, within the timeout.

All channel types share this code; test_http_contract has each of them use it.
"""

import socket
import time
from pathlib import Path

import pytest
from aiohttp import web

from relay.domain.channel_types import WebhookChannel
from relay.domain.outcomes import Reason, Rejected, Retry, Sent
from tests.fixtures.behaviors import hangs, never_ends, resets_after, sends
from tests.fixtures.platforms import self_signed
from tests.fixtures.sink import Sink
from tests.notify.broken import broken
from tests.notify.sending import send

OK = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"


async def test_a_refused_connection_is_retried() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        outcome = await send(WebhookChannel, f"http://127.0.0.1:{closed.getsockname()[1]}/x")
    assert isinstance(outcome, Retry)
    assert outcome.reason is Reason.CONNECTION_ERROR


@pytest.mark.parametrize("start", [b"", b"HTTP/1.1 20", OK], ids=["at once", "in the status", "in the headers"])
async def test_a_reset_before_the_end_of_the_headers_is_retried(start: bytes) -> None:
    async with broken(resets_after(start)) as url:
        outcome = await send(WebhookChannel, url)
    assert isinstance(outcome, Retry)
    assert outcome.reason is Reason.CONNECTION_ERROR


@pytest.mark.parametrize(
    "start",
    [OK + b"Content-Length: 100\r\n\r\nhalf", OK + b"Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n"],
    ids=["length", "chunks"],
)
@pytest.mark.parametrize("ends", [sends, resets_after])
async def test_an_incomplete_body_is_classified_by_its_status(start: bytes, ends: type) -> None:
    async with broken(ends(start)) as url:
        outcome = await send(WebhookChannel, url)
    assert isinstance(outcome, Sent)


async def test_an_endless_body_is_read_up_to_the_limit() -> None:
    start = b"HTTP/1.1 400 Bad\r\nTransfer-Encoding: chunked\r\n\r\n"
    started = time.monotonic()
    async with broken(never_ends(start, b"2000\r\n" + b"x" * 0x2000 + b"\r\n")) as url:
        outcome = await send(WebhookChannel, url)
    assert time.monotonic() - started < 2
    assert isinstance(outcome, Rejected)
    assert len(outcome.detail) == 500


async def test_a_slow_body_does_not_outlast_the_timeout() -> None:
    started = time.monotonic()
    async with broken(never_ends(OK + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n", 0.02)) as url:
        outcome = await send(WebhookChannel, url, attempt_timeout=0.3)
    assert time.monotonic() - started < 2
    assert isinstance(outcome, Sent)


async def test_endless_headers_are_retried() -> None:
    started = time.monotonic()
    async with broken(never_ends(b"HTTP/1.1 200 OK\r\n", b"X-More: " + b"x" * 1000 + b"\r\n")) as url:
        outcome = await send(WebhookChannel, url, attempt_timeout=1.0)
    assert time.monotonic() - started < 3
    assert isinstance(outcome, Retry)


async def test_a_hang_ends_at_the_timeout() -> None:
    started = time.monotonic()
    async with broken(hangs) as url:
        outcome = await send(WebhookChannel, url, attempt_timeout=0.3)
    assert 0.2 < time.monotonic() - started < 2
    assert outcome == Retry(Reason.DEADLINE_EXCEEDED, "no response in time")


@pytest.mark.parametrize("noise", [b"\x00\xff\x16\x03\x01garbage\r\n\r\n", b"SSH-2.0-OpenSSH_9.2\r\n\r\n", b""])
async def test_a_server_that_does_not_speak_http_is_retried(noise: bytes) -> None:
    async with broken(sends(noise)) as url:
        outcome = await send(WebhookChannel, url)
    assert isinstance(outcome, Retry)
    assert outcome.reason is Reason.CONNECTION_ERROR


async def test_a_name_that_does_not_resolve_is_retried() -> None:
    outcome = await send(WebhookChannel, "https://does-not-exist.invalid/x")
    assert isinstance(outcome, Retry)
    assert outcome.reason is Reason.CONNECTION_ERROR
    assert outcome.detail.startswith("the name could not be resolved: ")
    assert "does-not-exist.invalid" in outcome.detail


@pytest.mark.parametrize(
    "url",
    [
        "http://[::1/x",
        "https://",
        "nothing",
        "https://a..b/x",
        f"https://{'a' * 64}.example/",
        "ftp://127.0.0.1/x",
    ],
)
async def test_a_malformed_url_is_retried(url: str) -> None:
    assert await send(WebhookChannel, url) == Retry(Reason.CLIENT_ERROR, "the URL is malformed")


async def test_a_failed_tls_handshake_is_retried(sink: Sink) -> None:
    outcome = await send(WebhookChannel, sink.url.replace("http://", "https://"))
    assert isinstance(outcome, Retry)
    assert outcome.reason is Reason.CONNECTION_ERROR
    assert outcome.detail.startswith("TLS failed: ")
    assert sink.received == []


async def test_a_self_signed_certificate_is_not_trusted(tmp_path: Path) -> None:
    async with broken(sends(OK + b"\r\nok"), self_signed(tmp_path)) as url:
        outcome = await send(WebhookChannel, url.replace("http://", "https://"))
    assert isinstance(outcome, Retry)
    assert outcome.reason is Reason.CONNECTION_ERROR
    assert outcome.detail.startswith("TLS failed, the certificate is not trusted: ")


@pytest.mark.parametrize("status", [301, 302, 303, 304, 307, 308])
async def test_a_redirect_is_not_followed(status: int, sink: Sink) -> None:
    headers = {"Location": f"{sink.url}/elsewhere"}
    sink.script = lambda _: web.Response(status=status, headers=headers)
    outcome = await send(WebhookChannel, f"{sink.url}/here")
    assert isinstance(outcome, Retry)
    assert outcome.reason is Reason.OTHER
    assert "redirects are not followed" in outcome.detail
    assert [request.path for request in sink.received] == ["/here"]


@pytest.mark.parametrize("status", [200, 400, 500])
async def test_a_body_of_garbage_is_stored_as_bounded_text(status: int, sink: Sink) -> None:
    garbage = bytes(range(256)) * 10
    sink.script = lambda _: web.Response(status=status, body=garbage)
    outcome = await send(WebhookChannel, sink.url)
    assert outcome.status_code == status
    assert outcome.detail
    assert "\0" not in outcome.detail
    assert len(outcome.detail) <= 500
