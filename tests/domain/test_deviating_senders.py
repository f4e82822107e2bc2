"""Decoding of what other senders write where Alertmanager writes text, a status or a time."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from relay.domain.alertmanager import MIN_TIME, decode_webhook
from relay.domain.alerts import Alert, Group, Status, fingerprint

ALERT: dict[str, Any] = {"status": "firing", "labels": {"alertname": "A"}, "startsAt": "2026-11-23T15:33:27Z"}
NOW = datetime(2026, 11, 23, 16, tzinfo=UTC)
FIRING, RESOLVED = Status.FIRING, Status.RESOLVED


def group_of(alert: dict[str, Any] | str, **more: Any) -> Group:
    """The group of one alert, which may be JSON already; fields that are `...` are left out."""
    if isinstance(alert, dict):
        alert = json.dumps({name: value for name, value in (ALERT | alert).items() if value is not ...})
    rest = json.dumps(more | {"groupKey": "k"})
    return decode_webhook(f'{{"alerts": [{alert}], {rest[1:]}'.encode(), NOW)


def decoded(alert: dict[str, Any] | str, **more: Any) -> Alert:
    return group_of(alert, **more).alerts[0]


@pytest.mark.parametrize(
    ("sent", "text"),
    [
        ("8080", "8080"),
        ("-1.50", "-1.50"),
        ("43434343434343434343", "43434343434343434343"),
        ("3.823976e+06", "3.823976e+06"),
        ("1e999", "1e999"),
        ("9" * 5000, "9" * 5000),
        ("true", "true"),
        ("NaN", "NaN"),
        ("-Infinity", "-Infinity"),
        ('["a", 1.50]', '["a",1.50]'),
        ('{"ä": null}', '{"ä":null}'),
        ('"\\u0000"', "\ufffd"),
    ],
)
@pytest.mark.parametrize("field", ["labels", "annotations"])
def test_a_value_of_another_type_is_its_text_as_sent(field: str, sent: str, text: str) -> None:
    other = json.dumps({name: value for name, value in ALERT.items() if name != field})
    alert = decoded(f'{other[:-1]}, "{field}": {{"name": {sent}, "other": "x"}}}}')
    assert getattr(alert, field) == {"name": text, "other": "x"}


@pytest.mark.parametrize("field", ["labels", "annotations"])
def test_a_null_value_is_absent(field: str) -> None:
    alert = decoded({field: {"gone": None, "kept": "x"}})
    assert getattr(alert, field) == {"kept": "x"}


@pytest.mark.parametrize("empty", [None, [], {}])
def test_a_map_may_be_null_or_an_empty_array(empty: Any) -> None:
    maps = dict.fromkeys(("groupLabels", "commonLabels", "commonAnnotations"), empty)
    group = group_of({"labels": empty, "annotations": empty}, **maps)
    assert (group.group_labels, group.common_labels, group.common_annotations) == ({}, {}, {})
    assert (group.alerts[0].labels, group.alerts[0].annotations) == ({}, {})


def test_converted_labels_are_those_of_the_fingerprint() -> None:
    converted = decoded({"labels": {"alertname": "A", "port": 8080, "gone": None}})
    assert converted.fingerprint == fingerprint({"alertname": "A", "port": "8080"})


@pytest.mark.parametrize(
    ("sent", "kept"),
    [("0", "0"), ("43434343434343434343", "43434343434343434343"), ("1.0", "1.0"), ("true", "true")],
)
def test_identifiers_that_are_no_text_are_kept_as_text(sent: str, kept: str) -> None:
    alert = json.dumps(ALERT | {"fingerprint": ...}, default=lambda _: "?").replace('"?"', sent)
    body = f'{{"alerts": [{alert}], "groupKey": {sent}, "receiver": {sent}, "version": {sent}}}'
    group = decode_webhook(body.encode())
    assert (group.group_key, group.receiver, group.alerts[0].fingerprint) == (sent, sent, sent)


def test_a_count_of_truncated_alerts_may_be_text() -> None:
    assert group_of({}, truncatedAlerts="3").truncated == 3


@pytest.mark.parametrize(
    ("ends_at", "of_group", "status"),
    [
        (None, "resolved", RESOLVED),
        (..., "firing", FIRING),
        ("", "RESOLVED", RESOLVED),
        ("0001-01-01T00:00:00Z", "resolved", RESOLVED),
        ("1970-01-01T00:00:00Z", "firing", FIRING),
        ("2026-11-23T15:59:59Z", "firing", RESOLVED),
        ("2026-11-23T16:04:00Z", "resolved", FIRING),
        (None, None, FIRING),
        (None, "", FIRING),
        (None, 7, FIRING),
        (None, "alerting", FIRING),
    ],
)
@pytest.mark.parametrize("missing", [..., None, ""])
def test_an_alert_without_a_status_has_that_of_its_end_or_else_of_its_group(
    missing: Any, ends_at: Any, of_group: Any, status: Status
) -> None:
    alert = decoded({"status": missing, "endsAt": ends_at}, status=of_group)
    assert alert.status is status
    assert (alert.ends_at is None) == (status is FIRING or ends_at in (None, "", "0001-01-01T00:00:00Z"))


def test_an_end_that_has_passed_resolves_an_alert_without_a_status_by_the_current_time() -> None:
    soon = (datetime.now(UTC) + timedelta(minutes=5)).isoformat()
    alerts = [ALERT | {"status": None, "endsAt": ends_at} for ends_at in (soon, "2026-01-01T00:00:00Z")]
    group = decode_webhook(json.dumps({"alerts": alerts}).encode())
    assert [alert.status for alert in group.alerts] == [FIRING, RESOLVED]


@pytest.mark.parametrize(
    ("sent", "status"), [("FIRING", FIRING), ("Resolved", RESOLVED), (" resolved ", RESOLVED)]
)
def test_the_case_of_a_status_does_not_matter(sent: str, status: Status) -> None:
    assert decoded({"status": sent}).status is status


@pytest.mark.parametrize("ends_at", ["1970-01-01T00:00:00Z", "1970-01-01T08:00:00+08:00"])
def test_an_end_in_1970_is_no_end(ends_at: str) -> None:
    assert decoded({"status": "resolved", "endsAt": ends_at}).ends_at is None


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("2016-12-31T23:59:60Z", datetime(2017, 1, 1, tzinfo=UTC)),
        ("2016-12-31T23:59:60.25Z", datetime(2017, 1, 1, 0, 0, 0, 250000, UTC)),
        ("2017-01-01T05:29:60.123456789+05:30", datetime(2017, 1, 1, 0, 0, 0, 123456, UTC)),
        ("2016-12-31 23:59:60", datetime(2017, 1, 1, tzinfo=UTC)),
        ("2026-11-23t15:33:27.5z", datetime(2026, 11, 23, 15, 33, 27, 500000, UTC)),
        (" 2026-11-23T15:33:27Z\n", datetime(2026, 11, 23, 15, 33, 27, 0, UTC)),
        ("2026-11-23 15:33:27", datetime(2026, 11, 23, 15, 33, 27, 0, UTC)),
        ("2026-11-23 15:33:27.2 +0100 CET", datetime(2026, 11, 23, 14, 33, 27, 200000, UTC)),
        ("2026-11-23 15:33:27.2 +0000 UTC m=+0.5", datetime(2026, 11, 23, 15, 33, 27, 200000, UTC)),
    ],
)
def test_a_time_in_another_form_is_kept(text: str, time: datetime) -> None:
    alert = decoded({"status": "resolved", "startsAt": text, "endsAt": text})
    assert (alert.starts_at, alert.ends_at) == (time, time)


def test_a_leap_second_at_the_end_of_all_times_is_clamped() -> None:
    assert decoded({"startsAt": "9999-12-31T23:59:60Z"}).starts_at.year == 9999


@pytest.mark.parametrize("name", ["startAt", "activeAt"])
def test_the_start_may_have_another_name(name: str) -> None:
    alert = decoded({"startsAt": ..., name: "2026-11-23 15:33:27"})
    assert alert.starts_at == datetime(2026, 11, 23, 15, 33, 27, 0, UTC)


@pytest.mark.parametrize("start", [..., None, ""])
def test_an_alert_with_labels_may_have_no_start(start: Any) -> None:
    assert decoded({"startsAt": start}).starts_at == MIN_TIME
