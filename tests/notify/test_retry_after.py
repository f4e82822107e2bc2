"""The wait that a response asks for, the same for every channel type that delivers over HTTP."""

import json
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from relay.domain.channel_types import WebhookChannel, type_name
from relay.domain.outcomes import Rejected, Retry, Sent
from relay.notify.registry import NOTIFIERS
from relay.notify.requests import Request, Response
from tests.notify.channel_types import OVER_HTTP

REQUEST = Request(url="https://hooks.example.com/x", body=b"{}")
DAY = 86_400.0
RETRY_AFTER = "retry-after"
REMAINING = "x-ratelimit-remaining"
RESET_AFTER = "x-ratelimit-reset-after"


def wait(status: int, body: str = "no", **headers: str) -> float | None:
    """The wait that all notifiers read from a failure, and that of a webhook from a success."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    response = Response(status=status, headers=named, body=body.encode())
    waits = {}
    for channel_type in OVER_HTTP if status >= 300 else (WebhookChannel,):
        outcome = NOTIFIERS[channel_type].verdict(REQUEST, response)
        assert isinstance(outcome, Sent if status < 300 else Retry)
        waits[type_name(channel_type)] = outcome.after
    [only] = set(waits.values())
    return only


@pytest.mark.parametrize("status", [401, 429, 500, 503])
@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("7", 7.0),
        ("0.25", 0.25),
        (" 3 ", 3.0),
        ("-5", 0.0),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 0.0),
        ("43200", DAY / 2),
        ("99999999999", DAY),
        ("Fri, 31 Dec 9999 23:59:59 GMT", DAY),
        ("soon", None),
        ("", None),
        ("nan", None),
        ("1e999", None),
        ("Fri, 31 Dec 99999999999999999999 23:59:59 GMT", None),
        ("Fri, 31 Dec 2026 23:59:59 +99999999999999999999", None),
    ],
)
def test_retry_after_is_obeyed_for_up_to_a_day(status: int, header: str, seconds: float | None) -> None:
    assert wait(status, retry_after=header) == seconds


@pytest.mark.parametrize("status", [429, 503])
def test_retry_after_may_be_a_date(status: int) -> None:
    date = format_datetime(datetime.now(UTC) + timedelta(hours=2), usegmt=True)
    response = Response(status=status, headers={RETRY_AFTER: date}, body=b"")
    for channel_type in OVER_HTTP:
        outcome = NOTIFIERS[channel_type].verdict(REQUEST, response)
        assert isinstance(outcome, Retry)
        assert outcome.after == pytest.approx(7200, abs=60)


@pytest.mark.parametrize(
    ("body", "seconds"),
    [
        ('{"message": "slow", "retry_after": 0.65, "global": false}', 0.65),
        (' {"retry_after": 64}', 64.0),
        ('{"ok": false, "error_code": 429, "parameters": {"retry_after": 35}}', 35.0),
        ('{"retry_after": 1e308}', DAY),
        (f'{{"retry_after": {"9" * 400}}}', DAY),
        ('{"retry_after": -1}', 0.0),
        ('{"retry_after": "1"}', None),
        ('{"retry_after": true}', None),
        ('{"retry_after": null, "parameters": null}', None),
        ('{"parameters": [{"retry_after": 1}]}', None),
        ("[]", None),
        ("{", None),
        ('{"a": ' * 9000, None),
        ("error code: 1015", None),
        ("", None),
    ],
)
def test_the_body_may_contain_the_wait(body: str, seconds: float | None) -> None:
    assert wait(429, body) == seconds


@pytest.mark.parametrize(
    ("header", "body", "reset", "seconds"),
    [
        ("9", 0.5, "", 9.0),
        ("1", 2.5, "", 2.5),
        ("1", 2.5, "64", 64.0),
        ("", 2.5, "1", 2.5),
        ("", None, "1.5", 1.5),
    ],
)
def test_the_longest_wait_of_a_429_counts(header: str, body: float | None, reset: str, seconds: float) -> None:
    headers = {RETRY_AFTER: header, RESET_AFTER: reset}
    assert wait(429, json.dumps({"retry_after": body}), **headers) == seconds


@pytest.mark.parametrize("status", [200, 204])
@pytest.mark.parametrize(
    ("remaining", "reset", "seconds"),
    [
        ("0", "1.25", 1.25),
        ("0", "99999999", DAY),
        ("1", "1.25", None),
        ("0", "", None),
        ("", "3", None),
        ("0", "x", None),
    ],
)
def test_a_success_without_requests_left_asks_for_a_wait(
    status: int, remaining: str, reset: str, seconds: float | None
) -> None:
    assert wait(status, **{REMAINING: remaining, RESET_AFTER: reset}) == seconds


def test_a_window_with_requests_left_asks_for_no_wait() -> None:
    assert wait(500, **{REMAINING: "4", RESET_AFTER: "30"}) is None


def test_a_rejection_has_no_wait() -> None:
    response = Response(status=400, headers={REMAINING: "0", RESET_AFTER: "30"}, body=b"no")
    assert all(
        isinstance(NOTIFIERS[channel_class].verdict(REQUEST, response), Rejected) for channel_class in OVER_HTTP
    )
