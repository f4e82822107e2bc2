"""Mails in text and HTML, in the thread of their group, with headers that alerts cannot forge."""

from typing import Any

import msgspec
import pytest

from relay.domain.channel_types import EmailChannel
from relay.domain.errors import InvalidInput
from relay.domain.notifications import Message, Notification
from relay.notify.registry import NOTIFIERS, check_channel, effective_rate_limit
from relay.notify.requests import Mail
from relay.notify.transport.egress_policy import EgressPolicy
from tests.notify.factories import ALERTMANAGER, HISTORY, alert, channel, count, digest, notification
from tests.notify.strict.mail import ParsedMail, parse_mail

HOSTILE_NAMES = [
    "a\r\nBcc: x@example.com",
    "a\nb",
    "\x00\x1b[31m",
    "=?utf-8?q?forged?=",
    "é" * 500,
    "a" * 5000,
    '"<>,;@',
]


def mail_request(message: Message, **settings: Any) -> Mail:
    request = NOTIFIERS[EmailChannel].request(channel(EmailChannel, **settings), message)
    assert isinstance(request, Mail)
    return request


def parsed_mail(message: Message, **settings: Any) -> ParsedMail:
    return parse_mail(mail_request(message, **settings).body)


def with_group_key(message: Notification, key: str) -> Notification:
    return msgspec.structs.replace(message, group=msgspec.structs.replace(message.group, group_key=key))


def rejection(*allowed: str, **settings: Any) -> tuple[str, str]:
    with pytest.raises(InvalidInput) as caught:
        check_channel(channel(EmailChannel, **settings), EgressPolicy(allowed))
    return caught.value.field, caught.value.message


def test_a_mail_is_from_the_channel_s_address_to_all_recipients() -> None:
    headers = parsed_mail(notification()).headers
    assert (headers["From"], headers["To"]) == ("relay@example.com", "ops@example.com, db@example.org")
    assert headers["Subject"] == "[FIRING:1] DiskFull"
    assert headers["Auto-Submitted"] == "auto-generated"
    assert mail_request(notification()).recipients == ("ops@example.com", "db@example.org")


@pytest.mark.parametrize("name", HOSTILE_NAMES)
def test_an_alert_name_cannot_add_a_header(name: str) -> None:
    headers = parsed_mail(notification(alert(name))).headers
    assert "Bcc" not in headers
    assert headers["Subject"].startswith("[FIRING:1] " + " ".join(name.split())[:1].replace("\0", "\ufffd"))
    assert len(headers["Subject"]) <= 200


def test_a_subject_keeps_its_characters() -> None:
    assert parsed_mail(notification(alert("Überlauf 🔥 磁盘"))).headers["Subject"] == "[FIRING:1] Überlauf 🔥 磁盘"
    assert parsed_mail(notification(alert("=?utf-8?q?x?="))).headers["Subject"] == "[FIRING:1] =?utf-8?q?x?="


@pytest.mark.parametrize(("count", "shown"), [(1, 9_000), (2, 5_000), (5, 2_000), (50, 1_000)])
def test_fewer_alerts_are_shown_in_more_detail(count: int, shown: int) -> None:
    alerts = [alert(f"Disk{at}", annotations={"description": "x" * 9_000}) for at in range(count)]
    text = parsed_mail(notification(*alerts)).text
    assert max(len(line.strip()) for line in text.splitlines() if "xxx" in line) == shown


def test_mails_of_one_group_share_a_thread() -> None:
    firing, resolved = parsed_mail(notification()), parsed_mail(notification(alert(status="resolved")))
    assert firing.headers["References"] == firing.headers["In-Reply-To"] == resolved.headers["References"]
    assert firing.headers["References"].endswith("@example.com>")


def test_other_groups_and_channels_have_their_own_threads() -> None:
    message = notification()
    threads = [
        parsed_mail(message),
        parsed_mail(with_group_key(message, "{}:{}")),
        parsed_mail(message, id="other"),
    ]
    assert len({one.headers["References"] for one in threads}) == 3


def test_a_digest_has_no_thread() -> None:
    headers = parsed_mail(digest()).headers
    assert headers["References"] is headers["In-Reply-To"] is None
    assert headers["Subject"] == "[DIGEST of 27 groups] FIRING:1"


def test_a_mail_is_the_same_on_every_attempt_and_has_its_own_message_id() -> None:
    assert mail_request(notification()) == mail_request(notification())
    assert parsed_mail(notification()).headers["Date"] is None
    messages: list[Message] = [
        notification(),
        notification(alert(status="resolved")),
        notification(alert("Other")),
        digest(),
    ]
    ids = {parsed_mail(message).headers["Message-ID"] for message in messages}
    again, elsewhere = (
        parsed_mail(msgspec.structs.replace(notification(), id="43")),
        parsed_mail(notification(), id="other"),
    )
    assert len(ids | {again.headers["Message-ID"], elsewhere.headers["Message-ID"]}) == 6


def test_text_and_html_have_the_same_content() -> None:
    annotations = {
        "summary": "Disk <b>full</b>",
        "description": "two\nlines & more",
        "runbook_url": "http://x/?a&b",
    }
    mail = parsed_mail(notification(alert(annotations=annotations, at="db1"), alert("Gone", "resolved")))
    for text in (mail.text.replace("\n  ", "\n"), mail.html_text):
        for expected in (
            "[FIRING:1, RESOLVED:1] DiskFull, Gone",
            "🔥 Disk <b>full</b>",
            "two\nlines & more",
            "✅ Gone is resolved",
            "since 2026-11-23 15:33:27 UTC",
            "severity=critical",
        ):
            assert expected in text
    assert "http://x/?a&b" in mail.links
    assert "Runbook: http://x/?a&b" in mail.text
    assert any(link.startswith(ALERTMANAGER) for link in mail.links)


def test_the_color_is_that_of_the_severity() -> None:
    assert "solid #D32F2F" in parsed_mail(notification()).html
    assert "solid #2E7D32" in parsed_mail(notification(alert(status="resolved"))).html
    assert "solid #F9A825" in parsed_mail(digest(count("A", "warning"))).html


@pytest.mark.parametrize("size", [0, 2048])
def test_at_most_200_alerts_are_shown_and_the_rest_is_counted_with_a_link(size: int) -> None:
    annotations = {"summary": "s", "description": "x" * size}
    mail = parsed_mail(notification(*(alert(annotations=annotations, at=f"{at}") for at in range(500))))
    shown = mail.text.count("🔥 ")
    assert 20 < shown <= 200
    assert f"… and {500 - shown} more alerts that did not fit here" in mail.text
    assert f"… and {500 - shown} more alerts that did not fit here" in mail.html_text
    assert any(link.startswith(ALERTMANAGER) for link in mail.links)


def test_a_digest_names_its_counts_and_links_to_all_of_them() -> None:
    mail = parsed_mail(digest(count("DiskFull", firing=3), count("A & B", "warning", resolved=2)))
    for text in (mail.text, mail.html_text):
        assert "critical 🔥3: DiskFull 🔥3" in text
        assert "warning 🔥1 ✅2: A & B 🔥1 ✅2" in text
    assert HISTORY in mail.links


@pytest.mark.parametrize(
    ("settings", "url"),
    [
        ({}, "smtp://mail.example.com:587"),
        ({"smtp_security": "tls"}, "smtp://mail.example.com:465"),
        ({"smtp_security": "none"}, "smtp://mail.example.com:25"),
        ({"smtp_port": 2525}, "smtp://mail.example.com:2525"),
        ({"smtp_host": "2620:fe::fe"}, "smtp://[2620:fe::fe]:587"),
    ],
)
def test_the_port_defaults_to_the_usual_one(settings: dict[str, Any], url: str) -> None:
    assert mail_request(notification(), **settings).url == url


@pytest.mark.parametrize(
    "address",
    [
        "",
        "ops",
        "@example.com",
        "ops@",
        "ops@localhost",
        "a@b@example.com",
        "ops@example.com, db@example.com",
        "ops@example.com\r\nBcc: x@example.com",
        "ops@example.com\n",
        " ops@example.com",
        "öps@example.com",
        "ops@exämple.com",
        "ops@-example.com",
        "ops@example..com",
        ".ops@example.com",
        '"a b"@example.com',
        "ops@[127.0.0.1]",
        f"{'a' * 65}@example.com",
        f"a@{'a' * 60}.{'b' * 60}.{'c' * 60}.{'d' * 60}.{'e' * 20}.com",
    ],
)
def test_malformed_addresses_are_rejected(address: str) -> None:
    expected = "must be an address such as alerts@example.com"
    assert rejection(email_from=address) == ("email_from", expected)
    assert rejection(email_to=["ops@example.com", address]) == ("email_to[1]", expected)


@pytest.mark.parametrize("address", ["o'brien+a_1@mail.example.co.uk", "OPS@EXAMPLE.COM", "a@xn--bcher-kva.de"])
def test_plain_addresses_are_accepted(address: str) -> None:
    check_channel(channel(EmailChannel, email_from=address, email_to=[address]), EgressPolicy(()))


@pytest.mark.parametrize(
    ("settings", "field"),
    [
        ({"email_to": []}, "email_to"),
        ({"email_to": ["ops@example.com"] * 101}, "email_to"),
        ({"smtp_port": 0}, "smtp_port"),
        ({"smtp_port": 65536}, "smtp_port"),
        ({"smtp_username": "relay"}, "smtp_password"),
        ({"smtp_password": "s3cret"}, "smtp_username"),
        ({"smtp_username": "", "smtp_password": "s3cret"}, "smtp_username"),
        ({"smtp_username": "relay", "smtp_password": "a\r\nb"}, "smtp_password"),
        ({"smtp_security": "ssl"}, "smtp_security"),
    ],
)
def test_settings_that_can_never_work_are_rejected(settings: dict[str, Any], field: str) -> None:
    assert rejection(**settings)[0] == field


@pytest.mark.parametrize(
    "host",
    [
        "",
        "a b",
        "a/b",
        "user@host",
        "mail.example.com:25",
        "a..b",
        "mail\r\n",
        "0x7f.1",
        "2130706433",
        "%",
        "::1%/x",
    ],
)
def test_malformed_hosts_are_rejected(host: str) -> None:
    assert rejection(smtp_host=host) == ("smtp_host", "must be a host name or an address")


@pytest.mark.parametrize("host", ["127.0.0.1", "10.0.0.1", "::1", "localhost", "::ffff:10.0.0.1"])
def test_private_mail_servers_are_rejected(host: str) -> None:
    field, message = rejection(smtp_host=host)
    assert field == "smtp_host"
    assert "RELAY_ALLOWED_TARGETS" in message


def test_only_an_allowed_target_may_be_unencrypted() -> None:
    assert rejection(smtp_security="none") == (
        "smtp_host",
        "must be encrypted unless the host is listed in RELAY_ALLOWED_TARGETS",
    )
    check_channel(channel(EmailChannel, smtp_security="none"), EgressPolicy(["mail.example.com"]))
    check_channel(channel(EmailChannel, smtp_security="none", smtp_host="10.0.0.1"), EgressPolicy(["10.0.0.0/8"]))


def test_the_default_rate_limit_is_one_mail_a_second() -> None:
    limit = effective_rate_limit(channel(EmailChannel))
    assert limit is not None
    assert (limit.per_second, limit.burst) == (1, 5)
