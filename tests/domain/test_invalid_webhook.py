"""Rejection of bodies that are not webhooks, with the field."""

import json
from typing import Any

import pytest

from relay.domain.alertmanager import decode_webhook
from relay.domain.errors import InvalidWebhook

GOOD = {"status": "firing", "labels": {"alertname": "A"}, "startsAt": "2026-11-23T15:33:27Z"}
UNCLEAN = {"odd": "\0"}
"""Makes the decoder replace unstorable text first; the errors must be the same."""


def rejection(body: bytes) -> InvalidWebhook:
    with pytest.raises(InvalidWebhook) as caught:
        decode_webhook(body)
    assert "\n" not in str(caught.value)
    return caught.value


def body_of(alert: dict[str, Any], **more: Any) -> bytes:
    return json.dumps({"alerts": [GOOD, {name: v for name, v in alert.items() if v is not ...}], **more}).encode()


def test_the_unchanged_body_is_valid() -> None:
    assert len(decode_webhook(body_of(GOOD)).alerts) == 2
    assert len(decode_webhook(body_of(GOOD, **UNCLEAN)).alerts) == 2


@pytest.mark.parametrize("body", [b"", b" \n"])
def test_an_empty_body_is_rejected(body: bytes) -> None:
    with pytest.raises(InvalidWebhook, match="the body is empty"):
        decode_webhook(body)


def test_a_byte_order_mark_is_accepted() -> None:
    assert len(decode_webhook(b"\xef\xbb\xbf" + body_of(GOOD)).alerts) == 2


@pytest.mark.parametrize(
    "body",
    [b"nope", b"{", b'{"alerts": [', b'{"alerts": []} x', b"\x00", b"\xff\xfe", b"{'alerts': 1}"],
)
def test_a_body_that_is_not_json_is_rejected(body: bytes) -> None:
    error = rejection(body)
    assert error.field == ""
    assert "not JSON" in error.message


@pytest.mark.parametrize("body", [b"[]", b"null", b'"x"', b"3", b"true", rb'"\u0000"'])
def test_json_other_than_an_object_is_rejected(body: bytes) -> None:
    error = rejection(body)
    assert error.field == ""
    assert "`object`" in error.message


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({}, "is missing"),
        ({"alert": []}, "is missing"),
        ({"alerts": []}, "must contain at least one alert"),
        ({"alerts": None}, "Expected `array`, got `null`"),
        ({"alerts": {}}, "Expected `array`, got `object`"),
        ({"alerts": "x"}, "Expected `array`, got `str`"),
    ],
)
@pytest.mark.parametrize("more", [{}, UNCLEAN])
def test_a_body_without_alerts_is_rejected(body: dict[str, Any], message: str, more: dict[str, Any]) -> None:
    error = rejection(json.dumps(body | more).encode())
    assert (error.field, error.message) == ("alerts", message)


@pytest.mark.parametrize(
    ("changes", "field", "message"),
    [
        ({"status": 1}, "status", "Expected `str | null`, got `int`"),
        ({"status": "pending"}, "status", "must be `firing` or `resolved`"),
        ({"labels": ...}, "labels", "is missing"),
        ({"labels": ["a"]}, "labels", "Expected `object | null`, got `array`"),
        ({"labels": "a=b"}, "labels", "Expected `object | null`, got `str`"),
        ({"annotations": 1}, "annotations", "Expected `object | null`, got `int`"),
        ({"startsAt": ..., "labels": {}}, "startsAt", "is missing, and the alert has no labels"),
        ({"startsAt": 1}, "startsAt", "Expected `str | null`, got `int`"),
        ({"endsAt": 1}, "endsAt", "Expected `str | null`, got `int`"),
        ({"generatorURL": [1]}, "generatorURL", "Expected `str | null`, got `array`"),
        ({"fingerprint": {}}, "fingerprint", "Expected `str | null`, got `object`"),
    ],
)
@pytest.mark.parametrize("more", [{}, UNCLEAN])
def test_an_invalid_field_of_an_alert_is_named_as_sent(
    changes: dict[str, Any], field: str, message: str, more: dict[str, Any]
) -> None:
    error = rejection(body_of(GOOD | changes, **more))
    assert (error.field, error.message) == (f"alerts[1].{field}", message)
    assert str(error) == f"alerts[1].{field}: {message}"


@pytest.mark.parametrize("more", [{}, UNCLEAN])
def test_an_alert_that_is_not_an_object_is_named(more: dict[str, Any]) -> None:
    assert rejection(json.dumps({"alerts": [GOOD, 1], **more}).encode()).field == "alerts[1]"


@pytest.mark.parametrize("field", ["startsAt", "endsAt"])
@pytest.mark.parametrize("status", ["firing", "resolved"])
@pytest.mark.parametrize(
    ("text", "fragment"),
    [
        ("yesterday", "RFC 3339"),
        ("1795447207", "RFC 3339"),
        ("2026-02-30T00:00:00Z", "RFC 3339"),
        ("2026-11-23T25:00:00Z", "RFC 3339"),
        ("10000-01-01T00:00:00Z", "RFC 3339"),
        ("-0001-01-01T00:00:00Z", "RFC 3339"),
        ("NaN", "RFC 3339"),
        ("2026-11-23T15:33:61Z", "RFC 3339"),
        ("2026-11-23T15:33:60Zulu", "RFC 3339"),
        ("2026-02-30T23:59:60Z", "RFC 3339"),
    ],
)
def test_an_invalid_time_is_rejected(field: str, status: str, text: str, fragment: str) -> None:
    error = rejection(body_of(GOOD | {"status": status, field: text}))
    assert error.field == f"alerts[1].{field}"
    assert fragment in error.message


@pytest.mark.parametrize("more", [{}, UNCLEAN])
@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"groupKey": [1]}, "groupKey"),
        ({"receiver": []}, "receiver"),
        ({"externalURL": {}}, "externalURL"),
        ({"groupLabels": 1}, "groupLabels"),
        ({"commonLabels": [1]}, "commonLabels"),
        ({"commonAnnotations": "x"}, "commonAnnotations"),
        ({"truncatedAlerts": "many"}, "truncatedAlerts"),
        ({"truncatedAlerts": 1.5}, "truncatedAlerts"),
    ],
)
def test_an_invalid_field_of_the_webhook_is_named(
    changes: dict[str, Any], field: str, more: dict[str, Any]
) -> None:
    assert rejection(body_of(GOOD, **changes, **more)).field == field


@pytest.mark.parametrize("nest", [b"[" * 100_000 + b"]" * 100_000, b'{"a":' * 100_000 + b"1" + b"}" * 100_000])
@pytest.mark.parametrize("odd", [b"", rb'"odd": "\u0000", '])
def test_deep_nesting_is_rejected_without_a_crash(nest: bytes, odd: bytes) -> None:
    assert "nested too deeply" in rejection(b"{" + odd + b'"x": ' + nest + b"}").message
