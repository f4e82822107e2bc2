"""The sender of an email: its address, its display name, and the name in EHLO."""

from email import message_from_bytes
from email.header import decode_header, make_header
from email.utils import parseaddr

import pytest

from relay.domain.channel_types import EmailChannel
from relay.domain.errors import InvalidInput
from relay.notify.registry import NOTIFIERS, check_channel
from relay.notify.requests import Mail
from relay.notify.transport.egress_policy import EgressPolicy
from tests.notify.factories import channel, notification


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("relay@example.com", ""),
        ("<relay@example.com>", ""),
        ("Alert Relay <relay@example.com>", "Alert Relay"),
        ('"Relay, Ops" <relay@example.com>', "Relay, Ops"),
        (r'"a \"b\" \\ c" <relay@example.com>', r'a "b" \ c'),
        ("Relay (ops) <relay@example.com>", "Relay (ops)"),
        ("Überwachung 🔥 <relay@example.com>", "Überwachung 🔥"),
        ("Ü" * 100 + " <relay@example.com>", "Ü" * 100),
        ("=?utf-8?b?eA==?= <relay@example.com>", "=?utf-8?b?eA==?="),
    ],
)
def test_the_sender_may_have_a_name(given: str, shown: str) -> None:
    mail = NOTIFIERS[EmailChannel].request(channel(EmailChannel, email_from=given), notification())
    assert isinstance(mail, Mail)
    message = message_from_bytes(mail.body)
    name, address = parseaddr(message["From"])
    assert (mail.sender, address) == ("relay@example.com", "relay@example.com")
    assert str(make_header(decode_header(name))) == shown
    assert all(len(line) <= 78 for line in str(message["From"]).splitlines())
    assert message["Message-ID"].endswith(".alert-relay@example.com>")


@pytest.mark.parametrize(
    "given",
    ["Relay <x>", "a\r\nBcc: x@example.com <relay@example.com>", "x" * 101 + " <a@example.com>", "Relay <>"],
)
def test_a_malformed_sender_is_rejected(given: str) -> None:
    with pytest.raises(InvalidInput, match="must"):
        check_channel(channel(EmailChannel, email_from=given), EgressPolicy(()))


@pytest.mark.parametrize("name", ["", "a b", "x\r\nMAIL", "[1.2.3.4", "a..b", "x" * 300])
def test_a_malformed_name_for_ehlo_is_rejected(name: str) -> None:
    with pytest.raises(InvalidInput) as error:
        check_channel(channel(EmailChannel, smtp_hello=name), EgressPolicy(()))
    assert error.value.field == "smtp_hello"
