"""The outcome of every way in which a connection to a mail server can fail, within the timeout."""

import asyncio
import socket
from collections.abc import AsyncIterator

import pytest

from relay.domain.outcomes import Outcome, Reason, Retry, Sent
from tests.fixtures.behaviors import Behavior, hangs, resets_after, sends
from tests.fixtures.mail_server import MailServer, mail_server
from tests.notify.sending import send_mail


@pytest.fixture
async def server() -> AsyncIterator[MailServer]:
    """A mail server without encryption that accepts logins."""
    async with mail_server(auth_require_tls=False) as running:
        yield running


async def test_a_refused_connection_is_retried() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        outcome = await send_mail(closed.getsockname()[1])
    assert isinstance(outcome, Retry)
    assert outcome.reason is Reason.CONNECTION_ERROR


async def test_a_name_that_does_not_resolve_is_retried() -> None:
    outcome = await send_mail(25, host="does-not-exist.invalid")
    assert isinstance(outcome, Retry)
    assert outcome.reason is Reason.CONNECTION_ERROR
    assert outcome.detail.startswith("the name could not be resolved: ")


async def test_a_mail_is_sent_even_if_the_server_does_not_answer_quit(server: MailServer) -> None:
    server.replies["QUIT"] = "never"
    assert isinstance(await send_mail(server.port), Sent)


async def test_a_connection_is_closed_when_a_server_hangs_after_data(server: MailServer) -> None:
    server.replies["DATA"] = "never"
    outcome = await send_mail(server.port, attempt_timeout=0.5)
    assert outcome == Retry(Reason.DEADLINE_EXCEEDED, "no response in time")
    async with asyncio.timeout(10):
        while server.connected:
            await asyncio.sleep(0.02)


async def send_to(behavior: Behavior, security: str, attempt_timeout: float = 10.0) -> Outcome:
    """Make one attempt with a server that behaves like this on every connection."""

    async def accept(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await behavior(writer)
        finally:
            writer.close()

    async with await asyncio.start_server(accept, "127.0.0.1", 0) as listening:
        return await send_mail(listening.sockets[0].getsockname()[1], security, attempt_timeout=attempt_timeout)


@pytest.mark.parametrize("security", ["starttls", "tls", "none"])
async def test_a_hang_ends_at_the_timeout(security: str) -> None:
    outcome = await send_to(hangs, security, attempt_timeout=0.3)
    assert outcome == Retry(Reason.DEADLINE_EXCEEDED, "no response in time")


@pytest.mark.parametrize("security", ["starttls", "tls", "none"])
@pytest.mark.parametrize(
    "behavior", [sends(b""), resets_after(b""), resets_after(b"220 hel"), sends(b"220 hi\r\n")]
)
async def test_a_server_that_closes_the_connection_is_retried(behavior: Behavior, security: str) -> None:
    outcome = await send_to(behavior, security)
    assert isinstance(outcome, Retry)
    assert outcome.reason is Reason.CONNECTION_ERROR


@pytest.mark.parametrize(
    "noise", [b"HTTP/1.1 400 Bad\r\n\r\n", b"\x00\xff\x16garbage\r\n", b"220 " + b"x" * 100_000]
)
async def test_a_server_that_does_not_speak_smtp_is_retried(noise: bytes) -> None:
    outcome = await send_to(sends(noise), "none")
    assert isinstance(outcome, Retry)
    assert outcome.reason is Reason.CONNECTION_ERROR


@pytest.mark.parametrize("greeting", [b"421 busy\r\n", b"554 not you\r\n"])
async def test_a_server_that_refuses_in_its_greeting_is_retried(greeting: bytes) -> None:
    outcome = await send_to(sends(greeting), "none")
    assert isinstance(outcome, Retry)
    assert (outcome.reason, outcome.detail) == (Reason.SERVER_ERROR, greeting.decode().strip())
