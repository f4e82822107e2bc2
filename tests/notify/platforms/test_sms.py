"""Text messages of at most two segments, and independent delivery to each number."""

import base64
from typing import Any
from urllib.parse import parse_qs

import msgspec
import pytest
from aiohttp import web
from structlog.testing import capture_logs

from relay.domain.channel_types import SmsChannel
from relay.domain.errors import InvalidInput
from relay.domain.notifications import Rendered
from relay.domain.outcomes import Reason, Rejected, Retry, Sent
from relay.notify.platforms.gsm7 import cut, is_gsm, sms_size, transliterate
from relay.notify.platforms.sms_text import text_of
from relay.notify.registry import NOTIFIERS, check_channel
from relay.notify.transport.egress_policy import EgressPolicy
from tests.fixtures.sink import Sink
from tests.notify.factories import (
    ACCOUNT,
    AUTH_TOKEN,
    FALLBACK,
    HISTORY,
    alert,
    channel,
    count,
    digest,
    notification,
)
from tests.notify.hostile import HOSTILE_TEXTS, hostile
from tests.notify.message_texts import count_alerts
from tests.notify.sending import send
from tests.notify.strict.twilio import ALPHABET, EXTENSION, StrictTwilio, error_response, segments

ONE, TWO, THREE = "+15005550001", "+15005550002", "+15005550003"
LINK = "http://alertmanager.example.com/#/alerts?receiver=web%5C.hook"
SERVICE = "MG" + "0123456789abcdef" * 2


async def test_500_hostile_alerts_are_counted(sink: Sink) -> None:
    sink.script = twilio = StrictTwilio(ACCOUNT, AUTH_TOKEN)
    assert isinstance(await send(SmsChannel, sink.url, hostile()), Sent)
    [message] = twilio.messages
    assert message.reference == ONE
    assert count_alerts(SmsChannel, message.text) == 500


def test_a_text_has_counts_severity_name_summary_and_link() -> None:
    message = notification(alert(annotations={"summary": "Disk is at 99 %"}))
    assert text_of(message) == f"FIRING:1 critical: DiskFull - Disk is at 99 % {LINK}"


@pytest.mark.parametrize("empty", ["\U0001f680", "\u200b", "🚀 🛰"])
def test_a_text_that_cannot_be_encoded_leaves_nothing_dangling(empty: str) -> None:
    summary = notification(alert(annotations={"summary": empty}))
    name = notification(alert(empty, severity=empty, annotations={"summary": "Full"}))
    assert text_of(summary) == f"FIRING:1 critical: DiskFull {LINK}"
    assert text_of(name) == f"FIRING:1: no name - Full {LINK}"
    templated = msgspec.structs.replace(summary, rendered=Rendered(title=empty, body=empty, alerts=(empty,)))
    assert text_of(templated) == f"FIRING:1 critical\nalert {LINK}"


def test_several_alerts_are_named_worst_and_most_frequent_first() -> None:
    message = notification(
        alert("Slow", severity="warning", at="1"),
        *(alert("Worn", severity="warning", at=f"{at}") for at in range(2)),
        alert("Down"),
        alert("Gone", "resolved"),
    )
    assert text_of(message) == f"FIRING:4, RESOLVED:1 critical: Down, Worn x2, Slow {LINK}"


def test_resolved_alerts_are_named_when_nothing_fires() -> None:
    assert text_of(notification(alert("Gone", "resolved"), external_url="")).startswith(
        "RESOLVED:1 critical: Gone"
    )


def test_names_that_do_not_fit_are_counted_and_the_link_is_omitted_whole() -> None:
    message = notification(*(alert(f"DatabaseReplicaLagsBehind{at:03}") for at in range(300)))
    text = text_of(message)
    assert text.startswith("FIRING:300 critical: DatabaseReplicaLagsBehind000, ")
    named = text.count("DatabaseReplica")
    assert text.endswith(f" and {300 - named} more")
    assert 250 < len(text) <= 306


def test_a_text_names_the_original_channel_omitted_and_unnotified_alerts() -> None:
    message = notification(
        alert(status="resolved"), truncated=3, unnotified=frozenset({0}), fallback_for=FALLBACK, external_url=""
    )
    text = text_of(message)
    assert "for slack-critical: circuit breaker open since 15:33" in text
    assert "3 more left out by Alertmanager" in text
    assert "1 fired without notice" in text


def test_a_digest_counts_and_links_to_all_of_them() -> None:
    message = digest(count("Down", firing=3), count("Slow", "warning", firing=2, resolved=4))
    assert text_of(message) == f"DIGEST of 27 groups, FIRING:5, RESOLVED:4 critical: Down x3, Slow x2 {HISTORY}"


@pytest.mark.parametrize("text", HOSTILE_TEXTS)
@pytest.mark.parametrize("repeated", [1, 7, 300])
def test_any_text_takes_at_most_two_segments(text: str, repeated: int) -> None:
    long = text * repeated
    for message in (
        notification(alert(annotations={"summary": long})),
        notification(alert(long, severity=long, annotations={"summary": long}), external_url=f"http://x/{long}"),
        digest(*(count(f"{long}{at}", long) for at in range(40))),
    ):
        sms = text_of(message)
        assert segments(sms) <= 2
        assert count_alerts(SmsChannel, sms) in (1, 40)
        assert "\ufffd" not in sms


def test_typography_does_not_cost_a_segment() -> None:
    summary = "“Disk” is – at last – 99 % full… 🔥 façade"  # noqa: RUF001
    text = text_of(notification(alert(annotations={"summary": summary}), external_url=""))
    assert text.endswith('"Disk" is - at last - 99 % full... FIRING facade')
    assert set(text) <= ALPHABET | EXTENSION


def test_text_outside_of_the_gsm_alphabet_stays_unchanged() -> None:
    text = text_of(notification(alert(annotations={"summary": "磁盘已满 … 🔥"}), external_url=""))
    assert text.endswith("磁盘已满 … 🔥")


@pytest.mark.parametrize(
    ("text", "size"),
    [("abc", 3), ("a€b", 4), ("[x]~^{}\\|", 17), ("é", 1), ("ê", 1), ("🔥", 2), ("a🔥€", 4), ("", 0)],
)
def test_the_length_is_counted_in_sent_characters(text: str, size: int) -> None:
    assert sms_size(text) == size


@pytest.mark.parametrize("limit", range(1, 12))
@pytest.mark.parametrize("text", ["🔥" * 9, "[" * 9, "a" * 20, "磁" * 20, "a[" * 9])
def test_cutting_stays_within_the_limit_and_splits_no_character(text: str, limit: int) -> None:
    cropped = cut(text, limit)
    assert sms_size(cropped) <= max(limit, 3)
    cropped.encode()


def test_the_alphabet_is_that_of_the_standard() -> None:
    assert all(is_gsm(one) for one in (ALPHABET | EXTENSION) - {"\f"})
    assert not any(is_gsm(one) for one in "ç`\t“🔥Жê")
    assert transliterate("ŁŻ") == "ŁZ"


async def test_each_number_gets_the_same_text(sink: Sink) -> None:
    sink.script = twilio = StrictTwilio(ACCOUNT, AUTH_TOKEN)
    assert isinstance(await send(SmsChannel, sink.url, sms_to=[ONE, TWO, THREE]), Sent)
    assert [message.reference for message in twilio.messages] == [ONE, TWO, THREE]
    assert len(set(twilio.texts)) == 1


async def test_a_messaging_service_can_be_the_sender(sink: Sink) -> None:
    sink.script = StrictTwilio(ACCOUNT, AUTH_TOKEN)
    outcome = await send(SmsChannel, sink.url, sms_from=None, messaging_service_sid=SERVICE)
    assert isinstance(outcome, Sent)
    assert parse_qs(sink.received[0].body.decode())["MessagingServiceSid"] == [SERVICE]


@pytest.mark.parametrize("code", [21211, 21614, 21610])
async def test_a_rejected_number_does_not_affect_the_others(code: int, sink: Sink) -> None:
    sink.script = twilio = StrictTwilio(ACCOUNT, AUTH_TOKEN, refused={ONE: code})
    outcome = await send(SmsChannel, sink.url, sms_to=[ONE, TWO])
    assert isinstance(outcome, Rejected)
    assert f'part 1 of 2: 400 {{"code": {code}' in outcome.detail
    assert [message.reference for message in twilio.messages] == [TWO]


@pytest.mark.parametrize(
    ("status", "code", "reason"),
    [
        (401, 20003, Reason.AUTH_ERROR),
        (403, 20005, Reason.AUTH_ERROR),
        (404, 20404, Reason.AUTH_ERROR),
        (429, 20429, Reason.RATE_LIMITED),
        (400, 21611, Reason.RATE_LIMITED),
        (400, 21606, Reason.CLIENT_ERROR),
        (400, 21408, Reason.AUTH_ERROR),
        (500, 20500, Reason.SERVER_ERROR),
        (503, 20503, Reason.SERVER_ERROR),
    ],
)
async def test_errors_of_account_or_sender_and_temporary_ones_are_retried(
    status: int, code: int, reason: Reason, sink: Sink
) -> None:
    sink.script = lambda _: error_response(status, code, "no")
    outcome = await send(SmsChannel, sink.url)
    assert isinstance(outcome, Retry)
    assert outcome.reason is reason


async def test_a_text_that_is_too_long_is_final(sink: Sink) -> None:
    sink.script = lambda _: error_response(
        400, 21617, "The concatenated message body exceeds the 1600 character limit"
    )
    assert isinstance(await send(SmsChannel, sink.url), Rejected)


async def test_echoed_credentials_are_masked(sink: Sink) -> None:
    async def echo(request: web.Request) -> web.Response:
        return web.Response(status=401, text=f"{dict(request.headers)} {AUTH_TOKEN}"[:450])

    sink.script = echo
    with capture_logs() as logs:
        outcome = await send(SmsChannel, sink.url)
    login = base64.b64encode(f"{ACCOUNT}:{AUTH_TOKEN}".encode()).decode()
    assert sink.received[0].headers["Authorization"] == f"Basic {login}"
    assert login not in repr((outcome, logs))
    assert AUTH_TOKEN not in repr((outcome, logs))


@pytest.mark.parametrize(
    ("settings", "field"),
    [
        ({"account_sid": "AC12"}, "account_sid"),
        ({"account_sid": f"{ACCOUNT}/../x"}, "account_sid"),
        ({"auth_token": " "}, "auth_token"),
        ({"sms_from": None}, "sms_from"),
        ({"messaging_service_sid": SERVICE}, "sms_from"),
        ({"sms_from": None, "messaging_service_sid": "MG1"}, "messaging_service_sid"),
        ({"sms_from": "A name too long"}, "sms_from"),
        ({"sms_to": []}, "sms_to"),
        ({"sms_to": [ONE, "5005550006"]}, "sms_to[1]"),
        ({"sms_to": [ONE, ONE]}, "sms_to[1]"),
        ({"sms_to": [f"+1500555{at:04}" for at in range(21)]}, "sms_to"),
    ],
)
def test_settings_that_twilio_would_reject_are_rejected_early(settings: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        check_channel(channel(SmsChannel, **settings), EgressPolicy(()))
    assert caught.value.field == field


@pytest.mark.parametrize("sender", ["+15005550006", "12345", "Alerts", "ACME Ops 1"])
def test_numbers_short_codes_and_names_may_send(sender: str) -> None:
    check_channel(channel(SmsChannel, sms_from=sender), EgressPolicy(()))


def test_the_form_is_the_same_on_every_attempt() -> None:
    message = hostile(40)
    first, second = (NOTIFIERS[SmsChannel].requests(channel(SmsChannel), message) for _ in range(2))
    assert first == second
