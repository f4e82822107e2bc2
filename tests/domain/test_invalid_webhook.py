"""Is the sender of a body that is no webhook told which field is wrong?"""

import json
from typing import Any

import pytest

from relay.domain.alertmanager import decode_webhook
from relay.domain.errors import InvalidWebhook

GOOD = {"status": "firing", "labels": {"alertname": "A"}, "startsAt": "2026-11-23T15:33:27Z"}
SLOW = {"odd": "\0"}
"""Sends the body on the way that repairs text; its refusals must be the same."""


def refusal(body: bytes) -> InvalidWebhook:
    with pytest.raises(InvalidWebhook) as caught:
        decode_webhook(body)
    assert "\n" not in str(caught.value)
    return caught.value


def body_of(alert: dict[str, Any], **more: Any) -> bytes:
    return json.dumps({"alerts": [GOOD, {name: v for name, v in alert.items() if v is not ...}], **more}).encode()


def test_the_body_that_the_others_spoil_is_good() -> None:
    assert len(decode_webhook(body_of(GOOD)).alerts) == 2
    assert len(decode_webhook(body_of(GOOD, **SLOW)).alerts) == 2


@pytest.mark.parametrize("body", [b"", b" \n"])
def test_an_empty_body_is_refused_as_empty(body: bytes) -> None:
    with pytest.raises(InvalidWebhook, match="the body is empty"):
        decode_webhook(body)


def test_a_byte_order_mark_is_no_reason_to_refuse_an_alert() -> None:
    assert len(decode_webhook(b"\xef\xbb\xbf" + body_of(GOOD)).alerts) == 2


@pytest.mark.parametrize(
    "body",
    [b"nope", b"{", b'{"alerts": [', b'{"alerts": []} x', b"\x00", b"\xff\xfe", b"{'alerts': 1}"],
)
def test_what_is_no_json_is_refused_as_such(body: bytes) -> None:
    error = refusal(body)
    assert error.field == ""
    assert "not JSON" in error.message


@pytest.mark.parametrize("body", [b"[]", b"null", b'"x"', b"3", b"true", rb'"\u0000"'])
def test_what_is_no_object_is_refused_as_a_whole(body: bytes) -> None:
    error = refusal(body)
    assert error.field == ""
    assert "`object`" in error.message


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({}, "is missing"),
        ({"alert": []}, "is missing"),
        ({"alerts": []}, "must hold at least one alert"),
        ({"alerts": None}, "Expected `array`, got `null`"),
        ({"alerts": {}}, "Expected `array`, got `object`"),
        ({"alerts": "x"}, "Expected `array`, got `str`"),
    ],
)
@pytest.mark.parametrize("more", [{}, SLOW])
def test_a_body_without_alerts_is_refused(body: dict[str, Any], message: str, more: dict[str, Any]) -> None:
    error = refusal(json.dumps(body | more).encode())
    assert (error.field, error.message) == ("alerts", message)


@pytest.mark.parametrize(
    ("spoilt", "field", "message"),
    [
        ({"status": ...}, "status", "is missing"),
        ({"status": 1}, "status", "Expected `str`, got `int`"),
        ({"status": "pending"}, "status", "must be `firing` or `resolved`"),
        ({"status": "Firing"}, "status", "must be `firing` or `resolved`"),
        ({"labels": ...}, "labels", "is missing"),
        ({"labels": None}, "labels", "Expected `object`, got `null`"),
        ({"labels": []}, "labels", "Expected `object`, got `array`"),
        ({"labels": {"n": 1}}, "labels[...]", "Expected `str`, got `int`"),
        ({"annotations": {"n": None}}, "annotations[...]", "Expected `str`, got `null`"),
        ({"annotations": 1}, "annotations", "Expected `object | null`, got `int`"),
        ({"startsAt": ...}, "startsAt", "is missing"),
        ({"startsAt": 1}, "startsAt", "Expected `str`, got `int`"),
        ({"endsAt": 1}, "endsAt", "Expected `str | null`, got `int`"),
        ({"generatorURL": 1}, "generatorURL", "Expected `str | null`, got `int`"),
        ({"fingerprint": 1}, "fingerprint", "Expected `str | null`, got `int`"),
    ],
)
@pytest.mark.parametrize("more", [{}, SLOW])
def test_the_wrong_field_of_an_alert_is_named_as_it_was_sent(
    spoilt: dict[str, Any], field: str, message: str, more: dict[str, Any]
) -> None:
    error = refusal(body_of(GOOD | spoilt, **more))
    assert (error.field, error.message) == (f"alerts[1].{field}", message)
    assert str(error) == f"alerts[1].{field}: {message}"


@pytest.mark.parametrize("more", [{}, SLOW])
def test_an_alert_that_is_no_object_is_named(more: dict[str, Any]) -> None:
    assert refusal(json.dumps({"alerts": [GOOD, 1], **more}).encode()).field == "alerts[1]"


@pytest.mark.parametrize("field", ["startsAt", "endsAt"])
@pytest.mark.parametrize("status", ["firing", "resolved"])
@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("yesterday", "RFC 3339"),
        ("1795447207", "RFC 3339"),
        ("2026-02-30T00:00:00Z", "RFC 3339"),
        ("2026-11-23T25:00:00Z", "RFC 3339"),
        ("10000-01-01T00:00:00Z", "RFC 3339"),
        ("-0001-01-01T00:00:00Z", "RFC 3339"),
        ("NaN", "RFC 3339"),
        ("2026-11-23T15:33:27", "offset"),
        ("2026-11-23", "offset"),
    ],
)
def test_a_bad_time_is_refused(field: str, status: str, text: str, word: str) -> None:
    error = refusal(body_of(GOOD | {"status": status, field: text}))
    assert error.field == f"alerts[1].{field}"
    assert word in error.message


def test_an_empty_start_is_refused() -> None:
    assert refusal(body_of(GOOD | {"startsAt": ""})).field == "alerts[1].startsAt"


@pytest.mark.parametrize("more", [{}, SLOW])
@pytest.mark.parametrize(
    ("spoilt", "field"),
    [
        ({"groupKey": 1}, "groupKey"),
        ({"receiver": []}, "receiver"),
        ({"externalURL": {}}, "externalURL"),
        ({"groupLabels": 1}, "groupLabels"),
        ({"commonLabels": {"a": 1}}, "commonLabels[...]"),
        ({"commonAnnotations": "x"}, "commonAnnotations"),
        ({"truncatedAlerts": "3"}, "truncatedAlerts"),
        ({"truncatedAlerts": 1.5}, "truncatedAlerts"),
    ],
)
def test_the_wrong_field_of_the_whole_is_named(spoilt: dict[str, Any], field: str, more: dict[str, Any]) -> None:
    assert refusal(body_of(GOOD, **spoilt, **more)).field == field


@pytest.mark.parametrize("nest", [b"[" * 100_000 + b"]" * 100_000, b'{"a":' * 100_000 + b"1" + b"}" * 100_000])
@pytest.mark.parametrize("odd", [b"", rb'"odd": "\u0000", '])
def test_deep_nesting_is_refused_and_does_not_crash(nest: bytes, odd: bytes) -> None:
    assert "nested too deeply" in refusal(b"{" + odd + b'"x": ' + nest + b"}").message


def test_a_number_of_thousands_of_digits_is_refused_and_does_not_crash() -> None:
    assert refusal(b'{"odd": "\\u0000", "orgId": ' + b"9" * 5000 + b"}").field == ""
