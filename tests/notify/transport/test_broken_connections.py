"""Does every way a connection can fail end as an outcome, in time?"""

import socket
import time
from pathlib import Path

import pytest

from relay.domain.channel_types import BaseChannel
from relay.domain.outcomes import Reason, Rejected, Retry, Sent
from tests.fixtures.sink import Sink
from tests.notify.broken import broken, hangs, never_ends, resets_after, self_signed, sends
from tests.notify.conftest import Tell

pytestmark = pytest.mark.over_http

OK = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"


async def test_a_refused_connection_is_tried_again(kind: type[BaseChannel], tell: Tell) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        outcome = await tell(kind, f"http://127.0.0.1:{closed.getsockname()[1]}/x")
    assert isinstance(outcome, Retry)
    assert outcome.reason is Reason.CONNECTION_ERROR


@pytest.mark.parametrize("start", [b"", b"HTTP/1.1 20", OK], ids=["at once", "in the status", "in the headers"])
async def test_a_reset_before_the_answer_is_tried_again(kind: type[BaseChannel], start: bytes, tell: Tell) -> None:
    async with broken(resets_after(start)) as url:
        outcome = await tell(kind, url)
    assert isinstance(outcome, Retry)
    assert outcome.reason is Reason.CONNECTION_ERROR


@pytest.mark.parametrize(
    "start",
    [OK + b"Content-Length: 100\r\n\r\nhalf", OK + b"Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n"],
    ids=["length", "chunks"],
)
@pytest.mark.parametrize("ends", [sends, resets_after])
async def test_a_body_that_breaks_off_counts_by_its_status(
    kind: type[BaseChannel], start: bytes, ends: type, tell: Tell
) -> None:
    async with broken(ends(start)) as url:
        outcome = await tell(kind, url)
    assert isinstance(outcome, Sent)


async def test_an_endless_body_is_read_no_further_than_matters(kind: type[BaseChannel], tell: Tell) -> None:
    start = b"HTTP/1.1 400 Bad\r\nTransfer-Encoding: chunked\r\n\r\n"
    started = time.monotonic()
    async with broken(never_ends(start, b"2000\r\n" + b"x" * 0x2000 + b"\r\n")) as url:
        outcome = await tell(kind, url)
    assert time.monotonic() - started < 2
    assert isinstance(outcome, Rejected)
    assert len(outcome.detail) == 500


async def test_a_body_that_drips_does_not_outlast_the_time_out(kind: type[BaseChannel], tell: Tell) -> None:
    started = time.monotonic()
    async with broken(never_ends(OK + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n", 0.02)) as url:
        outcome = await tell(kind, url, patience=0.3)
    assert time.monotonic() - started < 2
    assert isinstance(outcome, Sent)


async def test_endless_headers_are_no_answer(kind: type[BaseChannel], tell: Tell) -> None:
    started = time.monotonic()
    async with broken(never_ends(b"HTTP/1.1 200 OK\r\n", b"X-More: " + b"x" * 1000 + b"\r\n")) as url:
        outcome = await tell(kind, url, patience=1.0)
    assert time.monotonic() - started < 3
    assert isinstance(outcome, Retry)


async def test_a_hang_ends_with_the_time_out(kind: type[BaseChannel], tell: Tell) -> None:
    started = time.monotonic()
    async with broken(hangs) as url:
        outcome = await tell(kind, url, patience=0.3)
    assert 0.2 < time.monotonic() - started < 2
    assert outcome == Retry(Reason.DEADLINE_EXCEEDED, "no response in time")


@pytest.mark.parametrize("noise", [b"\x00\xff\x16\x03\x01garbage\r\n\r\n", b"SSH-2.0-OpenSSH_9.2\r\n\r\n", b""])
async def test_what_does_not_speak_http_is_tried_again(kind: type[BaseChannel], noise: bytes, tell: Tell) -> None:
    async with broken(sends(noise)) as url:
        outcome = await tell(kind, url)
    assert isinstance(outcome, Retry)
    assert outcome.reason is Reason.CONNECTION_ERROR


async def test_a_name_that_is_not_found_is_tried_again(kind: type[BaseChannel], tell: Tell) -> None:
    outcome = await tell(kind, "https://does-not-exist.invalid/x")
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
async def test_a_url_that_is_none_is_no_fault_of_the_message(
    kind: type[BaseChannel], url: str, tell: Tell
) -> None:
    outcome = await tell(kind, url)
    assert outcome == Retry(Reason.CLIENT_ERROR, "the URL is malformed")


async def test_tls_that_fails_is_tried_again(kind: type[BaseChannel], sink: Sink, tell: Tell) -> None:
    outcome = await tell(kind, sink.url.replace("http://", "https://"))
    assert isinstance(outcome, Retry)
    assert outcome.reason is Reason.CONNECTION_ERROR
    assert outcome.detail.startswith("TLS failed: ")
    assert sink.received == []


async def test_a_certificate_that_nobody_vouches_for_is_not_trusted(
    kind: type[BaseChannel], tmp_path: Path, tell: Tell
) -> None:
    async with broken(sends(OK + b"\r\nok"), self_signed(tmp_path)) as url:
        outcome = await tell(kind, url.replace("http://", "https://"))
    assert isinstance(outcome, Retry)
    assert outcome.reason is Reason.CONNECTION_ERROR
    assert outcome.detail.startswith("TLS failed, the certificate is not trusted: ")
