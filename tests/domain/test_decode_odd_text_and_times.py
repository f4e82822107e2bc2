"""Decoding of alerts with unusual text and times."""

import json
from datetime import UTC, datetime

import pytest

from relay.domain.alertmanager import decode_webhook
from relay.domain.alerts import Alert, Group, Status

STARTS = "2026-11-23T15:33:27Z"


def group_with(annotation: bytes, more: bytes = b"") -> Group:
    return decode_webhook(
        b'{"alerts": [{"status": "firing", "labels": {"alertname": "A"}, "startsAt": "2026-11-23T15:33:27Z",'
        b' "annotations": {"text": "' + annotation + b'"}}]' + more + b"}"
    )


def alert_at(starts_at: str, ends_at: str = STARTS, status: str = "resolved") -> Alert:
    alert = {"status": status, "labels": {}, "startsAt": starts_at, "endsAt": ends_at}
    return decode_webhook(json.dumps({"alerts": [alert]}).encode()).alerts[0]


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        (rb"a\u0000b", "a\ufffdb"),
        (rb"a\ud800b", "a\ufffdb"),
        (rb"\ude00\ud83d", "\ufffd\ufffd"),
        (b"a\xffb", "a\ufffdb"),
        (b"a\xe2\x82", "a\ufffd"),
        (b"\xed\xa0\x80", "\ufffd\ufffd\ufffd"),
        (rb"\ud83d\ude00\u0000", "\U0001f600\ufffd"),
        (rb"a\\u0000b", r"a\u0000b"),
        ("ünï 😀".encode(), "ünï 😀"),
        (rb"\u0001\u007f", "\x01\x7f"),
    ],
)
def test_unstorable_text_is_replaced_and_the_alert_kept(sent: bytes, kept: str) -> None:
    (alert,) = group_with(sent).alerts
    assert alert.annotations == {"text": kept}
    assert alert.name == "A"


@pytest.mark.parametrize("bad", [rb"\u0000", rb"\ud800", b"\xff"])
def test_unstorable_text_is_replaced_in_keys_and_labels(bad: bytes) -> None:
    more = b', "groupKey": "k' + bad + b'", "groupLabels": {"n' + bad + b'": "v' + bad + b'"}'
    group = group_with(b"", more)
    assert group.group_key == "k\ufffd"
    assert group.group_labels == {"n\ufffd": "v\ufffd"}
    group.group_key.encode()


def test_a_fingerprint_is_computed_from_the_replaced_text() -> None:
    body = b'{"alerts": [{"status": "firing", "startsAt": "2026-11-23T15:33:27Z", "labels": {"a": "%s"}}]}'
    odd = decode_webhook(body % rb"\u0000").alerts[0]
    plain = decode_webhook(body % "\ufffd".encode()).alerts[0]
    assert odd.fingerprint == plain.fingerprint


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("2026-11-23T15:33:27Z", datetime(2026, 11, 23, 15, 33, 27, 0, UTC)),
        ("2026-11-23T15:33:27.1Z", datetime(2026, 11, 23, 15, 33, 27, 100000, UTC)),
        ("2026-11-23T15:33:27.229046Z", datetime(2026, 11, 23, 15, 33, 27, 229046, UTC)),
        ("2026-11-23T15:33:27.123456789Z", datetime(2026, 11, 23, 15, 33, 27, 123456, UTC)),
        ("2026-11-23T15:33:27.999999999+05:30", datetime(2026, 11, 23, 10, 3, 27, 999999, UTC)),
        ("2026-11-23T15:33:27-08:00", datetime(2026, 11, 23, 23, 33, 27, 0, UTC)),
        ("2026-11-23T15:33:27+00:00", datetime(2026, 11, 23, 15, 33, 27, 0, UTC)),
        ("2028-02-29T23:59:59-00:01", datetime(2028, 3, 1, 0, 0, 59, 0, UTC)),
    ],
)
def test_times_are_parsed_with_any_fraction_and_offset(text: str, time: datetime) -> None:
    alert = alert_at(text, ends_at=text)
    assert (alert.starts_at, alert.ends_at) == (time, time)
    assert alert.starts_at.tzinfo is UTC


@pytest.mark.parametrize(
    "text", ["0001-01-01T00:00:00Z", "0001-01-01T00:00:00+05:00", "0001-01-01T04:00:00+05:00"]
)
def test_the_earliest_time_is_kept(text: str) -> None:
    alert = alert_at(text)
    assert alert.starts_at.year == 1
    assert alert.starts_at.utcoffset() is not None


@pytest.mark.parametrize("text", ["9999-12-31T23:59:59Z", "9999-12-31T23:59:59-05:00"])
def test_the_latest_time_is_kept(text: str) -> None:
    alert = alert_at(STARTS, ends_at=text)
    assert alert.ends_at is not None
    assert alert.ends_at.timetuple()[:6] == (9999, 12, 31, 23, 59, 59)


@pytest.mark.parametrize(
    "text", ["0001-01-01T00:00:00Z", "0001-01-01T00:00:00+05:00", "0001-01-01T00:00:00-05:00"]
)
def test_the_year_1_means_no_end(text: str) -> None:
    alert = alert_at(STARTS, ends_at=text)
    assert (alert.status, alert.ends_at) == (Status.RESOLVED, None)
