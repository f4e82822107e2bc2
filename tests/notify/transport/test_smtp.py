"""Delivery of mails to a real mail server: encryption, login and the responses of the server."""

import base64
from collections.abc import AsyncIterator
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import pytest

from relay.domain.outcomes import Outcome, Reason, Rejected, Retry, Sent
from tests.fixtures.mail_server import LOGIN, MailServer, mail_server
from tests.fixtures.platforms import self_signed
from tests.notify.factories import alert, notification
from tests.notify.sending import send_mail
from tests.notify.strict.mail import parse_mail

OPS, DB = "ops@example.com", "db@example.org"
USER, PASSWORD = LOGIN
CREDENTIALS: dict[str, Any] = {"smtp_username": USER, "smtp_password": PASSWORD}


@pytest.fixture
async def server() -> AsyncIterator[MailServer]:
    """A mail server without encryption that accepts logins."""
    async with mail_server(auth_require_tls=False) as running:
        yield running


async def test_one_mail_is_sent_to_all_recipients(server: MailServer) -> None:
    outcome = await send_mail(server.port)

    assert outcome == Sent(250, "250 2.0.0 Ok: queued as 7")
    [mail] = server.arrived
    assert (mail.sender, mail.recipients) == ("relay@example.com", [OPS, DB])
    assert (mail.encrypted, mail.login) == (False, None)
    assert "DiskFull is firing" in parse_mail(mail.content).text
    assert server.greeted == ["[127.0.0.1]"]


async def test_the_date_is_set_at_sending_and_the_rest_stays_the_same(server: MailServer) -> None:
    await send_mail(server.port)
    await send_mail(server.port)

    first, second = (mail.content.partition(b"\r\n") for mail in server.arrived)
    assert first[0].startswith(b"Date: ")
    assert parsedate_to_datetime(first[0].decode().removeprefix("Date: ")).tzinfo is not None
    assert first[2] == second[2]
    assert b"\nDate:" not in first[2]


async def test_lines_that_start_with_a_dot_arrive_whole(server: MailServer) -> None:
    annotations = {"description": ".\n..\n.end\nFrom here"}
    await send_mail(server.port, message=notification(alert(annotations=annotations)))

    assert "  .\n  ..\n  .end\n  From here" in parse_mail(server.arrived[0].content).text
    assert ">.\n..\n.end\nFrom here<" in parse_mail(server.arrived[0].content).html


async def test_500_alerts_with_long_texts_are_accepted(server: MailServer) -> None:
    alerts = [alert(instance=f"db{at}", annotations={"description": "x" * 2048}) for at in range(500)]
    assert isinstance(await send_mail(server.port, message=notification(*alerts)), Sent)
    assert "more alerts that did not fit here" in parse_mail(server.arrived[0].content).text


@pytest.mark.parametrize("security", ["starttls", "tls"])
async def test_a_connection_is_encrypted_and_logged_in(security: str, tmp_path: Path) -> None:
    async with mail_server(**{security: self_signed(tmp_path)}, auth_required=True) as server:
        outcome = await send_mail(server.port, security, trusted=tmp_path, **CREDENTIALS)
    assert isinstance(outcome, Sent)
    assert [(mail.encrypted, mail.login) for mail in server.arrived] == [(True, USER)]


@pytest.mark.parametrize("security", ["starttls", "tls"])
async def test_a_self_signed_certificate_is_not_trusted(security: str, tmp_path: Path) -> None:
    async with mail_server(**{security: self_signed(tmp_path)}) as server:
        outcome = await send_mail(server.port, security, **CREDENTIALS)
    assert isinstance(outcome, Retry)
    assert outcome.reason is Reason.CONNECTION_ERROR
    assert outcome.detail.startswith("TLS failed, the certificate is not trusted: ")
    assert (server.arrived, server.tried) == ([], [])


@pytest.mark.parametrize("security", ["starttls", "tls"])
async def test_a_certificate_for_another_name_is_not_trusted(security: str, tmp_path: Path) -> None:
    async with mail_server(**{security: self_signed(tmp_path)}) as server:
        outcome = await send_mail(server.port, security, host="localhost", trusted=tmp_path, **CREDENTIALS)
    assert isinstance(outcome, Retry)
    assert outcome.detail.startswith("TLS failed, the certificate is not trusted: ")
    assert "localhost" in outcome.detail
    assert (server.arrived, server.tried) == ([], [])


async def test_nothing_is_sent_unencrypted_if_starttls_is_required(server: MailServer) -> None:
    outcome = await send_mail(server.port, "starttls", **CREDENTIALS)
    assert outcome == Retry(Reason.CONNECTION_ERROR, "the mail server does not support STARTTLS")
    assert (server.arrived, server.tried) == ([], [])


async def test_tls_to_a_server_without_it_is_retried(server: MailServer) -> None:
    outcome = await send_mail(server.port, "tls")
    assert isinstance(outcome, Retry)
    assert outcome.reason is Reason.CONNECTION_ERROR
    assert outcome.detail.startswith("TLS failed: ")


async def test_an_unencrypted_login_works_where_it_is_allowed(server: MailServer) -> None:
    assert isinstance(await send_mail(server.port, **CREDENTIALS), Sent)
    assert server.arrived[0].login == USER


@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN"])
async def test_a_login_uses_an_offered_mechanism(mechanism: str) -> None:
    others = {"PLAIN", "LOGIN"} - {mechanism}
    async with mail_server(auth_require_tls=False, auth_exclude_mechanism=others) as server:
        assert isinstance(await send_mail(server.port, **CREDENTIALS), Sent)
    assert server.tried == [mechanism]


async def test_a_server_without_a_login_mechanism_is_retried() -> None:
    async with mail_server(auth_require_tls=True) as server:
        outcome = await send_mail(server.port, **CREDENTIALS)
    assert isinstance(outcome, Retry)
    assert outcome.reason is Reason.AUTH_ERROR
    assert server.arrived == []


async def test_a_rejected_login_is_tried_once_and_retried_later(server: MailServer) -> None:
    outcome = await send_mail(server.port, smtp_username=USER, smtp_password="wrong")
    assert outcome == Retry(Reason.AUTH_ERROR, "535 5.7.8 Authentication credentials invalid", 535)
    assert len(server.tried) == 1


async def test_a_temporary_login_failure_is_a_server_error(server: MailServer) -> None:
    server.replies["AUTH"] = "454 4.7.0 Temporary authentication failure"
    outcome = await send_mail(server.port, smtp_username=USER, smtp_password="wrong")
    assert outcome == Retry(Reason.SERVER_ERROR, "454 4.7.0 Temporary authentication failure", 454)


async def test_a_missing_login_is_retried() -> None:
    async with mail_server(auth_require_tls=False, auth_required=True) as server:
        outcome = await send_mail(server.port)
    assert isinstance(outcome, Retry)
    assert (outcome.reason, outcome.status_code) == (Reason.AUTH_ERROR, 530)


@pytest.mark.parametrize("echoed", [PASSWORD, base64.b64encode(f"\0{USER}\0{PASSWORD}".encode()).decode()])
async def test_an_echoed_login_is_masked(echoed: str, server: MailServer) -> None:
    server.replies["DATA"] = f"554 no: {echoed}"
    outcome = await send_mail(server.port, **CREDENTIALS)
    assert isinstance(outcome, Rejected)
    assert outcome.detail == "554 no: ********"


@pytest.mark.parametrize(
    ("replies", "expected"),
    [
        ({"DATA": "550 spam"}, Rejected(Reason.CLIENT_ERROR, "550 spam", 550)),
        ({"DATA": "451 later"}, Retry(Reason.SERVER_ERROR, "451 later", 451)),
        ({"MAIL": "552 too large"}, Rejected(Reason.CLIENT_ERROR, "552 too large", 552)),
        ({"MAIL": "553 not your address"}, Retry(Reason.CLIENT_ERROR, "553 not your address", 553)),
        ({"MAIL": "421 too busy"}, Retry(Reason.SERVER_ERROR, "421 too busy", 421)),
        ({OPS: "550 unknown", DB: "551 gone"}, Rejected(Reason.CLIENT_ERROR, "550 unknown", 550)),
        ({OPS: "550 unknown", DB: "450 later"}, Retry(Reason.SERVER_ERROR, "450 later", 450)),
        ({OPS: "550 unknown", DB: "552 full"}, Retry(Reason.SERVER_ERROR, "552 full", 552)),
        ({OPS: "530 log in first", DB: "550 no"}, Retry(Reason.AUTH_ERROR, "530 log in first", 530)),
        *(
            ({OPS: "550 5.1.1 unknown", DB: reply}, Retry(Reason.CLIENT_ERROR, reply, int(reply[:3])))
            for reply in (
                "504 5.5.2 <[127.0.0.1]>: Helo command rejected: need fully-qualified hostname",
                "554 5.7.1 <db@example.org>: Relay access denied",
                "550 5.7.1 Unable to relay",
                "550 5.1.8 Sender domain does not resolve",
                "550 Client host rejected: cannot find your hostname",
                "550 blocked using zen.spamhaus.org",
                "501 syntax",
                "521 this host accepts no mail",
            )
        ),
        (
            {"DATA": "550 Client host [127.0.0.1] blocked"},
            Retry(Reason.CLIENT_ERROR, "550 Client host [127.0.0.1] blocked", 550),
        ),
        ({"DATA": "535 5.7.8 log in first"}, Retry(Reason.AUTH_ERROR, "535 5.7.8 log in first", 535)),
        ({"DATA": "550 5.7.1 spam"}, Rejected(Reason.CLIENT_ERROR, "550 5.7.1 spam", 550)),
    ],
    ids=str,
)
async def test_a_rejection_is_final_if_it_concerns_the_mail(
    replies: dict[str, str], expected: Outcome, server: MailServer
) -> None:
    server.replies = replies
    assert await send_mail(server.port) == expected
    assert server.arrived == []


@pytest.mark.parametrize("reply", ["garbage", "299 what", "200"])
async def test_an_email_with_an_unknown_reply_may_have_been_accepted(reply: str, server: MailServer) -> None:
    server.replies = {"DATA": reply}
    outcome = await send_mail(server.port)
    assert isinstance(outcome, Retry)
    assert (outcome.reason, outcome.unconfirmed) == (Reason.UNEXPECTED_RESPONSE, True)
    assert outcome.detail.startswith("unexpected reply: ")


async def test_the_name_in_ehlo_is_a_setting(server: MailServer) -> None:
    await send_mail(server.port, smtp_hello="relay.example.com")
    assert server.greeted == ["relay.example.com"]


async def test_rejected_recipients_are_counted(server: MailServer) -> None:
    server.replies = {OPS: "550 5.1.1 unknown"}
    outcome = await send_mail(server.port)
    assert outcome == Sent(
        250,
        "1 of 2 recipients were rejected, the first with 550 5.1.1 unknown; 250 2.0.0 Ok: queued as 7",
    )
    assert [mail.recipients for mail in server.arrived] == [[DB]]


async def test_a_mail_over_the_server_s_size_limit_is_rejected() -> None:
    async with mail_server(data_size_limit=100) as server:
        outcome = await send_mail(server.port)
    assert isinstance(outcome, Rejected)
    assert outcome.status_code == 552


@pytest.mark.parametrize("allowed", [(), ("10.0.0.0/8",), ("mail.example.com",)])
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "0x7f.1"])
async def test_loopback_is_blocked(allowed: tuple[str, ...], host: str, server: MailServer) -> None:
    outcome = await send_mail(server.port, host=host, allowed=allowed)
    assert isinstance(outcome, Retry)
    assert outcome.reason is Reason.BLOCKED_TARGET
    assert server.greeted == []


async def test_an_allowed_name_may_be_private(server: MailServer) -> None:
    assert isinstance(await send_mail(server.port, host="localhost", allowed=("localhost",)), Sent)
